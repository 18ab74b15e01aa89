import numpy as np
import pytest
import torch
from scipy.special import betainc, erf

from superposition import SparseFeatures
from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, Uniform
from tests.rounding import assert_close, gamma
from tests.statistics import KOLMOGOROV_BOUND, Z_BOUND, agrees

LAWS = [
    Uniform(),
    Uniform(0.5, 3.0),
    Exponential(2.0),
    HalfNormal(0.5),
    Beta(2, 5),
    Beta(0.5, 0.5),
    Beta(0.05, 0.3),
    Beta(1e-3, 2e-3),
    Beta(3000.0, 1000.0),
    Empirical([0.0, 0.2, 1.0, 3.0], [1, 5, 3, 0.5]),
    Empirical(np.linspace(0, 1, 1000) ** 2),
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("law", LAWS)
def test_simulation_moments(law, dtype, generator):
    values = law.draw(1_000_000, generator, dtype)
    assert values.dtype == dtype
    u = values.double().numpy()
    assert (u >= 0).all()
    for power, exact in ((1, law.mean), (2, law.second_moment)):
        assert agrees(u**power, exact, resolution=0.04)
        assert not agrees(u**power, exact * 1.05, resolution=0.04)
    assert agrees((u - law.mean) ** 2, law.variance, resolution=0.04)
    assert not agrees((u - law.mean) ** 2, law.variance * 1.05, resolution=0.04)


@pytest.mark.parametrize(
    ("law", "distribution"),
    [
        (Exponential(2.0), lambda u: -np.expm1(-u / 2)),
        (HalfNormal(0.5), lambda u: erf(u / np.sqrt(0.5))),
        (Beta(2, 5), lambda u: betainc(2, 5, u)),
        (Beta(0.5, 0.5), lambda u: betainc(0.5, 0.5, u)),
        (Beta(0.05, 20.0), lambda u: betainc(0.05, 20, u)),
    ],
)
def test_simulation_distribution(law, distribution, generator):
    def distance(cumulated):
        return np.abs(cumulated - (np.arange(n) + 0.5) / n).max() * np.sqrt(n)

    n = 100_000
    u = np.sort(law.draw(n, generator, torch.float64).numpy())
    assert distance(distribution(u)) < KOLMOGOROV_BOUND
    assert distance(distribution(u) ** 1.05) > KOLMOGOROV_BOUND, "control"


def test_simulation_tails_of_singular_ends(generator):
    # Of exponents this small most values are far below the smallest gamma variate in float64.
    n = 200_000
    for law in (Beta(1e-3, 2e-3), Beta(1e-6, 1e-6), Beta(1e-9, 0.5)):
        u = law.draw(n, generator, torch.float64).numpy()
        assert np.isfinite(u).all()
        for below in (1e-200, 1e-30, 1e-3, 0.5):
            share = float(betainc(law.alpha, law.beta, below))
            # Bernstein's inequality: as for a Gaussian, and z²/3n more where few are expected.
            error = np.sqrt(share * (1 - share) / n)
            assert abs((u < below).mean() - share) < Z_BOUND * error + Z_BOUND**2 / n
    assert abs((Beta(1e-3, 2e-3).draw(n, generator, torch.float64) < 0.5).double().mean() - 0.5) > 0.1


def test_simulation_shares_of_an_empirical_law(generator):
    law = Empirical([0.0, 0.2, 1.0, 3.0], [1, 5, 3, 1e-3])
    n = 500_000
    u = law.draw(n, generator, torch.float64)
    for value, share in zip(law.values, law.weights, strict=True):
        error = np.sqrt(share * (1 - share) / n)
        assert abs(float((u == value).double().mean()) - share) < Z_BOUND * error
    assert set(u.tolist()) <= set(law.values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("law", [*LAWS, Constant(0.3)])
def test_draws_of_every_dtype_and_size(law, dtype):
    for n in (0, 1, 1000):
        values = law.draw(n, seeded(), dtype)
        assert (values.shape, values.dtype, values.device.type) == ((n,), dtype, "cpu")
        assert torch.isfinite(values).all()
        assert torch.equal(values, law.draw(n, seeded(), dtype))
    assert isinstance(law, Constant) or not torch.equal(law.draw(1000, seeded(1), dtype), values)


def naive(generator):
    """NumPy's generator as a batch seeds it."""
    return np.random.Generator(np.random.SFC64(int(torch.randint(2**63 - 1, (), generator=generator))))


def test_known_batch_of_geometric_gaps():
    batch = SparseFeatures(30, 0.03, Uniform(0.5, 2.0)).sample_sparse(40, seeded(3), dtype=torch.float64)
    random = naive(seeded(3))
    gaps = np.floor(random.standard_exponential(36 + 36 + 10) / -np.log1p(-0.03)).astype(int) + 1
    positions = np.cumsum(gaps) - 1
    kept = positions[positions < 1200]
    assert batch.positions.tolist() == kept.tolist()
    assert_close(batch.values, 0.5 + 1.5 * random.random(len(kept)), gamma(3, float))


def test_known_batch_of_coins():
    batch = SparseFeatures(5, 0.5).sample_sparse(2, seeded(7))
    random = naive(seeded(7))
    assert batch.positions.tolist() == np.flatnonzero(random.random(10) < 0.5).tolist()
    assert batch.values.tolist() == random.random(len(batch.positions), dtype=np.float32).tolist()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("law", [*LAWS, Constant(0.3)])
def test_simulation_on_cuda(law):
    generator = torch.Generator("cuda").manual_seed(0)
    values = law.draw(1_000_000, generator, torch.float32)
    assert values.device.type == "cuda"
    if law.variance:
        assert agrees(values.double().cpu(), law.mean, resolution=0.04)
    assert SparseFeatures(10, 0.1, law).sample(10, generator).device.type == "cuda"
