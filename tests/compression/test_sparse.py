"""Quantisers of sparse features, and how a number of neurons is spent on them."""

import numpy as np
import pytest

from superposition import SparseFeatures
from superposition.compression import sparse_construction
from superposition.compression.sparse import quantiser_loss
from superposition.theory import linear_loss, zero_ratio_loss
from tests.rounding import gamma
from tests.statistics import agrees


@pytest.mark.parametrize("p", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("levels", [2, 3, 5])
def test_quantiser_against_samples_and_all_thresholds(levels, p, rng):
    x = rng.random(150_000) * (rng.random(150_000) < p)

    def errors(threshold):
        cell = np.where(x < threshold, 0, 1 + ((x - threshold) / (1 - threshold) * (levels - 1)).astype(int))
        means = np.bincount(cell, x) / np.bincount(cell)
        return (x - means[cell]) ** 2

    thresholds = np.linspace(0.01, 0.9, 60)
    best = min((errors(threshold) for threshold in thresholds), key=np.mean)
    assert agrees(best, quantiser_loss(levels, p), resolution=0.1)
    assert quantiser_loss(levels, p) < zero_ratio_loss(p) / 2


def test_limits_of_the_quantiser():
    few = gamma(32, float)  # formulas of a few terms that do not cancel
    assert quantiser_loss(1, 0.3) == pytest.approx(zero_ratio_loss(0.3), rel=few)
    # The minimiser stops within √ε of the threshold, where the loss, of a curvature below 2p, is off by less than p ε.
    minimised = 2 * np.finfo(float).eps
    for z in (2, 3, 8):
        assert quantiser_loss(z, 1.0) == pytest.approx(1 / (12 * z**2), rel=few, abs=minimised)
    assert quantiser_loss(3, 1e-9) / 1e-9 == pytest.approx(1 / (12 * 2.5**2), rel=1e-8)  # to first order in p


def test_neurons_are_spent_on_as_many_features_as_they_reach():
    features = SparseFeatures(32, 0.1)
    none = sparse_construction(features, 8, 5)
    assert (none.levels, none.quantised, none.dropped) == (1, 0, 24)
    assert none.loss == pytest.approx(linear_loss(0.25, 0.1), rel=gamma(32, float))
    all_binary = sparse_construction(features, 8, 6 * 24)
    assert (all_binary.levels, all_binary.quantised, all_binary.dropped) == (2, 24, 0)
    assert all_binary.loss == pytest.approx(24 * quantiser_loss(2, 0.1) / 32, rel=gamma(32, float))
    losses = [sparse_construction(features, 8, neurons).loss for neurons in range(0, 400, 40)]
    assert np.all(np.diff(losses) <= 0)
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: sparse_construction(SparseFeatures(4, 0.1), 5, 3),
            r"`n_hidden` must be a whole number in \[1, 4\], got 5",
        ),
        (
            lambda: sparse_construction(SparseFeatures(4, 0.1), 2, -1),
            "`n_neurons` must be a whole number of at least 0",
        ),
        (lambda: sparse_construction(SparseFeatures(2, np.array([0.1, 0.2])), 1, 3), "`features` must be symmetric"),
        (lambda: quantiser_loss(0, 0.1), "`levels` must be a whole number of at least 1, got 0"),
        (lambda: quantiser_loss(2, 0.0), r"`probability` must be in \(0, 1\], got 0"),
    ],
)
def test_bad_input_is_refused(use, message):
    with pytest.raises(ValueError, match=message):
        use()


def test_another_law_is_refused():
    from superposition import Constant

    with pytest.raises(ValueError, match=r"`features` must have the law Uniform\(\)"):
        sparse_construction(SparseFeatures(4, 0.1, Constant()), 2, 8)
