"""The Bayes denoiser and its two losses: closed form, Tweedie, brute force, order of bounds."""

import mpmath as mp
import numpy as np
import pytest
from scipy.special import expit

from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, Uniform
from superposition.theory import bayes_denoiser, bayes_loss, lower_bound, optimal_relu, oracle_support_loss
from tests.features.test_laws_oracle import expectation
from tests.oracles.truncated_gaussian import posterior
from tests.rounding import PROMISED, assert_close, assert_within, central_difference, gamma
from tests.statistics import agrees

# Some 120 nodes of positive terms, each an exponential: its exponent, 81/2 at most where the term counts, is rounded,
# and so are the odds against the spike.
MEAN = gamma(500, float)
# A sum of squares of such differences; a loss is a sum of variances.
VARIANCE = gamma(1000, float)

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
    assert_close(found.mean, mean, MEAN)
    assert_close(found.variance, variance, VARIANCE)


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

        def moment(power, unit=1):
            def integrand(u):
                return ((u - mp.mpf(mode)) / width) ** power * likely(u) / unit

            return expectation(law, integrand, mode, width, range(-40, 41))

        # In units of its own, as mpmath's integrals are exact to an absolute 1e-30.
        unit = moment(0)
        mass, first, second = (moment(power, unit) for power in range(3))
        mean = mode + width * first / mass
        variance = mp.mpf(width) ** 2 * (second / mass - (first / mass) ** 2)
    found = bayes_denoiser(z, sigma, 1.0, law)
    # Logarithms of the law's density, and of the Gaussian far off its centre, are rounded in proportion to their size.
    size = ((z - mode) / sigma) ** 2 / 2 + (law.alpha + law.beta if isinstance(law, Beta) else 0)
    assert_close(found.mean, float(mean), MEAN + gamma(4 * size, float))
    assert_close(found.variance, float(variance), VARIANCE + gamma(8 * size, float))


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
    assert (np.diff(found.mean) >= -MEAN * found.mean[1:]).all()
    assert (found.variance >= 0).all()
    if sigma != 1e-9 or not isinstance(law, Beta):  # where each takes seconds
        assert 0 <= oracle_support_loss(sigma, 0.1, law) <= bayes_loss(sigma, 0.1, law) * (1 + PROMISED)


def test_far_below_the_law_the_posterior_is_an_exponential():
    found = bayes_denoiser(2.0, 1e-9, 0.1)
    # Of rate (z − 1)/σ²; it is bent by σ²/(z − 1)².
    assert found.mean == 1.0
    assert_close(found.variance, 1e-36, VARIANCE)


def test_identity_tweedie():
    z = np.linspace(-0.3, 1.3, 33)
    slope, error = central_difference(lambda z: bayes_denoiser(z, 0.1, 0.2).mean, z, 1e-4, MEAN)
    assert (error < 1e-4 * slope).all()
    assert_within(bayes_denoiser(z, 0.1, 0.2).variance, 0.1**2 * slope, 0.1**2 * error + VARIANCE)


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
    # The rule converges beyond all powers for what is smooth and ends at 0: 10 σ off, and in steps far below σ.
    expected = np.trapezoid(density * bayes_denoiser(z, sigma, p).variance, z)
    assert_close(bayes_loss(sigma, p), expected, 2 * VARIANCE)


@pytest.mark.parametrize("p", [1e-15, 1e-60, 1e-200, 1e-300])
def test_naive_twin_bayes_loss_of_rare_features(p):
    from scipy.special import ndtr

    sigma, z = 0.01, np.linspace(-0.1, 1.1, 200_001)
    upper, lower = ndtr((1 - z) / sigma) - ndtr(-z / sigma), ndtr(z / sigma) - ndtr((z - 1) / sigma)
    density = np.where(z > 0.5, upper, lower)  # of the smaller tails
    given = bayes_denoiser(z, sigma, 1.0)
    log_odds = np.log(p) + np.log(density * sigma * np.sqrt(2 * np.pi)) + 0.5 * (z / sigma) ** 2
    expected = np.trapezoid(density * (given.variance + expit(-log_odds) * given.mean**2), z)
    # Log odds of up to some thousands on both sides, of 700 where they count.
    assert_close(bayes_loss(sigma, p) / p, expected, 2 * VARIANCE + gamma(4 * 700, float))


