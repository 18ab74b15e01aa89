"""Envelope derivatives against differences."""

import numpy as np
import pytest

from superposition.features import Constant, Empirical, Exponential, Uniform
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


@pytest.mark.parametrize("law", [Uniform(), Constant(), Exponential(), Empirical([0, 1, 2])], ids=str)
@pytest.mark.parametrize("p", [1e-12, 1e-3, 0.1, 0.9])
def test_limit_at_ratio_one(law, p):
    """From below: with σ² = v ε the loss is of order ε, and what is left out of order σ, or 1/log(1/σ) without κ."""
    found, before = loss_gradients(1.0, p, law), loss_gradients(1 - 1e-9, p, law)
    assert found.ratio == pytest.approx(before.ratio, rel=2e-3 if law == Constant() else 4e-4)
    assert (found.probability, found.optimum.loss) == (0.0, 0.0)
    both = loss_gradients([1 - 1e-9, 1.0], p, law)
    assert both.ratio.tolist() == [before.ratio, found.ratio]


def test_known_value_at_ratio_one_without_sparsity():
    """Linear at p = 1: L = (1 − r) v."""
    assert loss_gradients(1.0, 1 - 1e-12).ratio == pytest.approx(-1 / 12, rel=1e-9)


@pytest.mark.parametrize(("r", "p"), [(1.1, 0.5), (0.5, 1.0), (np.nan, 0.5)])
def test_bad_arguments_are_refused(r, p):
    with pytest.raises(ValueError, match="must be"):
        loss_gradients(r, p)
