"""The bounds on rounding errors hold whatever the order of sums, and are not far above what rounding does."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.rounding import (
    Bounded,
    assert_close,
    assert_within,
    central_difference,
    gamma,
    likely_gamma,
    product_bound,
    sum_bound,
    unit_roundoff,
)


@pytest.mark.parametrize(
    ("dtype", "u"),
    [
        (np.float64, 2**-53),
        (np.float32, 2**-24),
        (torch.float32, 2**-24),
        (torch.float64, 2**-53),
        (torch.bfloat16, 2**-8),
    ],
)
def test_known_unit_roundoffs(dtype, u):
    assert unit_roundoff(dtype) == u
    assert gamma(1, dtype) == u / (1 - u)
    assert gamma(0, dtype) == likely_gamma(0, dtype) == 0


def test_too_many_roundings_are_refused():
    with pytest.raises(AssertionError, match="leave no digit"):
        gamma(2**24, np.float32)


@pytest.mark.parametrize("growth", [gamma, likely_gamma])
def test_naive_twin_sums_in_the_worst_order(growth, rng):
    terms = rng.random(2000).astype(np.float32)
    for ordered in (np.sort(terms), np.sort(terms)[::-1], terms):
        one_by_one = np.add.accumulate(ordered)[-1]
        exact = float(sum(map(Fraction, terms.tolist())))
        bound = sum_bound(terms, np.float32, growth=growth)
        assert abs(one_by_one - exact) <= bound
        assert bound < 1e-3 * exact
    # Every addition rounds the same way: only the bound without probability holds.
    steady = np.full(2**20, np.float32(1 / 3))
    error = abs(float(np.add.accumulate(steady)[-1]) - 2**20 * float(steady[0]))
    assert likely_gamma(2**20, np.float32) * 2**20 / 3 < error <= gamma(2**20, np.float32) * 2**20 / 3


@pytest.mark.parametrize("growth", [gamma, likely_gamma])
def test_naive_twin_products_and_a_network(growth, rng):
    W, V, x, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((30, 80), (40, 30), (20, 80), (30,)))
    exact = x.astype(float) @ W.T.astype(float)
    assert_within(x @ W.T, exact, product_bound(x, W.T, np.float32, growth))
    network = (Bounded.given(x, np.float32, growth) @ W.T.astype(float) + b).relu() @ V.T
    found = np.maximum(x @ W.T + b, 0) @ V.T
    assert_within(found, network.value, network.error)
    assert network.error.max() < 1000 * np.abs(found - network.value).max()
    with pytest.raises(AssertionError, match="out of bounds"):
        assert_within(found * np.float32(1 + 1e-3), network.value, network.error)


def test_naive_twin_every_operation(rng):
    a, b = rng.uniform(0.5, 2, (2, 1000)).astype(np.float32)
    exact = Bounded.given(a, np.float32), Bounded.given(b, np.float32)

    def formula(a, b, log):
        return (log((a - b) * a / b + a) * a)[::2].mean()

    expected = formula(*exact, lambda y: y.through(np.log, 1 / y.value.min()))
    assert_within(formula(a, b, np.log), expected.value, expected.error)


@pytest.mark.parametrize("h", [1e-2, 1e-4, 1e-8])
def test_naive_twin_central_differences(h):
    x = np.linspace(-1, 1, 9)
    found, bound = central_difference(np.exp, x, h, 4 * unit_roundoff(np.float64))
    assert_within(found, np.exp(x), bound)
    assert (bound < 10 * (h**2 / 6 + 4 * unit_roundoff(np.float64) / h) * np.exp(x)).all()


@pytest.mark.parametrize(
    ("actual", "expected", "bound", "message"),
    [
        ([1.0, 2.5], [1.0, 2.0], 0.01, r"1 of 2 entries out of bounds, the worst at \(1,\): 2.5 for 2, 50 times"),
        (np.nan, 1.0, 0.01, "1 of 1 entries"),
        (1.0, np.inf, 0.01, "expected is not finite"),
        (1.0, 1.0, np.inf, "bound is not finite"),
        (1.0, 1.0, 0.5, "too blunt"),
        ([1.0], [1.0, 1.0], 0.01, "expected has shape"),
        (torch.tensor([1.0, 1.0]), 0.0, 0.0, "2 of 2 entries"),
    ],
)
def test_control_what_is_out_of_bounds_is_refused(actual, expected, bound, message):
    with pytest.raises(AssertionError, match=message):
        assert_within(actual, expected, bound)


def test_small_values_are_compared_too():
    assert_close([1e-30, 2.0], [1e-30, 2.0], 0.0)
    assert_close(1e-30 * (1 + 1e-9), 1e-30, 2e-9)
    with pytest.raises(AssertionError, match="1 of 2 entries out of bounds"):
        assert_close([1.1e-30, 2.0], [1e-30, 2.0], 1e-9)
