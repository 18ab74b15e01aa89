"""The cell of the linearised dynamics: what the library finds, and what cannot be."""

import dataclasses

import pytest

from superposition import Autoencoder, PersianRug, SparseFeatures
from superposition.sweeps import GrowthCell, Store, Sweep, run_sweep
from superposition.training import growth_rate

CELL = GrowthCell(16, 4, 0.1, n_samples=2048, n_iterations=4, seed=1)


def test_the_row_is_what_the_library_measures(tmp_path):
    store = Store(tmp_path / "store")
    assert not run_sweep(Sweep((CELL,)), store).missing
    features = SparseFeatures(16, 0.1)
    rug = Autoencoder.from_model(PersianRug.fit(features, 4, seed=1))
    found, row = growth_rate(rug, features, n_samples=2048, n_iterations=4, seed=1), store.get(CELL).row
    assert store.get(CELL).estimate("rate") == found.rate
    assert (row["gradient"], row["drift"]) == (found.gradient, found.drift)


@pytest.mark.parametrize(
    "change",
    [{"n_features": 32}, {"n_hidden": 5}, {"probability": 0.2}, {"protocol": "paper"}, {"n_samples": 4096},
     {"n_iterations": 5}, {"seed": 2}],
)  # fmt: skip
def test_every_field_is_in_the_key(change):
    assert dataclasses.replace(CELL, **change).key != CELL.key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_features": 18}, "`n_features` must be .*, got 18"),
        ({"n_hidden": 17}, "`n_hidden`"),
        ({"probability": 0.0}, "`probability`"),
        ({"n_samples": 100}, "`n_samples` must be a whole number of at least 2048, got 100"),
        ({"n_iterations": 1}, "`n_iterations`"),
        ({"seed": -1}, "`seed`"),
    ],
)
def test_a_cell_that_cannot_exist_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CELL, **change)