@pytest.mark.parametrize("sigma", [0.3, 0.1, 0.04, 0.02])
@pytest.mark.parametrize("p", [0.9, 0.1, 1e-9])
def test_naive_twin_bayes_loss_of_a_constant_that_noise_hardly_hides(sigma, p):
    z = np.linspace(-10 * sigma, 1 + 10 * sigma, 2_000_001)
    off = expit(np.log1p(-p) - np.log(p) - (z - 0.5) / sigma**2)
    density = np.exp(-0.5 * ((z - 1) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    # Log odds of up to 11/σ² = 3e4 at the ends; 1/2σ² where they count.
    bound = VARIANCE + gamma(4 / sigma**2, float)
    assert_close(bayes_loss(sigma, p, Constant()), p * np.trapezoid(density * off, z), bound)


@pytest.mark.parametrize(
    ("law", "sigma"),
    [(Beta(0.3, 3000.0), 1e-3), (Beta(2, 5), 0.2), (Exponential(0.01), 0.02), (Exponential(0.01), 0.1)],
)
def test_naive_twin_losses_are_those_of_the_nodes_as_a_discrete_law(law, sigma):
    # Noise no narrower than a panel: over one 12 nodes are then exact but for rounding.
    atoms = Empirical(*law.nodes(0.0, 0.0))
    for loss in (bayes_loss, oracle_support_loss):
        assert_close(loss(sigma, 0.1, law), loss(sigma, 0.1, atoms), 2 * VARIANCE)


@pytest.mark.parametrize(
    ("law", "sigma"), [(Uniform(0.9, 1), 1e-9), (Uniform(1, 2), 1e-9), (Uniform(5, 6), 3e-9), (Uniform(5, 6), 1e-30)]
)
def test_limit_noise_near_the_rounding_of_the_values(law, sigma):
    # An edge takes some of the noise's variance within a σ or two of it; nodes there are rounded in units of σ.
    for loss in (bayes_loss, oracle_support_loss):
        edges, places = 2 * sigma / (law.high - law.low), 2 * np.finfo(float).eps * law.high
        assert_close(loss(sigma, 0.1, law), 0.1 * sigma**2, 1e-9 + edges + places)


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
    rounding = gamma(4 * np.abs(log_odds).max() + 20, float)
    assert_close(found.mean, on, rounding)
    assert_close(found.variance, on * off, 2 * rounding)
    assert oracle_support_loss(sigma, p, Constant()) == 0


@pytest.mark.parametrize("law", [Uniform(), Constant(), Uniform(0.5, 1.0), Uniform(0, 3)], ids=str)
def test_property_order_of_the_bounds_at_equal_noise(law, rng):
    for _ in range(12):
        sigma, p = float(np.exp(rng.uniform(-7, 1))), float(np.exp(rng.uniform(np.log(1e-6), 0)))
        oracle, bayes = oracle_support_loss(sigma, p, law), bayes_loss(sigma, p, law)
        relu = optimal_relu(sigma, p, law).loss
        assert oracle <= bayes * (1 + PROMISED)
        assert bayes <= relu * (1 + PROMISED)
        if law == Uniform():
            assert lower_bound(sigma, p) <= oracle * (1 + PROMISED)


def test_limits():
    assert bayes_loss(0.0, 0.3) == oracle_support_loss(0.0, 0.3) == 0
    assert_close(bayes_loss(0.3, 1.0), oracle_support_loss(0.3, 1.0), VARIANCE)
    # Without information the best guess is the mean; v/(1 + v/σ²) is left of v, 1e-8 less at most.
    assert_close(bayes_loss(1e4, 0.3), 0.3 / 3 - 0.3**2 / 4, 1e-8)
    assert_close(oracle_support_loss(1e4, 0.3), 0.3 / 12, 1e-8)
    # Little noise: the value is known up to the noise, but within a σ of an edge, of which there are two.
    assert_close(oracle_support_loss(1e-5, 0.3), 0.3 * 1e-10, 2 * 1e-5)


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
