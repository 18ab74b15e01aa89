"""Envelope derivatives against differences."""

import numpy as np
import pytest

from superposition.features import Constant, Uniform
from superposition.theory import loss_gradients, symmetric_optimum
from tests.rounding import assert_within, central_difference, gamma

# Of a loss: sums of positive terms, and of functions of a few ulps, some hundred roundings in all.
LOSS = gamma(100, float)

POINTS = [(0.25, 0.045), (0.05, 1e-3), (0.5, 0.3), (0.9, 0.01), (0.01, 0.5), (0.1, 1e-6), (0.999, 0.2)]


@pytest.mark.parametrize("law", [Uniform(), Constant(), Uniform(0.5, 2.0)], ids=str)
@pytest.mark.parametrize(("r", "p"), POINTS)
def test_naive_twin_central_differences(r, p, law):
    found = loss_gradients(r, p, law)
    by_ratio = central_difference(lambda r: symmetric_optimum(r, p, law).loss, r, 1e-4 * min(r, 1 - r), LOSS)
    assert_within(found.ratio, *by_ratio, resolution=1e-6)
    by_probability = central_difference(lambda p: symmetric_optimum(r, p, law).loss, p, 1e-4 * p, LOSS)
    assert_within(found.probability, *by_probability, resolution=1e-6)
    assert found.importance == found.optimum.loss


def test_capacity_always_has_a_price():
    r, p = np.meshgrid(np.linspace(0.01, 0.99, 15), np.geomspace(1e-6, 0.99, 15))
    assert (loss_gradients(r, p).ratio < 0).all()


@pytest.mark.parametrize(("r", "p"), [(1.0, 0.5), (0.5, 1.0), (np.nan, 0.5)])
def test_bad_arguments_are_refused(r, p):
    with pytest.raises(ValueError, match="must be"):
        loss_gradients(r, p)
