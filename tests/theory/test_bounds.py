"""Bounds and scaling: order, validity everywhere, exponents."""

import mpmath as mp
import numpy as np
import pytest

from superposition.features import Constant, Uniform
from superposition.theory import (
    bayes_loss,
    linear_loss,
    loss_bounds,
    lower_bound,
    minimal_noise_variance,
    optimal_relu,
    oracle_support_loss,
    relu_loss,
    scaling,
    symmetric_optimum,
    upper_bound,
    welch_bound,
    zero_ratio_loss,
)
from tests.oracles import rectified_loss
from tests.rounding import PROMISED, assert_close, assert_within, gamma
from tests.statistics import Z_BOUND


@pytest.mark.parametrize("law", [Uniform(), Constant(), Uniform(0.5, 2.0)], ids=str)
def test_property_symmetric_optimum_is_below_ansatz_linear_and_constant(law, rng):
    p, r = np.exp(rng.uniform(np.log(1e-9), 0, 60)), np.exp(rng.uniform(np.log(1e-4), 0, 60))
    loss = symmetric_optimum(r, p, law).loss
    for bound in (upper_bound(r, p, law), linear_loss(r, p, law), zero_ratio_loss(p, law)):
        assert (loss <= bound * (1 + PROMISED)).all()


@pytest.mark.parametrize(("r", "p"), [(0.25, 0.045), (0.9, 0.5), (0.05, 1e-3), (0.01, 1e-9), (0.3, 1.0)])
@pytest.mark.parametrize("value", [None, 1.0])
def test_naive_twin_upper_bound_in_mpmath(r, p, value):
    """The ansatz of appendix E.1, a = 1 and b = −σ√(2 log 1/p), σ² = (1/r − 1) Var x, in the naive loss."""
    with mp.workdps(30):
        second, mean = (mp.mpf(1) / 3, mp.mpf(1) / 2) if value is None else (mp.mpf(value) ** 2, mp.mpf(value))
        sigma = mp.sqrt((1 / mp.mpf(r) - 1) * (p * second - (p * mean) ** 2))
        t = -mp.sqrt(2 * mp.log(1 / mp.mpf(p)))
    found = upper_bound(r, p, Uniform() if value is None else Constant(value))
    if sigma == 0:  # a constant that is always on
        assert found == 0
        return
    expected = float(rectified_loss.loss(1, t * sigma, sigma, p, value))
    # σ, √ and log are rounded some ten times. L grows no faster than σ² (1 + t²)², and Φ(t) as e^(−t²/2).
    conditioned = gamma(10, float) * 2 * (1 + float(t) ** 2) ** 2
    assert_close(found, expected, rectified_loss.rounding(float(t)) + conditioned)


@pytest.mark.parametrize("sigma", [1e-3, 0.05, 0.2, 0.4, 0.49])
def test_naive_twin_lower_bound_in_mpmath(sigma):
    """The share p P[|g| ≤ 1] Var[g | |g| ≤ 1] σ² P[σ ≤ u + ν ≤ 1 − σ], by quadrature."""
    with mp.workdps(30):
        s = mp.mpf(sigma)
        constant = mp.quad(lambda g: g * g * mp.npdf(g), [-1, 0, 1])
        around = [s, min(8 * s, mp.mpf(1) / 2), max(1 - 8 * s, mp.mpf(1) / 2), 1 - s]
        mass = mp.quad(lambda y: mp.ncdf(y / s) - mp.ncdf((y - 1) / s), around)
        expected = float(mp.mpf("0.045") * constant * s**2 * mass)
    # The mass is a difference of σ(zΦ + φ) up to 1, some twenty roundings of it.
    assert_close(lower_bound(sigma, 0.045), expected, gamma(20, float) * (1 + 4 / float(mass)))


def test_bounds_are_what_they_say():
    found, sigma = loss_bounds(0.2, 0.03), np.sqrt(4 * (0.03 / 3 - 0.03**2 / 4))
    expected = {
        "lower": lower_bound(sigma, 0.03),
        "oracle_support": oracle_support_loss(sigma, 0.03),
        "bayes": bayes_loss(sigma, 0.03),
        "mean_field": optimal_relu(sigma, 0.03).loss,
        "upper": relu_loss(1.0, -sigma * np.sqrt(2 * np.log(1 / 0.03)), sigma, 0.03),
    }
    # σ is rounded ten times, and the losses change no faster than its fourth power.
    for name, value in expected.items():
        assert_close(getattr(found, name), value, PROMISED + gamma(40, float))


