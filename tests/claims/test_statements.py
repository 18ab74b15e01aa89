"""Statements of the papers that no figure and no test of a room shows, or their contrary; each as its text has it."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch

from superposition import PersianRug, SparseFeatures, Uniform, reference, symmetry_of_weights, theory
from superposition.decoders import ThresholdLeastSquares
from superposition.features.exactly_sparse import sparse_vectors
from superposition.models import DenseEncoder, encoder_of, hadamard_transform
from tests.rounding import gamma

ROUNDING = gamma(1000, float)
# Relative, of SciPy's adaptive quadrature and its Gaussian integrals.
QUADRATURE = 1e-7


def test_the_rarer_features_are_the_sooner_the_loss_has_fallen():
    """The ratio at which half of the loss is gone, and the slope before it, in units of the loss at ratio 0."""
    ratios = np.geomspace(1e-5, 1, 400)
    halved, slopes = [], []
    for p in (1e-4, 1e-3, 1e-2, 1e-1):
        relative = theory.symmetric_optimum(ratios, p).loss / theory.zero_ratio_loss(p)
        halved.append(ratios[np.argmax(relative < 0.5)])
        slopes.append(0.5 / halved[-1])
    assert (np.diff(halved) > 0).all()
    assert (np.diff(slopes) < 0).all()
    # In proportion to p, up to its logarithm: not the same for all.
    assert halved[-1] / halved[0] > 50


def parts(a, b, sigma, p):
    """(1 − p) L_off and p L_on: the loss is affine in p at given a, b and σ."""
    off = theory.relu_loss(a, b, sigma, 1e-300)
    return (1 - p) * off, theory.relu_loss(a, b, sigma, p) - (1 - p) * off


@pytest.mark.parametrize(("r", "p"), [(0.1, 1e-2), (0.05, 1e-3), (0.02, 1e-4)])
def test_inactive_features_make_the_loss_until_they_are_screened(r, p):
    best = theory.symmetric_optimum(r, p)
    off, on = parts(1.0, 0.0, best.noise_std, p)
    assert off > 10 * on
    screened, at_best = parts(best.scale, best.bias, best.noise_std, p)
    assert screened < 0.05 * off
    assert at_best > screened


@pytest.mark.parametrize("p", [1e-3, 1e-2, 0.1])
def test_much_noise_damps_the_signal(p):
    found = [theory.optimal_relu(sigma, p) for sigma in (1.0, 10.0, 100.0, 1000.0)]
    assert (np.diff([best.scale for best in found]) < 0).all()
    assert found[-1].scale < 0.01


@pytest.mark.parametrize("epsilon", [0.25, 0.5, 0.75])
def test_the_loss_falls_faster_than_p_where_p_is_below_the_ratio(epsilon):
    p = 10.0 ** -np.arange(2, 13, 2)
    best = theory.symmetric_optimum(p ** (1 - epsilon), p)
    assert (np.diff(best.loss / p) < 0).all()
    # σ² ~ p^ε and its logarithm.
    assert best.loss[-1] / p[-1] < 3 * p[-1] ** epsilon * np.log(1 / p[-1])
    assert (np.diff(np.abs(best.bias)[2:]) < 0).all()
    assert (np.diff(np.abs(best.scale - 1)[2:]) < 0).all()


def test_no_matrix_of_that_rank_is_below_the_bound(rng):
    """Eq. 15 to 18 for W of unit diagonal, not symmetric, and their equality for a projection alone."""
    n, m, p = 24, 6, 0.1
    features, v = SparseFeatures(n, p), p / 3 - p**2 / 4
    least = theory.minimal_noise_variance(m / n, p)
    for attempt in range(20):
        left, right = rng.standard_normal((2, n, m))
        if attempt >= 10:  # near one that attains it
            left = right = np.linalg.qr(right)[0] + 0.01 * attempt * left
        W = left @ right.T
        W /= np.diag(W)[:, None]
        eigenvalues, energy = np.linalg.eigvals(W), np.trace(W @ W.T)
        condition = np.linalg.cond(np.linalg.eig(W)[1])
        assert abs(eigenvalues.sum() - n) < ROUNDING * n * energy  # backward stable, a sum of n
        assert np.sort(np.abs(eigenvalues))[: n - m].max() < ROUNDING * np.sqrt(energy) * max(condition, 1)
        assert energy > (np.abs(eigenvalues) ** 2).sum() * (1 - ROUNDING) > n**2 / m * (1 - 2 * ROUNDING)
        found = symmetry_of_weights(torch.from_numpy(W), torch.zeros(n, dtype=torch.float64), features)
        assert found.noise_variance.mean == pytest.approx(v * (energy / n - 1), rel=1e-5)  # W may be read as float32
        assert found.noise_variance.mean > 1.001 * least


def test_the_mean_interference_of_a_general_hadamard_matrix_depends_on_the_row():
    """Signs of rows may be flipped: H stays a Hadamard matrix, and diagonal and sums of squares are as they were."""
    n, rows = 32, [0, 3, 5, 17]
    H = hadamard_transform(torch.eye(n, dtype=torch.float64))
    H = H / H.abs().max()
    flipped = H * torch.where(torch.arange(n) % 3 == 0, -1.0, 1.0)[:, None].double()
    torch.testing.assert_close(flipped @ flipped.T, n * torch.eye(n, dtype=torch.float64))
    found = [
        symmetry_of_weights(
            each[:, rows] @ each[:, rows].T / len(rows), torch.zeros(n).double(), SparseFeatures(n, 0.1)
        )
        for each in (H, flipped)
    ]
    for each in found:
        assert each.diagonal.extent < 1e-6
        assert each.noise_variance.extent < 1e-6 * each.noise_variance.mean
    assert found[0].noise_mean.extent < 1e-6
    assert found[1].noise_mean.extent > 0.1


def test_knowing_which_features_are_present_would_save_most_of_the_loss():
    found = theory.loss_bounds(0.25, 0.045)
    assert found.oracle_support < 0.3 * found.bayes


def test_small_models_are_not_nearest_to_gaussian_at_large_probabilities():
    """Λ over the models of n = 128 of figure 8's table, which the default protocol trained."""
    table = reference.load("figure-8").to_pylist()
    small = [row for row in table if row["n_features"] == 128 and row["protocol"] == "default" and row["value"]]
    rare = [row["value"] for row in small if row["probability"] < 0.01]
    frequent = [row["value"] for row in small if 0.2 < row["probability"] < 0.6]
    assert min(len(rare), len(frequent)) > 50
    assert np.median(rare) < 0.4
    assert np.median(frequent) > 0.9


