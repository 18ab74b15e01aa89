"""Cells of frames and of the theorems of compressed sensing."""

import dataclasses

import numpy as np
import pytest
import torch

from superposition import SparseFeatures, held_out_loss, theory
from superposition.features import sparse_vectors
from superposition.models import DenseEncoder, PersianRug
from superposition.sweeps import FrameCell, GuaranteeCell, Workplace, read_sweep

FRAME = FrameCell(64, 16, 0.1, 0.5, n_held_out=500)
CODE = GuaranteeCell(32, 16, 2, n_samples=8)


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


@pytest.mark.parametrize("partner", [-1.0, 0.0, 1.0])
def test_a_frame_has_the_variance_and_the_partner_that_were_asked_for(place, partner):
    row = dataclasses.replace(FRAME, partner=partner, variance=6.0).row(place)
    assert row["row_variance"] == pytest.approx(6.0, rel=1e-5)  # weights in float32
    assert row["mutual_coherence"] >= abs(partner) - 1e-6
    best = theory.optimal_relu(np.sqrt(6 * float(SparseFeatures(64, 0.1).variance)), 0.1)
    assert row["mean_field_loss"] == best.loss
    assert row["loss"].count == 500
    assert row["distance"] > 0


def test_the_mean_interference_is_in_the_bias(place):
    """A frame without partners, of many features: as good as a rug of the same size."""
    row = FrameCell(512, 128, 0.2, n_held_out=3000).row(place)
    features = SparseFeatures(512, 0.2)
    rug = held_out_loss(PersianRug.fit(features, 128), features, n_samples=3000)
    assert row["loss"].value == pytest.approx(rug.value, rel=0.1)


def test_a_code_is_measured_as_it_is_defined(place):
    row = CODE.row(place)
    rug = PersianRug.fit(SparseFeatures(32, 2 / 32), 16)
    x = sparse_vectors(32, 2, 8, lowest=0.5)
    assert float(x[x > 0].min()) > 0.5
    error = (rug(x).float() - x).abs().amax(dim=1)
    assert row["error"].value == pytest.approx(float(error.mean()), rel=1e-6)
    assert row["largest_error"] == pytest.approx(float(error.max()), rel=1e-6)
    R = rug.matrix().fill_diagonal_(0)
    assert row["delta_2"] == pytest.approx(float(R.abs().max()), rel=1e-5)
    # Every support of two: δ_2 itself, and Gershgorin is exact.
    assert row["delta_lower"] == pytest.approx(row["delta_2"], rel=1e-5)
    assert row["delta_upper"] == pytest.approx(row["delta_2"], rel=1e-5)
    assert row["stability"].value <= row["largest_stability"]


@pytest.mark.parametrize("encoder", ["gaussian", "trained"])
def test_other_codes_keep_the_lemma(place, encoder):
    row = dataclasses.replace(CODE, encoder=encoder, n_steps=60).row(place)
    assert row["violations"] == 0
    assert 0 <= row["condition_met"].value <= row["recovered"].value <= 1
    assert row["delta_2"] <= row["delta_lower"] + 1e-6 <= row["delta_upper"] + 1e-5


def test_gaussian_columns_have_norm_one(place):
    cell = dataclasses.replace(CODE, encoder="gaussian")
    seen = SparseFeatures(32, 2 / 32)
    model = cell._model(seen, place)
    W = DenseEncoder.gaussian(32, 16).W_enc
    torch.testing.assert_close(model.W_enc, W / W.norm(dim=0))
    torch.testing.assert_close(model.W_enc.norm(dim=0), torch.ones(32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameCell(64, 16, 0.1, 2.0), "`partner` must be in"),
        (lambda: FrameCell(64, 16, 0.1, variance=1.0), "`variance` must be in"),
        (lambda: GuaranteeCell(30, 8, 2), "order of a Hadamard matrix"),
        (lambda: GuaranteeCell(32, 8, 9), r"`k` must be a whole number in \[1, 8\]"),
    ],
)
def test_cells_that_cannot_exist_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_they_stand_in_sweep_files(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        'measure = "frame"\n[cells]\nn_features = 64\nn_hidden = 16\nprobability = 0.1\npartner = [0.0, 0.5]\n'
    )
    assert FrameCell(64, 16, 0.1, 0.5) in read_sweep(path).cells
    path.write_text('measure = "guarantee"\n[cells]\nn_features = 32\nn_hidden = [8, 16]\nk = 2\n')
    assert GuaranteeCell(32, 16, 2) in read_sweep(path).cells
