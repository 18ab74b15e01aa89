"""The Bayes denoiser and its two losses: closed form, Tweedie, brute force, order of bounds."""

import numpy as np
import pytest
from scipy.special import expit

from superposition.features import Constant, Uniform
from superposition.theory import bayes_denoiser, bayes_loss, lower_bound, optimal_relu, oracle_support_loss
from tests.oracles.truncated_gaussian import posterior
from tests.statistics import agrees

POINTS = [
    (0.6, 0.1, 0.045),
    (-0.5, 0.1, 0.3),
    (-2.0, 0.1, 0.3),
    (1.5, 0.05, 0.01),
    (3.0, 0.1, 0.5),
    (0.3, 1e-3, 1e-6),
    (0.004, 1e-3, 1e-4),
    (5e-8, 1e-8, 1e-3),
    (20.0, 3.0, 0.2),
    (-40.0, 3.0, 0.2),
    (0.5, 1.0, 1.0),
]


@pytest.mark.parametrize(("z", "sigma", "p"), POINTS)
def test_naive_twin_closed_form_at_400_digits(z, sigma, p):
    found = bayes_denoiser(z, sigma, p)
    mean, variance = posterior(z, sigma, p)
    assert found.mean == pytest.approx(mean, rel=1e-11)
    assert found.variance == pytest.approx(variance, rel=1e-10)


def test_identity_tweedie():
    z, h = np.linspace(-0.3, 1.3, 33), 1e-5
    slope = (bayes_denoiser(z + h, 0.1, 0.2).mean - bayes_denoiser(z - h, 0.1, 0.2).mean) / (2 * h)
    np.testing.assert_allclose(bayes_denoiser(z, 0.1, 0.2).variance, 0.1**2 * slope, rtol=1e-7)


def test_broadcasting_equals_scalars():
    z, sigma, p = np.array([[-0.1], [0.4]]), np.array([0.1, 0.2, 0.1]), 0.3
    found = bayes_denoiser(z, sigma, p)
    for i in range(2):
        for j in range(3):
            one = bayes_denoiser(float(z[i, 0]), float(sigma[j]), p)
            assert (one.mean, one.variance) == (found.mean[i, j], found.variance[i, j])
    assert oracle_support_loss(sigma, p)[0] == oracle_support_loss(0.1, p)


@pytest.mark.parametrize(("sigma", "p"), [(0.2085, 0.045), (0.01, 0.01), (1e-3, 1e-5), (0.7, 0.4)])
def test_naive_twin_bayes_loss_by_a_fine_sum(sigma, p):
    from scipy.special import ndtr

    z = np.linspace(-10 * sigma, 1 + 10 * sigma, 200_001)
    density = p * (ndtr(z / sigma) - ndtr((z - 1) / sigma)) + (1 - p) * np.exp(-0.5 * (z / sigma) ** 2) / (
        sigma * np.sqrt(2 * np.pi)
    )
    expected = np.trapezoid(density * bayes_denoiser(z, sigma, p).variance, z)
    assert bayes_loss(sigma, p) == pytest.approx(expected, rel=1e-9)


def test_simulation_of_the_bayes_decoder(rng):
    sigma, p, n = 0.15, 0.1, 1_000_000
    x = (rng.random(n) < p) * rng.random(n)
    z = x + sigma * rng.standard_normal(n)
    grid = np.linspace(z.min(), z.max(), 20_001)
    errors = (x - np.interp(z, grid, bayes_denoiser(grid, sigma, p).mean)) ** 2
    expected = bayes_loss(sigma, p)
    assert agrees(errors, expected, resolution=0.05)
    assert not agrees(errors, 1.08 * expected, resolution=0.05), "control"


def test_constant_law_two_point_posterior():
    sigma, p, z = 0.3, 0.2, np.linspace(-1, 2, 7)
    log_odds = (z - 0.5) / sigma**2 + np.log(p / (1 - p))
    on, off = expit(log_odds), expit(-log_odds)
    found = bayes_denoiser(z, sigma, p, Constant())
    np.testing.assert_allclose(found.mean, on, rtol=1e-12)
    np.testing.assert_allclose(found.variance, on * off, rtol=1e-12)
    assert oracle_support_loss(sigma, p, Constant()) == 0


@pytest.mark.parametrize("law", [Uniform(), Constant(), Uniform(0.5, 1.0), Uniform(0, 3)], ids=str)
def test_property_order_of_the_bounds_at_equal_noise(law, rng):
    for _ in range(12):
        sigma, p = float(np.exp(rng.uniform(-7, 1))), float(np.exp(rng.uniform(np.log(1e-6), 0)))
        oracle, bayes = oracle_support_loss(sigma, p, law), bayes_loss(sigma, p, law)
        relu = optimal_relu(sigma, p, law).loss
        assert oracle <= bayes * (1 + 1e-9)
        assert bayes <= relu * (1 + 1e-9)
        if law == Uniform():
            assert lower_bound(sigma, p) <= oracle * (1 + 1e-9)


def test_limits():
    assert bayes_loss(0.0, 0.3) == oracle_support_loss(0.0, 0.3) == 0
    assert bayes_loss(0.3, 1.0) == pytest.approx(oracle_support_loss(0.3, 1.0), rel=1e-12)
    # Without information the best guess is the mean.
    assert bayes_loss(1e4, 0.3) == pytest.approx(0.3 / 3 - 0.3**2 / 4, rel=1e-6)
    assert oracle_support_loss(1e4, 0.3) == pytest.approx(0.3 / 12, rel=1e-6)
    # Little noise, no edge in reach: the value is known up to the noise.
    assert oracle_support_loss(1e-5, 0.3) == pytest.approx(0.3 * 1e-10, rel=1e-4)


@pytest.mark.parametrize("arguments", [(0.1, 0.0, 0.5), (0.1, -1.0, 0.5), (np.nan, 1.0, 0.5), (0.1, 1.0, 0.0)])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        bayes_denoiser(*arguments)