@pytest.mark.parametrize(("shift", "sigma", "p"), [(-0.3, 0.2, 0.05), (0.1, 0.5, 0.3), (-0.05, 0.02, 0.001)])
def test_the_loss_is_quadratic_in_the_scale(shift, sigma, p):
    """L(a) = E x² − 2 a E[x ReLU(x + ν + b)] + a² E ReLU(x + ν + b)²; its vertex is eq. 13."""
    a = np.array([0.5, 1.0, 1.5, 2.0])
    loss = theory.relu_loss(a, a * shift, sigma, p)
    second, first, constant = np.polyfit(a, loss, 2)
    assert constant == pytest.approx(p / 3, rel=1e-9)
    np.testing.assert_allclose(np.polyval([second, first, constant], a), loss, rtol=1e-9)

    def positive(y):  # E ReLU(y + ν) and E ReLU(y + ν)²
        t = y / sigma
        density, below = scipy.stats.norm.pdf(t), scipy.stats.norm.cdf(t)
        return y * below + sigma * density, (y * y + sigma**2) * below + y * sigma * density

    edges = sorted({0.0, 1.0, float(np.clip(-shift, 0, 1))})
    product = p * scipy.integrate.quad(lambda u: u * positive(u + shift)[0], 0, 1, points=edges)[0]
    square = p * scipy.integrate.quad(lambda u: positive(u + shift)[1], 0, 1, points=edges)[0]
    square += (1 - p) * positive(shift)[1]
    assert -first / (2 * second) == pytest.approx(product / square, rel=QUADRATURE)


