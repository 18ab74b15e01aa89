from math import isnan

import numpy as np
import pytest
from hypothesis import given, strategies as st

from superposition import Estimate
from tests.rounding import assert_close, assert_within, gamma

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50)


@given(samples)
def test_naive_twin_from_sums_is_mean_and_standard_error(values):
    y = np.array(values)
    estimate = Estimate.from_sums(float(y.sum()), float((y**2).sum()), len(y))
    n, expected = len(y), y.std(ddof=1) / np.sqrt(len(y))
    assert_within(estimate.value, y.mean(), gamma(n + 1, float) * np.abs(y).mean(), resolution=np.inf)
    # Both terms of Σ y²/n − (Σ y/n)² are of the order of Σ y²/n, and its root loses half the digits where they
    # cancel: |√a − √b| ≤ √|a − b|. Squares below the least normal number vanish.
    variance = 2 * gamma(n + 5, float) * (y**2).mean() / (n - 1) + np.finfo(float).tiny
    bound = min(np.sqrt(variance), variance / max(expected, 1e-300)) + gamma(n + 5, float) * expected
    assert_within(estimate.standard_error, expected, bound, resolution=np.inf)
    assert estimate.count == len(y)


def test_limit_one_sample_has_no_standard_error():
    estimate = Estimate.from_sums(2.0, 4.0, 1)
    assert estimate.value == 2.0
    assert isnan(estimate.standard_error)


@pytest.mark.parametrize("count", [0, -1])
def test_no_samples_are_refused(count):
    with pytest.raises(ValueError, match="`count` must be a whole number of at least 1"):
        Estimate.from_sums(1.0, 1.0, count)


def test_z_score():
    # The difference is a sixth of what is subtracted.
    assert_close(Estimate(1.2, 0.1, 9).z_score(1.0), 2.0, gamma(2 * 6 + 2, float))


@pytest.mark.parametrize(("expected", "z"), [(1.0, np.inf), (3.0, -np.inf), (2.0, np.nan)])
def test_limit_z_score_of_an_exact_value(expected, z):
    np.testing.assert_equal(Estimate(2.0, 0.0, 5).z_score(expected), z)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.0048558, 0.0000031, 10), "0.0048558 ± 0.0000031"),
        (Estimate(123.4, 12.3, 10), "123 ± 12"),
        (Estimate(-1.23456, 0.1, 10), "-1.23 ± 0.10"),
        (Estimate(3.6502e-6, 3.0e-9, 10), "3.6502e-06 ± 3.0e-09"),
        (Estimate(0.0, 0.0, 10), "0 (no error bar from 10 samples)"),
        (Estimate(0.5, float("nan"), 1), "0.5 (no error bar from 1 samples)"),
        (Estimate(float("nan"), float("nan"), 5), "nan (no error bar from 5 samples)"),
    ],
)
def test_printing_shows_two_digits_of_the_error(estimate, text):
    assert str(estimate) == text
