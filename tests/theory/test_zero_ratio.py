"""Eq. 8: the limit r → 0 at a fixed threshold over σ."""

import mpmath
import numpy as np
import pytest

from superposition.features import Beta, Constant, Uniform
from superposition.theory import optimal_scale, relu_loss, zero_ratio_loss, zero_ratio_relu

# The tail's series and what cancels where it ends, some 9⁴ roundings.
PRECISION = 4e-12
MOMENTS = {Uniform(): (1 / 2, 1 / 3), Constant(2.0): (2.0, 4.0), Beta(2, 3): (0.4, 0.2)}


@pytest.mark.parametrize("t", [-300.0, -40.0, -9.5, -9.0, -8.9, -3.0, -0.1, 0.0, 0.1, 4.0, 60.0])
def test_naive_twin_in_many_digits(t):
    with mpmath.workdps(60):
        t_, p, sigma = mpmath.mpf(t), mpmath.mpf("0.045"), 3
        density, mass = mpmath.npdf(t_), mpmath.ncdf(t_)
        first, second = t_ * mass + density, (t_**2 + 1) * mass + t_ * density
        scale = first / second
        loss = p / 3 - p**2 / 4 * first**2 / second
    found = zero_ratio_relu(sigma, sigma * t, 0.045)
    assert found.scale == pytest.approx(float(p / 2 * scale / sigma), rel=PRECISION)
    assert found.loss == pytest.approx(float(loss), rel=PRECISION)


@pytest.mark.parametrize("law", MOMENTS, ids=str)
@pytest.mark.parametrize("t", [-2.0, 0.0, 1.5])
def test_limit_of_the_mean_field_scale_and_loss(law, t):
    """The remainder of a is of order σ⁻², one order above a itself, as erratum 9 says."""
    sigma = np.array([1e2, 1e3, 1e4]) * law.mean
    limit = zero_ratio_relu(sigma, t * sigma, 0.1, law)
    scale = optimal_scale(t * sigma, sigma, 0.1, law)
    rest = (scale - limit.scale) * sigma**2
    np.testing.assert_allclose(rest[:2], rest[2], rtol=0.1)
    assert abs(rest[2]) > 1e-3 * law.mean
    loss = relu_loss(scale, scale * t * sigma, sigma, 0.1, law)
    off = np.abs(loss / limit.loss - 1)
    assert (off < 3 * law.mean / sigma).all()


def test_limits_at_the_two_ends():
    assert zero_ratio_relu(1.0, 1e9, 0.3).loss == pytest.approx(zero_ratio_loss(0.3), rel=1e-12)
    assert zero_ratio_relu(1.0, -1e9, 0.3).loss == pytest.approx(0.1, rel=1e-12)
    loss = zero_ratio_relu(1.0, np.linspace(-12, 12, 400), 0.3).loss
    assert (np.diff(loss) <= 1e-15).all()


@pytest.mark.parametrize("bad", [{"noise_std": 0.0}, {"threshold": np.nan}, {"probability": 0.0}])
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ValueError, match="must"):
        zero_ratio_relu(**({"noise_std": 1.0, "threshold": 0.0, "probability": 0.1} | bad))
