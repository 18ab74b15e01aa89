"""Antipodal pairs: against a simulation, the balanced value, and the best imbalance."""

import numpy as np
import pytest

from superposition.theory import antipodal_loss, zero_ratio_loss


def simulated(stretch, p, rng, n=400_000):
    """Losses of pairs by their definition."""
    x, y = rng.random((2, n)) * (rng.random((2, n)) < p)
    hidden = x - stretch * y
    return ((np.maximum(hidden, 0) - x) ** 2 + (np.maximum(-hidden / stretch, 0) - y) ** 2) / 2


@pytest.mark.parametrize("stretch", [1.0, 1.7, 3.0, 10.0])
@pytest.mark.parametrize("p", [0.1, 0.7, 1.0])
def test_simulation(stretch, p, rng):
    losses = simulated(stretch, p, rng)
    error = losses.std() / np.sqrt(losses.size)
    assert abs(losses.mean() - antipodal_loss(0.5, p, stretch)) < 4.5 * error
    assert abs(losses.mean() - 1.1 * antipodal_loss(0.5, p, stretch)) > 4.5 * error


def test_known_values_and_the_best_stretch():
    assert antipodal_loss(0.5, 0.3, stretch=1.0) == pytest.approx(0.3**2 / 6, rel=1e-14)
    assert antipodal_loss(0.5, 0.3) == pytest.approx(0.3**2 * 25 / 162, rel=1e-14)
    others = [antipodal_loss(0.5, 0.3, stretch) for stretch in np.linspace(1, 40, 400)]
    assert min(others) >= antipodal_loss(0.5, 0.3) * (1 - 1e-12)


def test_limits_in_the_ratio():
    assert antipodal_loss(1.0, 0.3) == 0
    assert antipodal_loss(1e-12, 0.3) == pytest.approx(zero_ratio_loss(0.3))
    assert antipodal_loss(np.array([0.25, 0.75]), 0.1) == pytest.approx(
        [0.5 * 25 / 16200 + 0.5 * zero_ratio_loss(0.1), 0.5 * 25 / 16200]
    )


@pytest.mark.parametrize("stretch", [0.5, np.inf, np.nan])
def test_bad_stretch_is_refused(stretch):
    with pytest.raises(ValueError, match="`stretch` must be in"):
        antipodal_loss(0.5, 0.1, stretch)
