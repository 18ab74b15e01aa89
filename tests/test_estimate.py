from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superposition import Estimate

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50)


@given(samples)
def test_naive_twin_from_sums_is_mean_and_standard_error(values):
    y = np.array(values)
    estimate = Estimate.from_sums(float(y.sum()), float((y**2).sum()), len(y))
    assert estimate.value == pytest.approx(y.mean(), abs=1e-9)
    # Σ y² − (Σ y)²/n loses half the digits where the spread is far below the mean.
    rounding = 1e-7 * np.abs(y).max()
    assert estimate.standard_error == pytest.approx(y.std(ddof=1) / np.sqrt(len(y)), rel=1e-9, abs=rounding)
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
    assert Estimate(1.2, 0.1, 9).z_score(1.0) == pytest.approx(2.0)


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
