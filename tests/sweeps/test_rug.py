"""Rug cells: the measured loss beside the prediction and the bounds."""

import dataclasses

import numpy as np
import pytest

from superposition import PersianRug, SparseFeatures, held_out_loss, theory
from superposition.sweeps import RugCell
from tests.rounding import gamma, likely_gamma

CELL = RugCell(n_features=256, n_hidden=32, probability=0.05, n_held_out=4000)


@pytest.mark.parametrize(
    "change", [{"n_features": 512}, {"n_hidden": 33}, {"probability": 0.06}, {"n_held_out": 10}, {"seed": 1}]
)
def test_every_field_is_in_the_key(change):
    assert dataclasses.replace(CELL, **change).key != CELL.key


def test_the_key_is_stable():
    assert CELL.key == "bbfbec0edf4c0e5a50a7"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_features": 202}, "`n_features` must be the order of a Hadamard matrix .*, got 202: use 200 or 204"),
        ({"n_hidden": 0}, r"`n_hidden` must be a whole number in \[1, 256\], got 0"),
        (
            {"probability": 0.003},
            r"`probability` must be in \[0.00390625, 1\], got 0.003: a sample must",
        ),
        ({"n_held_out": 0}, "`n_held_out` must be"),
    ],
)
def test_a_rug_that_cannot_exist_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CELL, **change)


def test_the_row_is_what_the_library_measures(store, complete):
    complete(store, CELL)
    found, row = store.get(CELL).estimate("loss"), store.get(CELL).row
    features = SparseFeatures(256, 0.05)
    rug = PersianRug.fit(features, 32)
    # The same samples in the same chunks: the row has the loss, bit by bit, unless threads share out sums of float32.
    value = held_out_loss(rug, features, n_samples=4000, seed=0).value
    assert found.value == pytest.approx(value, rel=likely_gamma(2 * 256, np.float32))
    assert row["scale"] == float(rug.scale)
    assert row["p2_over_r"] == pytest.approx(0.05**2 / 0.125, rel=gamma(4, float))
    assert row["mean_field_loss"] == theory.symmetric_optimum(0.125, 0.05).loss
    names = ("lower_bound", "oracle_support_loss", "bayes_loss", "mean_field_loss", "upper_bound")
    assert sorted(row[name] for name in names) == [row[name] for name in names]
