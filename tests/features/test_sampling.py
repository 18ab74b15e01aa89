import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from superposition import Constant, SparseFeatures, Uniform
from superposition.features import sampling
from tests.statistics import KOLMOGOROV_BOUND, Z_BOUND, agrees


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def rate_z_scores(batch, probability):
    """z-scores of the activity counts of every feature."""
    n = len(batch)
    return ((batch != 0).sum(0).double().numpy() - n * probability) / np.sqrt(n * probability * (1 - probability))


@pytest.mark.parametrize("probability", [0.01, 0.045, 0.19, 0.21, 0.36, 0.7])
def test_simulation_activity_rate_of_every_feature(probability, generator):
    batch = SparseFeatures(16, probability).sample(200_000, generator)
    assert np.abs(rate_z_scores(batch, probability)).max() < Z_BOUND
    # Resolution: all features together tell a probability 3% off.
    all_together = rate_z_scores(batch.reshape(-1, 1), probability * 1.03)
    assert np.abs(all_together).max() > Z_BOUND


def test_simulation_thinning_to_each_probability(generator):
    probability = np.array([0.001, 0.02, 0.1, 0.15, 0.6, 0.9])
    for chosen in (probability[:4], probability):  # sparse and dense paths
        batch = SparseFeatures(len(chosen), chosen).sample(400_000, generator)
        assert np.abs(rate_z_scores(batch, chosen)).max() < Z_BOUND
        assert np.abs(rate_z_scores(batch, chosen * 1.08)[1:]).min() > Z_BOUND


@pytest.mark.parametrize("probability", [1e-6, 0.05, 0.5])
def test_simulation_values_follow_the_law(probability, generator):
    law = Uniform(0.5, 2.0)
    values = np.sort(SparseFeatures(1000, probability, law).sample_sparse(20_000, generator).values[:100_000].numpy())
    n = len(values)
    uniform = (values - law.low) / (law.high - law.low)
    distance = np.abs(uniform - (np.arange(n) + 0.5) / n).max() * np.sqrt(n)
    assert distance < KOLMOGOROV_BOUND
    if n > 1000:
        assert np.abs(uniform**1.1 - (np.arange(n) + 0.5) / n).max() * np.sqrt(n) > KOLMOGOROV_BOUND


def test_simulation_features_are_independent(generator):
    x = SparseFeatures(8, 0.15, Constant()).sample(400_000, generator).double().numpy()
    standardised = (x - 0.15) / np.sqrt(0.15 * 0.85)
    covariance = standardised.T @ standardised / len(x)
    z = (covariance - np.eye(8)) * np.sqrt(len(x))
    assert np.abs(z[~np.eye(8, dtype=bool)]).max() < Z_BOUND
    lagged = (standardised[1:] * standardised[:-1]).mean() * np.sqrt(standardised[1:].size)
    assert abs(lagged) < Z_BOUND


def test_simulation_sparse_and_dense_paths_agree(monkeypatch):
    def draw(seed):
        return SparseFeatures(50, 0.15).sample(20_000, seeded(seed)).double()

    sparse = draw(0)
    monkeypatch.setattr(sampling, "_DENSE_PROBABILITY", 0.0)
    dense = draw(0)
    assert not torch.equal(sparse, dense)
    for power in (1, 2):
        exact = 0.15 / (power + 1)
        assert agrees(sparse.flatten() ** power, exact, resolution=0.02)
        assert agrees(dense.flatten() ** power, exact, resolution=0.02)
    # Counts in a row are binomial: their variance, too.
    for batch in (sparse, dense):
        counts = (batch != 0).sum(1).double()
        assert agrees((counts - 50 * 0.15) ** 2, 50 * 0.15 * 0.85, resolution=0.05)


@given(
    n_features=st.integers(1, 40),
    n_samples=st.integers(1, 40),
    probability=st.sampled_from([1e-300, 1e-9, 1e-3, 0.1, 0.3499, 0.35, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_property_positions_increase_and_the_two_forms_agree(n_features, n_samples, probability, seed):
    features = SparseFeatures(n_features, probability)
    batch = features.sample_sparse(n_samples, seeded(seed))
    assert (batch.positions.diff() > 0).all()
    assert batch.positions.dtype == torch.int64
    if batch.positions.numel():
        assert int(batch.positions[0]) >= 0
        assert int(batch.positions[-1]) < n_features * n_samples
    dense = torch.zeros(n_samples * n_features)
    dense[batch.positions] = batch.values
    assert torch.equal(features.sample(n_samples, seeded(seed)), dense.view(n_samples, n_features))


def test_the_first_entry_is_as_likely_as_any_other():
    features = SparseFeatures(10, 0.1, Constant())  # one row a draw
    first = torch.cat([features.sample(1, seeded(seed)) for seed in range(5000)]).numpy()
    z = (first.sum(0) - 500) / np.sqrt(5000 * 0.09)
    assert np.abs(z).max() < Z_BOUND


def test_a_second_round_of_gaps_goes_on_where_the_first_ended(monkeypatch, generator):
    # Too few gaps at first: with −√ instead of +6√ a second round is the rule.
    monkeypatch.setattr(sampling, "sqrt", lambda x: -np.sqrt(x) / 6)
    batch = SparseFeatures(20, 0.1).sample(100_000, generator)
    assert np.abs(rate_z_scores(batch, 0.1)).max() < Z_BOUND


def test_limit_always_active(generator):
    batch = SparseFeatures(7, 1.0, Uniform(0.5, 1.0)).sample(100, generator)
    assert (batch >= 0.5).all()


def test_limit_rarely_active(generator):
    batch = SparseFeatures(1000, 1e-6).sample_sparse(10_000, generator)
    assert 0 < len(batch.positions) < 40  # Poisson of mean 10: 0 or at least 40 with probability 5e-5
    assert len(SparseFeatures(1, 1e-12).sample_sparse(5, generator).positions) == 0


def test_the_generator_alone_decides():
    features = SparseFeatures(30, 0.1)
    torch.manual_seed(1)
    first = features.sample(20, seeded(5))
    torch.manual_seed(2)
    again = seeded(5)
    assert torch.equal(features.sample(20, again), first)
    assert not torch.equal(features.sample(20, again), first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_that_asked_for(dtype, generator):
    assert SparseFeatures(3, 0.5).sample(4, generator, dtype=dtype).dtype == dtype
    assert SparseFeatures(3, 0.5).sample(4, generator).dtype == torch.float32


@pytest.mark.parametrize("n_samples", [0, -1])
def test_empty_batches_are_refused(n_samples, generator):
    with pytest.raises(ValueError, match="`n_samples` must be a whole number of at least 1"):
        SparseFeatures(3, 0.5).sample(n_samples, generator)