def test_naive_twin_scaling_by_fits_of_one_variable():
    p, r = 1e-4 * 2.0 ** np.arange(3), 0.05 * 1.5 ** np.arange(4)
    found = scaling(p[:, None], r)
    loss = symmetric_optimum(r, p[:, None]).loss
    # On crossed axes the fit of both is that of each to the mean over the other.
    by_p, by_r = (np.polyfit(np.log(x), np.log(loss).mean(axis=k), 1)[0] for k, x in ((1, p), (0, r)))
    centred = np.log(loss) - np.log(loss).mean()
    left = centred - by_p * (np.log(p) - np.log(p).mean())[:, None] - by_r * (np.log(r) - np.log(r).mean())
    # Least squares of logarithms of some 10, columns of norm √12 · 10 before centring: a condition of less than 1e3.
    rounded = gamma(1000 * 100, float)
    assert_close(found.probability_exponent, by_p, rounded)
    assert_close(found.ratio_exponent, by_r, rounded)
    assert_within(found.spread, np.sqrt((left**2).mean()), 10 * rounded)
    assert_close(found.p2_over_r, p[:, None] ** 2 / r, gamma(4, float))
    assert_close(found.loss, loss, gamma(4, float))


def test_limits_of_the_upper_bound():
    assert upper_bound(1.0, 0.3) == 0
    assert np.isfinite(upper_bound(np.array([1e-4, 0.5, 1 - 1e-6]), np.array([1.0, 1e-9, 0.5]))).all()


def test_lower_bound_by_simulation(rng):
    sigma = 0.2
    y = rng.random(400_000) + sigma * rng.standard_normal(400_000)
    g = rng.standard_normal(400_000)
    middle = g[np.abs(g) <= 1]
    share, mass = len(middle) / len(g), ((y >= sigma) & (y <= 1 - sigma)).mean()
    variance = (middle - middle.mean()) ** 2
    # Relative variances of the three factors add up.
    spread = (1 / share + 1 / mass - 2) / len(g) + (variance.std() / variance.mean()) ** 2 / len(middle)
    assert_close(lower_bound(sigma, 1.0), share * variance.mean() * sigma**2 * mass, Z_BOUND * np.sqrt(spread), 0.02)
    assert lower_bound(np.array([0.0, 0.5, 3.0]), 0.1).tolist() == [0, 0, 0]
    assert lower_bound(0.2, 0.1) <= oracle_support_loss(0.2, 0.1)


@pytest.mark.filterwarnings("error")
def test_limits_of_the_lower_bound():
    constant = lower_bound(1e-9, 1.0) / 1e-18
    # Of the mass up to σ + σφ(0) is missing at each end.
    assert_close(constant, 0.19874804309879915, 4 * 1e-9)
    for sigma in (1e-60, 1e-140):
        assert_close(lower_bound(sigma, 0.1), 0.1 * 0.19874804309879915 * sigma**2, gamma(50, float))
    assert lower_bound([1e-160, 1e160, 1e300], 0.1).max() < 1e-300


def test_known_scaling_between_the_bounds():
    """Loss ~ p²/r: the exponent of r is −1 and that of p a little below 2, for p ≪ r ≪ 1."""
    p, r = np.geomspace(1e-6, 1e-5, 5)[:, None], np.geomspace(0.01, 0.03, 5)
    found = scaling(p, r)
    # (1 − r)/r has the exponent −1/(1 − r). What the logarithms in the best threshold add is of order 1/log(1/p) in
    # the exponent of p and of its square in that of r, and their change over the grid is left to the spread.
    logarithm = np.log(1 / p.max())
    assert_within(found.ratio_exponent, -1, r.max() / (1 - r.max()) + 2 / logarithm**2, resolution=0.05)
    assert 2 - 2 / logarithm < found.probability_exponent < 2.0
    assert found.spread < 2 / logarithm**2
    sigma2 = minimal_noise_variance(r, p)
    # Above the oracle's order σ² p, below that of the ansatz, σ² p · 2 log 1/p.
    assert (found.loss > 0.9 * sigma2 * p).all()
    assert (found.loss < sigma2 * p * 2 * np.log(1 / p)).all()
    assert_close(found.p2_over_r_log, found.p2_over_r * np.log(1 / p), gamma(20, float))  # two logarithms


def test_scaling_of_one_probability_has_no_exponent_for_it():
    found = scaling(1e-4, np.array([0.05, 0.1]))
    assert np.isnan(found.probability_exponent)
    assert np.isfinite(found.ratio_exponent)


def test_welch_bound_is_attained_by_a_simplex_and_not_beaten_by_random_frames(rng):
    assert_close(welch_bound(4, 3), 1 / 3, gamma(5, float))
    frame = rng.standard_normal((20, 5))
    frame /= np.linalg.norm(frame, axis=1, keepdims=True)
    assert np.abs(frame @ frame.T - np.eye(20)).max() > welch_bound(20, 5)
    assert welch_bound(5, 5) == 0


@pytest.mark.parametrize("call", [lambda: upper_bound(0.0, 0.1), lambda: scaling(1.0, 0.1), lambda: welch_bound(3, 4)])
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()


def test_an_empty_grid_has_no_scaling():
    with pytest.raises(ValueError, match=r"`probability` and `ratio` must not be empty, got shape \(0,\)"):
        scaling([], 0.1)