@pytest.mark.parametrize("b", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0, 3.5])
def test_the_error_of_active_features_in_two_parts(b, tau):
    """Appendix C at a = 1: the ReLU's error, where u + ν < b, and the noise's; the bounds of each; and of the loss."""
    sigma = b / tau

    def silent(u):
        return scipy.stats.norm.cdf((b - u) / sigma)

    def cut_off(low, high):
        return scipy.integrate.quad(lambda u: u**2 * silent(u), low, high, epsabs=1e-14)[0]

    def noise(u):  # E (ν − b)² over ν > b − u
        t = (b - u) / sigma
        density, above = scipy.stats.norm.pdf(t), scipy.stats.norm.sf(t)
        return sigma**2 * (above + t * density) - 2 * b * sigma * density + b * b * above

    around, tail = cut_off(0, 2 * b), cut_off(2 * b, 1)
    of_noise = scipy.integrate.quad(noise, 0, 1, points=[b, 2 * b], epsabs=1e-14)[0]
    on = parts(1.0, -b, sigma, 0.5)[1] / 0.5
    assert around + tail + of_noise == pytest.approx(on, rel=QUADRATURE)
    assert of_noise < sigma**2 + b**2
    assert around < (2 * b) ** 3 / 3
    assert tail < (1 - 2 * b) * np.exp(-(tau**2) / 2)
    for p in (0.001, 0.1):
        off = sigma**2 / 2 * np.exp(-(tau**2) / 2)
        bound = (1 - p) * off + p * (8 * b**3 / 3 + (1 + b) * np.exp(-(tau**2) / 2) + sigma**2 + sigma * b + b**2)
        assert theory.relu_loss(1.0, -b, sigma, p) < bound


@pytest.mark.parametrize(("b", "sigma"), [(0.05, 0.05), (0.2, 0.1)])
def test_the_first_display_of_appendix_c_is_not_the_error_of_active_features(b, sigma):
    """As printed, σ² ∫ exp(−(ν + |b|)²/2σ²)/√2π (u − ReLU(u + σν))² dν; and with φ(ν + |b|/σ) in its place."""
    u = (np.arange(400) + 0.5)[:, None] / 400

    def mean(nu, weight):
        return ((u - np.maximum(u + sigma * nu, 0)) ** 2 * weight).sum(1).mean() * (nu[1] - nu[0])

    nu = np.linspace(-12, 8, 4001)
    printed = sigma**2 * mean(nu * sigma, np.exp(-((nu * sigma + b) ** 2) / (2 * sigma**2)) / np.sqrt(2 * np.pi))
    meant = mean(nu, scipy.stats.norm.pdf(nu + b / sigma))
    on = parts(1.0, -b, sigma, 0.5)[1] / 0.5
    assert meant == pytest.approx(on, rel=1e-3)  # sums of midpoints, of a function with a kink
    assert printed < 0.1 * on


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 3.0, 6.0])
def test_the_error_of_inactive_features_is_bounded(tau):
    off = theory.relu_loss(1.0, -0.1 * tau, 0.1, 1e-300)
    assert 0 < off <= 0.1**2 / 2 * np.exp(-(tau**2) / 2) * (1 + ROUNDING)


def test_the_bias_needs_its_factor_of_root_two():
    """With b = −σ√log(1/p) the loss over p σ² log(1/p) grows without end; with the factor it is bounded."""
    p = 10.0 ** -np.arange(3, 13, 3)
    sigma = np.sqrt(p)
    unit = p * sigma**2 * np.log(1 / p)
    without = theory.relu_loss(1.0, -sigma * np.sqrt(np.log(1 / p)), sigma, p) / unit
    assert (np.diff(without) > 0).all()
    assert without[-1] > 100
    assert (theory.relu_loss(1.0, -sigma * np.sqrt(2 * np.log(1 / p)), sigma, p) / unit < 4).all()


