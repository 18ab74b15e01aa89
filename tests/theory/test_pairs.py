"""Antipodal pairs: against a simulation, the balanced value, and the best imbalance."""

import numpy as np
import pytest

from superposition.theory import antipodal_loss, zero_ratio_loss
from tests.rounding import assert_close, gamma
from tests.statistics import agrees

# A closed form of so many operations, none of which cancels.
CLOSED_FORM = gamma(20, float)


def simulated(stretch, p, rng, n=2_000_000):
    """Losses of pairs by their definition."""
    x, y = rng.random((2, n)) * (rng.random((2, n)) < p)
    hidden = x - stretch * y
    return ((np.maximum(hidden, 0) - x) ** 2 + (np.maximum(-hidden / stretch, 0) - y) ** 2) / 2


@pytest.mark.parametrize("stretch", [1.0, 1.7, 3.0, 10.0])
@pytest.mark.parametrize("p", [0.1, 0.7, 1.0])
def test_simulation(stretch, p, rng):
    losses, expected = simulated(stretch, p, rng), antipodal_loss(0.5, p, stretch)
    assert agrees(losses, expected, resolution=0.05)
    assert not agrees(losses, 1.1 * expected, resolution=0.05), "control"


def test_known_values_and_the_best_stretch():
    assert_close(antipodal_loss(0.5, 0.3, stretch=1.0), 0.3**2 / 6, CLOSED_FORM)
    assert_close(antipodal_loss(0.5, 0.3), 0.3**2 * 25 / 162, CLOSED_FORM)
    others = [antipodal_loss(0.5, 0.3, stretch) for stretch in np.linspace(1, 40, 400)]
    assert min(others) >= antipodal_loss(0.5, 0.3) * (1 - CLOSED_FORM)


def test_limits_in_the_ratio():
    assert antipodal_loss(1.0, 0.3) == 0
    assert_close(antipodal_loss(1e-12, 0.3), zero_ratio_loss(0.3), 2e-12)  # 2r of the features are paired
    expected = [0.5 * 25 / 16200 + 0.5 * zero_ratio_loss(0.1), 0.5 * 25 / 16200]
    assert_close(antipodal_loss(np.array([0.25, 0.75]), 0.1), expected, CLOSED_FORM)


@pytest.mark.parametrize("stretch", [0.5, np.inf, np.nan])
def test_bad_stretch_is_refused(stretch):
    with pytest.raises(ValueError, match="`stretch` must be in"):
        antipodal_loss(0.5, 0.1, stretch)
