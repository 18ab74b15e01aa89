import numpy as np
import pytest
import torch

from superposition import PersianRug, SparseFeatures, fit_rug, held_out_loss
from superposition.theory import symmetric_optimum
from superposition.training import rug_fit as rug_module
from tests.statistics import Z_BOUND


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(rug_module, "PROTOCOL", rug_module.PROTOCOL.replace(n_steps=40, stop_window=20))


def test_simulation_the_fit_reaches_the_closed_form():
    features = SparseFeatures(64, 0.1)
    fit = fit_rug(features, 16, n_models=1, n_held_out=20_000)
    best = symmetric_optimum(0.25, 0.1)
    closed = PersianRug(64, fit.rug.rows, scale=best.scale)
    with torch.no_grad():
        closed.bias.fill_(best.bias - best.scale * closed.interference_mean(features))
    expected = held_out_loss(closed, features, n_samples=20_000, seed=0)
    # Finite n: the interference is not quite Gaussian, so the fit may be slightly better, never clearly worse.
    error = np.hypot(fit.loss.standard_error, expected.standard_error)
    assert Z_BOUND * error < 0.1 * expected.value
    assert fit.loss.value < expected.value + Z_BOUND * error
    assert fit.loss.value == pytest.approx(expected.value, rel=0.1)


@pytest.mark.usefixtures("short")
def test_the_best_of_several_is_returned():
    seen = []
    fit = fit_rug(SparseFeatures(16, 0.2), 4, n_models=3, n_held_out=500, report=lambda *args: seen.append(args[:2]))
    assert len(fit.candidates) == len(fit.steps) == 3
    assert fit.loss == min(fit.candidates, key=lambda loss: loss.value)
    assert held_out_loss(fit.rug, SparseFeatures(16, 0.2), n_samples=500, seed=0) == fit.loss
    assert set(fit.steps) <= {20, 40}
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.usefixtures("short")
def test_seeds():
    features = SparseFeatures(16, 0.2)
    one, same, other = (fit_rug(features, 4, seed=seed, n_models=1, n_held_out=100) for seed in (0, 0, 1))
    assert one.loss == same.loss
    assert one.rug.scale.item() == same.rug.scale.item() != other.rug.scale.item()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_models": 0}, "`n_models` must be a whole number"),
        ({"features": SparseFeatures(2, np.array([0.1, 0.2]))}, "`features` must be symmetric"),
        ({"n_held_out": 0}, "must be a whole number"),
    ],
)
@pytest.mark.usefixtures("short")
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_rug(**{"features": SparseFeatures(16, 0.2), "n_hidden": 2, **arguments})