@pytest.mark.parametrize(("r", "p"), [(0.25, 0.045), (0.05, 1e-3)])
def test_the_loss_is_above_its_part_of_active_features(r, p):
    best = theory.symmetric_optimum(r, p)
    off, on = parts(best.scale, best.bias, best.noise_std, p)
    assert best.loss > on * (1 + 1e-6)
    assert off > 0


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.24])
def test_an_active_feature_seen_in_noise_is_a_truncated_gaussian(sigma):
    """Posterior, normalising constant, the share within σ and the variance, for y in [σ, 1 − σ]."""
    least = []
    for y in np.linspace(sigma, 1 - sigma, 9):
        low, high = -y / sigma, (1 - y) / sigma
        truncated = scipy.stats.truncnorm(low, high, y, sigma)
        found = theory.bayes_denoiser(y, sigma, 1.0, Uniform())
        assert found.mean == pytest.approx(truncated.mean(), rel=1e-6)
        assert found.variance == pytest.approx(truncated.var(), rel=1e-5)
        constant = np.sqrt(2 * np.pi) * sigma * (scipy.stats.norm.cdf(high) - scipy.stats.norm.cdf(low))
        assert np.sqrt(2 * np.pi) * sigma**2 < constant <= np.sqrt(2 * np.pi) * sigma * (1 + ROUNDING)
        within = truncated.cdf(y + sigma) - truncated.cdf(y - sigma)
        assert within >= scipy.special.erf(0.5**0.5) * (1 - 1e-9)
        inner = scipy.stats.truncnorm(-1, 1, y, sigma).var()
        assert found.variance > within * inner
        least.append(found.variance / sigma**2)
    assert min(least) > 0.19


def test_most_observations_lie_inside(rng):
    def inside(sigma):  # P[σ ≤ u + ν ≤ 1 − σ], by the density of u + ν
        def density(y):
            return scipy.stats.norm.cdf(y / sigma) - scipy.stats.norm.cdf((y - 1) / sigma)

        return scipy.integrate.quad(density, sigma, 1 - sigma)[0]

    shares = [inside(sigma) for sigma in (0.25, 0.2, 0.1, 0.05, 0.01)]
    assert (np.diff(shares) > 0).all()
    assert shares[0] > 0.4
    sampled = rng.random(100_000) + 0.1 * rng.standard_normal(100_000)
    assert ((sampled > 0.1) & (sampled < 0.9)).mean() == pytest.approx(shares[2], abs=0.01)  # 8 standard errors


def test_what_importance_does_to_the_two_groups():
    """The optimal allocation of appendix H, over α."""

    def allocated(alpha):
        features = SparseFeatures(64, 0.04, importance=np.repeat([1.0, alpha], 32))
        found = theory.allocate(features, 16)
        return [half.mean() for half in np.split(found.capacity, 2)], found

    half = allocated(0.5)[1]
    assert (half.capacity > 0).all()
    few, least = allocated(0.05)
    assert few == pytest.approx([0.5, 0.0])
    noise = [found.noise_std[0] for found in (least, half, allocated(1.0)[1])]
    assert (np.diff(noise) > 0).all()
    # Smoothly: an even change of α changes the shares evenly, and little.
    near = np.array([allocated(alpha)[0][0] for alpha in (1.0, 0.9, 0.8)])
    assert (np.diff(near) > 0).all()
    assert np.abs(np.diff(near, 2)).max() < 0.3 * np.diff(near).max()


def test_what_a_rug_returns_is_not_sparse():
    n, k = 256, 5
    rug = PersianRug.fit(SparseFeatures(n, k / n), 64, seed=0)
    x = sparse_vectors(n, k, 50, seed=0)
    returned = rug(x)
    assert ((returned - x) ** 2).sum(1).mean() < (x**2).sum(1).mean()
    assert (returned > 0).sum(1).double().mean() > k


def test_least_squares_on_the_right_support_is_not_the_nearest_sparse_vector():
    """Of k large entries and a small rest: the support is right, the values make up for the rest."""
    n, m, k = 256, 192, 3
    encoder = DenseEncoder.gaussian(n, m, seed=0, dtype=torch.float64)
    large = sparse_vectors(n, k, 50, seed=1, lowest=0.8, dtype=torch.float64)
    rest = 0.01 * torch.rand(50, n, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    nearest = large + rest * (large > 0)
    x = nearest + rest * (large == 0)
    decoded = ThresholdLeastSquares(k)(encoder.encode(x), encoder, SparseFeatures(n, k / n)).features
    right = ((decoded > 0) == (large > 0)).all(1)
    assert right.double().mean() > 0.9
    off = (decoded - nearest).abs().amax(1)[right]
    assert (off > 1e-4).all()
    # With nothing else in x it is x.
    exact = ThresholdLeastSquares(k)(encoder.encode(large), encoder, SparseFeatures(n, k / n)).features
    assert ((exact - large).abs().amax(1)[right] < 1e-9).all()
    assert encoder_of(encoder) is encoder
