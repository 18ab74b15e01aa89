"""Files that the program wrote before models, features and trainers were made anew (commit 01f3626): still read."""

import shutil
from pathlib import Path

import pytest
import torch

import superposition as sp
from superposition.cli import main
from superposition.models import load_with_features
from tests.statistics import Z_BOUND

THERE = Path(__file__).parent / "written_before"
FEATURES = sp.SparseFeatures(8, 0.2, sp.Beta(2, 3))


@pytest.fixture
def files(tmp_path):
    return Path(shutil.copytree(THERE, tmp_path / "files"))


def test_models(files):
    loaded = load_with_features(files / "autoencoder")
    assert loaded.features == FEATURES
    assert torch.equal(loaded.model.W_enc, sp.Autoencoder(8, 3, seed=1).W_enc)
    assert load_with_features(files / "linear").model.W_enc.nonzero()[:, 1].tolist() == [0, 1, 2]
    rug, fitted = sp.load(files / "rug"), sp.PersianRug.fit(sp.SparseFeatures(8, 0.2), 4)
    assert torch.equal(rug.rows, fitted.rows)
    assert float(rug.scale) == pytest.approx(float(fitted.scale), rel=1e-6)


def test_an_unfinished_run_goes_on(files):
    config = sp.TrainingConfig(n_steps=600, batch_size=16)
    done = []
    run = sp.train(
        sp.Autoencoder(8, 3, seed=1), FEATURES, config,
        folder=files / "unfinished", resume=True, n_held_out=100, progress=lambda step, *_: done.append(step),
    )  # fmt: skip
    assert run.stopped == "completed"
    assert done[0] > 50
    # What that program came to; on another processor the sums round otherwise.
    assert abs(run.loss.value - 0.0138029) < Z_BOUND * run.loss.standard_error
    assert not list((files / "unfinished").glob("checkpoint-*"))


def test_a_store_is_not_measured_again(files, capsys):
    assert main(["sweep", str(files / "sweep.toml"), "--out", str(files / "store")]) == 0
    out = capsys.readouterr().out
    assert "2 cells: 2 done, 0 left" in out
    assert "0.0475786" in out
    assert main(["query", "SELECT loss FROM trained ORDER BY loss", "--out", str(files / "store")]) == 0
    assert "0.0266931" in capsys.readouterr().out
    (cell,) = (each for each in sp.sweeps.read_sweep(files / "sweep.toml").cells if each.n_hidden == 2)
    assert torch.isfinite(sp.load(files / "store" / "done" / "trained" / cell.key / "run").W_enc).all()


def test_control_what_was_changed_since_is_refused(files):
    config = files / "rug" / "config.json"
    config.write_text(config.read_text().replace("PersianRug", "Carpet"))
    with pytest.raises(ValueError, match="`model` must be Autoencoder"):
        sp.load(files / "rug")
