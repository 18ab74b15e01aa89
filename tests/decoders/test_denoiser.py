"""The tabulated denoiser against the theory's, entry by entry, and its derivative against differences."""

import itertools

import numpy as np
import pytest
import torch

from superposition.decoders.denoiser import Denoiser
from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, SparseFeatures, Uniform
from superposition.theory import bayes_denoiser, bayes_loss
from tests.rounding import assert_close, assert_within, gamma
from tests.statistics import Z_BOUND, agrees

LAWS = [Uniform(), Constant(), Exponential(), Uniform(0.5, 1.5), Empirical([0.1, 1.0])]


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("p", [0.01, 0.5])
def test_naive_twin_means_over_six_decades_of_noise(law, p, generator):
    sigma = torch.tensor([3.0, 0.2, 0.205, 0.01, 1e-3], dtype=torch.float64)
    x = SparseFeatures(1500, p, law).sample(5, generator, dtype=torch.float64)
    z = x + sigma[:, None] * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    mean, _ = Denoiser(law, p)(z, sigma)
    expected = bayes_denoiser(z.numpy(), sigma[:, None].numpy(), p, law).mean
    error = np.abs(mean.numpy() - expected) / sigma[:, None].numpy()
    # The tables are within 1e-3 σ as they are interpolated over σ; where the mean turns most sharply, ten times that.
    assert error.max() < 0.01
    assert np.sqrt((error**2).mean()) < 1e-3


def test_identity_variance_is_the_mean_derivative_of_what_is_returned(generator):
    sigma, table = torch.tensor([0.1, 0.02], dtype=torch.float64), Denoiser(Uniform(), 0.1)
    x = SparseFeatures(3000, 0.1).sample(2, generator, dtype=torch.float64)
    z = x + sigma[:, None] * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    _, variance = table(z, sigma)
    h = 1e-6 * sigma[:, None]
    slope = (table(z + h, sigma)[0] - table(z - h, sigma)[0]) / (2 * h)
    # The mean is made of straight pieces, 32 a σ. A share 2h · 32/σ of the entries has a bend within h, where slopes
    # differ by no more than they are; h is resolved to u/h.
    bent, resolved = 2 * 32 * 1e-6, 4 * np.finfo(float).eps / (1e-6 * 0.02)
    assert_close(variance, sigma**2 * slope.mean(dim=1), 2 * bent + resolved)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_simulation_error_and_variance_are_the_bayes_loss(dtype, generator):
    n, sigma = 400_000, 0.15
    x = SparseFeatures(n, 0.1).sample(1, generator, dtype=dtype)
    z = x + sigma * torch.randn(x.shape, generator=generator, dtype=dtype)
    mean, variance = Denoiser(Uniform(), 0.1)(z, torch.tensor([sigma], dtype=dtype))
    assert mean.dtype == dtype
    expected = bayes_loss(sigma, 0.1)
    squares = (mean - x)[0].double().square().numpy()
    assert agrees(squares, expected, resolution=0.05)
    assert not agrees(squares, 1.1 * expected, resolution=0.05), "control"
    # A mean of n posterior variances, of which 20 000 tell the spread.
    spread = bayes_denoiser(z[0, :20_000].double().numpy(), sigma, 0.1).variance.std()
    assert_within(float(variance), expected, Z_BOUND * spread / np.sqrt(n), resolution=0.02)


def test_rows_of_different_noise_are_as_when_alone(generator):
    sigma = torch.tensor([0.3, 0.01, 0.28, 1e-5])
    z, table = torch.randn(4, 100, generator=generator), Denoiser(Uniform(), 0.2)
    mean, variance = table(z, sigma)
    for row in range(4):
        one, its_variance = table(z[row : row + 1], sigma[row : row + 1])
        # Tables are sums over four levels, with zeros for those of other rows, of values and rises up to 1.
        assert_within(mean[row], one[0], gamma(16, torch.float32))
        assert_close(variance[row], its_variance[0], gamma(16 + 100, torch.float32))


@pytest.mark.parametrize("law", [*LAWS, HalfNormal(), Beta(2, 5), Empirical(np.linspace(0, 1, 300))], ids=str)
@pytest.mark.parametrize("p", [0.05, 1.0])
@pytest.mark.parametrize("sigma", [1e-3, 0.0313, 0.2, 2.04])
def test_naive_twin_means_at_any_observation(law, p, sigma):
    table, noise = Denoiser(law, p), torch.tensor([sigma], dtype=torch.float64)
    near, far = sigma * np.linspace(-60, 60, 81), sigma * np.geomspace(10, 1e12, 60)
    z = np.concatenate([near, law.support[1] + near, -far, law.support[1] + far])
    mean = table(torch.from_numpy(z)[None], noise)[0][0].numpy()
    exact = bayes_denoiser(z, sigma, p, law)
    values = law.landmarks[[0, -1]] if law.has_density else law.landmarks
    values = np.unique(np.append(values, [0.0] * (p < 1)))
    gaps = [(a, b) for a, b in itertools.pairwise(values) if not (law.has_density and a == law.support[0])]
    within = np.any([(z > a + 7 * sigma) & (z < b - 7 * sigma) for a, b in gaps] or [z > np.inf], axis=0)
    error = np.abs(mean - exact.mean)[~within] / np.maximum(sigma, 1e-4 * np.abs(exact.mean[~within]))
    assert error.max() < 0.01


@pytest.mark.parametrize(("p", "side"), [(0.05, 1), (1.0, 1), (1.0, -1)])
@pytest.mark.parametrize("sigma", [1e-3, 0.0313, 0.5])
def test_naive_twin_variance_far_outside_the_law(p, side, sigma):
    """The mean is off the end by σ²/d, so the variance is σ⁴/d², and not that at the end of a table."""
    table, noise = Denoiser(Uniform(), p), torch.tensor([sigma], dtype=torch.float64)
    for distance in sigma * np.geomspace(20, 1e4, 12):
        z = (1 + distance) if side > 0 else -distance
        variance = float(table(torch.tensor([[z]], dtype=torch.float64), noise)[1])
        exact = bayes_denoiser(z, sigma, p, Uniform()).variance
        # Straight pieces: of σ/32 up to the table's end, 34 σ, where 1/d² changes by 2/(32 · 16), by 0.1 σ around a
        # landmark, by 2 · 0.1/18; in 1/d beyond, where terms of the order (σ/d)² are left, 1/18² at 20 σ and less. σ is
        # interpolated to 1e-3.
        assert_close(variance, exact, 0.02, resolution=0.03)


def test_limits_of_the_observation():
    z = torch.tensor([[-1e6, -5.0, 5.0, 1e6]])
    mean, _ = Denoiser(Uniform(), 0.1)(z, torch.tensor([0.1]))
    # Near an edge, d away from it, the posterior is an exponential of scale σ²/d: 0.1²/4 for ±5.
    assert_within(mean, [[0, 0, 1, 1]], 0.1**2 / 4 + 0.01 * 0.1)
