"""The domain of every function: finite numbers within it, one sentence outside, never a warning or a foreign error."""

import json
import subprocess
import sys
from inspect import isfunction

import numpy as np
import pytest

from superposition import theory
from superposition.features import Exponential, Uniform
from tests.hostile.theory import TABLE

FUNCTIONS = sorted(name for name in theory.__all__ if isfunction(getattr(theory, name)))
TIMEOUT = 1800


@pytest.fixture(scope="module")
def found():
    # In a process of its own: the checks of annotations, which are on here, would be first.
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.theory"], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_public_function_is_in_the_table():
    assert sorted(TABLE) == FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_extreme_and_hostile_arguments(found, name):
    tried, faults = found[name]
    assert tried > 20
    assert not faults


@pytest.mark.parametrize("probability", [1e-300, 1e-200, 1e-16])
def test_gradients_out_of_range_say_so(probability):
    with pytest.raises(ValueError, match=r"`probability` must be in \[1e-15, 1\), got 1e-"):
        theory.loss_gradients(0.25, probability)


@pytest.mark.parametrize("unit", [1e-100, 1e-30, 1e30, 1e99])
@pytest.mark.parametrize("ratio", [1e-90, 1e-12, 0.25, 0.999])
@pytest.mark.parametrize("probability", [1e-15, 0.045, 0.9])
def test_limit_units_of_any_size_change_nothing(unit, ratio, probability):
    """L and dL/dr are homogeneous of degree 2 in the unit, σ and b of degree 1, a of degree 0."""
    own, other = (theory.loss_gradients(ratio, probability, Exponential(scale)) for scale in (1.0, unit))
    # t = b/(aσ) is found to within 1e-10 of itself, |t| ≤ √(2 log 1/p) + 5 ≤ 14. The loss feels that in second order;
    # dL/dr in first: its terms change by factors exp(−t²/2), by up to t² of the share.
    for mine, theirs, degree, tolerance in (
        (own.optimum.loss, other.optimum.loss, 2, 1e-11),
        (own.ratio, other.ratio, 2, 14**2 * 1e-9),
        (own.optimum.noise_std, other.optimum.noise_std, 1, 1e-13),
        (own.optimum.scale, other.optimum.scale, 0, 1e-8),
    ):
        np.testing.assert_allclose(theirs / unit**degree, mine, rtol=tolerance)


@pytest.mark.parametrize("law", [Uniform(), Exponential(1e-50)])
@pytest.mark.parametrize("probability", [1e-15, 0.045, 1 - 1e-12])
@pytest.mark.parametrize("ratio", [1e-100, 1e-40, 1e-18])
def test_limit_of_no_capacity(law, probability, ratio):
    """For r → 0 the loss is v(1 − r): the price of capacity is v, the loss v itself."""
    found, v = theory.loss_gradients(ratio, probability, law), theory.zero_ratio_loss(probability, law)
    np.testing.assert_allclose([found.optimum.loss, -found.ratio], v, rtol=1e-9)


@pytest.mark.parametrize("probability", [1e-15, 1e-5, 0.045])
def test_price_of_capacity_has_no_steps_where_rectifying_begins_to_gain(probability):
    """The uniform law has one minimum at every r: losses that are the same within rounding must not choose another."""
    ratio = np.geomspace(probability * 1e-3, min(probability * 1e2, 0.9), 4001)
    price = -theory.loss_gradients(ratio, probability).ratio
    # What rectifying gains has the factor exp(−t²/2), t² ∝ 1/r: its logarithm's slope in log r is t²/2 ≤ 14²/2.
    step = np.log(ratio[1] / ratio[0])
    assert np.abs(np.diff(np.log(price))).max() < 14**2 / 2 * step


@pytest.mark.parametrize(("ratio", "probability"), [(0.25, 1e-14), (0.9, 1e-14), (1e-9, 0.3), (0.5, 0.999)])
def test_naive_twin_gradients_are_differences(ratio, probability):
    found = theory.loss_gradients(ratio, probability)
    step = 1e-4
    for at, derivative in (
        (lambda share: (ratio * share, probability), found.ratio * ratio),
        (lambda share: (ratio, probability * share), found.probability * probability),
    ):
        above, below = (theory.symmetric_optimum(*at(share)).loss for share in (1 + step, 1 - step))
        # The error of a central difference is h²/6 of a third derivative, the sizes of which are those of L; that of
        # L, 1e-15 of it or of v, is divided by h.
        rounding = 1e-14 / step * theory.zero_ratio_loss(probability) + 10 * step**2 * found.optimum.loss
        assert (above - below) / (2 * step) == pytest.approx(derivative, rel=1e-6, abs=rounding)
