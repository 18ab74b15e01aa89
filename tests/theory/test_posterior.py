"""The Bayes denoiser and its two losses: closed form, Tweedie, brute force, order of bounds."""

import mpmath as mp
import numpy as np
import pytest
from scipy.special import expit

from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, Uniform
from superposition.theory import bayes_denoiser, bayes_loss, lower_bound, optimal_relu, oracle_support_loss
from tests.features.test_laws_oracle import expectation
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


@pytest.mark.parametrize(
    ("law", "z", "sigma", "mode", "width"),
    [  # mode and width of the posterior: where the naive integral needs its panels
        (Beta(1, 3000), 0.5, 0.01, 0.148, 0.01),
        (Beta(0.3, 3000.0), 0.5, 0.01, 0.148, 0.01),
        (Beta(0.3, 3000.0), -0.05, 0.01, 0.0, 3e-4),
        (Beta(2, 5), 3.0, 0.1, 0.98, 0.01),
        (Beta(2, 5), -1.8, 2e-4, 2e-8, 2e-8),
        (Beta(0.5, 0.5), -1.0, 0.2, 0.0, 0.03),
        (Beta(0.05, 0.3), 0.3, 0.05, 0.3, 0.05),
        (Beta(0.05, 0.3), 2.0, 0.1, 1.0, 0.005),
        (Exponential(), 70.0, 0.1, 69.99, 0.1),
        (Exponential(), -3.0, 0.5, 0.0, 0.08),
        (HalfNormal(), 12.0, 0.5, 9.6, 0.45),
        (Uniform(0.5, 3.0), -4.0, 0.1, 0.5, 0.0022),
        (Uniform(0.5, 3.0), 1.0, 1e-9, 1.0, 1e-9),
    ],
)
def test_naive_twin_any_law_however_far_the_observation(law, z, sigma, mode, width):
    with mp.workdps(30):

        def likely(u):
            distances = mp.mpf(z) - mode, mp.mpf(z) - u
            return mp.exp((distances[0] ** 2 - distances[1] ** 2) / (2 * mp.mpf(sigma) ** 2))

        def moment(power):
            return expectation(law, lambda u: (u - mp.mpf(mode)) ** power * likely(u), mode, width, range(-40, 41))

        mass, first, second = (moment(power) for power in range(3))
        mean, variance = mode + first / mass, second / mass - (first / mass) ** 2
    found = bayes_denoiser(z, sigma, 1.0, law)
    assert found.mean == pytest.approx(float(mean), rel=1e-11)
    assert found.variance == pytest.approx(float(variance), rel=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sigma", [1e-119, 1e-9, 0.1, 1e149])
@pytest.mark.parametrize(
    "law",
    [
        *(Uniform(), Uniform(5, 6), Exponential(), HalfNormal(), Constant(), Empirical([1, 2])),
        *(Beta(2, 5), Beta(0.3, 0.3), Beta(1, 3000), Beta(0.3, 1e6), Beta(1e-12, 1e-12)),
    ],
    ids=str,
)
def test_extreme_observations_are_finite_and_silent(law, sigma):
    z = np.array([-1e149, -1e5, -1.0, 0.0, 0.4, 1.0, 5.5, 1e5, 1e149])
    found = bayes_denoiser(z, sigma, 0.1, law)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.variance).all()
    assert (np.diff(found.mean) >= -1e-12 * found.mean[1:]).all()
    assert (found.variance >= 0).all()
    if sigma != 1e-9 or not isinstance(law, Beta):  # where each takes seconds
        assert 0 <= oracle_support_loss(sigma, 0.1, law) <= bayes_loss(sigma, 0.1, law) * (1 + 1e-9)


def test_far_below_the_law_the_posterior_is_an_exponential():
    found = bayes_denoiser(2.0, 1e-9, 0.1)
    assert (found.mean, found.variance) == (1.0, pytest.approx(1e-36, rel=1e-9))


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


@pytest.mark.parametrize("p", [1e-15, 1e-60, 1e-200, 1e-300])
def test_naive_twin_bayes_loss_of_rare_features(p):
    from scipy.special import ndtr

    sigma, z = 0.01, np.linspace(-0.05, 1.05, 200_001)
    density = ndtr(z / sigma) - ndtr((z - 1) / sigma)
    given = bayes_denoiser(z, sigma, 1.0)
    log_odds = np.log(p) + np.log(density * sigma * np.sqrt(2 * np.pi)) + 0.5 * (z / sigma) ** 2
    expected = np.trapezoid(density * (given.variance + expit(-log_odds) * given.mean**2), z)
    assert bayes_loss(sigma, p) / p == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sigma", [0.3, 0.1, 0.04, 0.02])
@pytest.mark.parametrize("p", [0.9, 0.1, 1e-9])
def test_naive_twin_bayes_loss_of_a_constant_that_noise_hardly_hides(sigma, p):
    z = np.linspace(-10 * sigma, 1 + 10 * sigma, 2_000_001)
    off = expit(np.log1p(-p) - np.log(p) - (z - 0.5) / sigma**2)
    density = np.exp(-0.5 * ((z - 1) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    assert bayes_loss(sigma, p, Constant()) == pytest.approx(p * np.trapezoid(density * off, z), rel=1e-11)


@pytest.mark.parametrize(
    ("law", "sigma"),
    [(Beta(0.3, 3000.0), 1e-3), (Beta(2, 5), 0.2), (Exponential(0.01), 0.005), (Exponential(0.01), 0.1)],
)
def test_naive_twin_losses_are_those_of_the_nodes_as_a_discrete_law(law, sigma):
    atoms = Empirical(*law.nodes(0.0, 0.0))
    for loss in (bayes_loss, oracle_support_loss):
        assert loss(sigma, 0.1, law) == pytest.approx(loss(sigma, 0.1, atoms), rel=1e-9)


@pytest.mark.parametrize(
    ("law", "sigma"), [(Uniform(0.9, 1), 1e-9), (Uniform(1, 2), 1e-9), (Uniform(5, 6), 3e-9), (Uniform(5, 6), 1e-30)]
)
def test_limit_noise_near_the_rounding_of_the_values(law, sigma):
    assert bayes_loss(sigma, 0.1, law) == pytest.approx(0.1 * sigma**2, rel=1e-7)
    assert oracle_support_loss(sigma, 0.1, law) == pytest.approx(0.1 * sigma**2, rel=1e-7)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes_denoiser(1e200, 0.1, 0.5), r"`z` must be in \[-1e\+150, 1e\+150\], got 1e\+200"),
        (lambda: bayes_denoiser(0.1, 1e-200, 0.5), r"`noise_std` must be in \[1e-120, 1e\+150\], got 1e-200"),
        (lambda: bayes_loss([0.0, 1e160], 0.5), r"`noise_std` must be in .*, got 1e\+160 at index 1"),
    ],
)
def test_arguments_without_a_square_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
