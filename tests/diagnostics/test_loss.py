import copy

import numpy as np
import pytest
import torch

from superposition import Autoencoder, Constant, PersianRug, SparseFeatures, Uniform, held_out_loss
from superposition._random import torch_generator
from superposition.diagnostics import loss as loss_module
from tests.rounding import Bounded, assert_within, gamma, linear, sum_bound
from tests.statistics import Z_BOUND

FEATURES = SparseFeatures(6, np.linspace(0.1, 0.9, 6), Uniform(0.5, 1.5), importance=np.array([1, 0, 3, 0.5, 2, 1]))


def naive_loss(model, features, n_samples, seed):
    """One sample after the other over a single chunk, in float64; and how far float32 may be from it."""
    x = features.sample(n_samples, torch_generator(seed, "held-out", 0))
    importance = features.per_feature(features.importance)
    of_double, losses = copy.deepcopy(model).double(), []
    for row in x.double():
        error = (of_double(row) - row).detach().numpy()
        losses.append((importance * error**2).sum() / features.n_features)
    W_enc, W_dec, b_dec, x = (Bounded.given(part, np.float32) for part in (model.W_enc, model.W_dec, model.b_dec, x))
    error = linear(x @ W_enc.T, W_dec, b_dec).relu() - x
    weighted = error * error * Bounded.rounded(importance, np.float32)
    return np.array(losses), (weighted.sum(axis=1) * Bounded.rounded(1 / features.n_features, np.float32)).error


@pytest.mark.parametrize("features", [FEATURES, SparseFeatures(6, 0.3, Constant(), importance=2.0)])
def test_naive_twin_loop(features):
    model = Autoencoder(6, 2, initialization="linear")
    expected, bound = naive_loss(model, features, 500, seed=3)
    measured = held_out_loss(model, features, n_samples=500, seed=3)
    # Sums over samples are in float64, or at worst in float32.
    assert_within(measured.value, expected.mean(), bound.mean() + sum_bound(expected, np.float32) / 500)
    # A change of each sample by its bound changes the spread by no more than their root mean square.
    spread, moved = expected.std(ddof=1) / np.sqrt(500), np.sqrt((bound**2).mean() / 499)
    assert_within(measured.standard_error, spread, moved + gamma(1000, np.float64) * expected.max() ** 2 / spread)
    assert measured.count == 500


def test_every_sample_counts_once_whatever_the_chunk(monkeypatch):
    model, sizes = Autoencoder(6, 2), []
    draw = SparseFeatures.sample

    def recorded(self, n_samples, generator, **options):
        sizes.append(n_samples)
        return draw(self, n_samples, generator, **options)

    monkeypatch.setattr(SparseFeatures, "sample", recorded)
    whole = held_out_loss(model, FEATURES, n_samples=10_007)
    assert sum(sizes) == 10_007
    sizes.clear()
    monkeypatch.setattr(loss_module, "_CHUNK_ENTRIES", 600)
    parts = held_out_loss(model, FEATURES, n_samples=10_007)
    assert sum(sizes) == 10_007
    assert sizes[0] == 100
    # Other chunks are other samples of the same law.
    error = np.hypot(whole.standard_error, parts.standard_error)
    assert abs(whole.value - parts.value) < Z_BOUND * error
    assert parts.standard_error == pytest.approx(whole.standard_error, rel=0.1)


def test_simulation_standard_error_is_the_spread_over_seeds():
    model, features = Autoencoder(16, 4), SparseFeatures(16, 0.2)
    estimates = [held_out_loss(model, features, n_samples=500, seed=seed) for seed in range(200)]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    reported = np.mean([estimate.standard_error for estimate in estimates])
    assert spread == pytest.approx(reported, rel=Z_BOUND / np.sqrt(2 * 200))


def test_seeds_and_global_state():
    model = Autoencoder(6, 2)
    torch.manual_seed(1)
    first = held_out_loss(model, FEATURES, n_samples=100, seed=1)
    torch.manual_seed(2)
    assert held_out_loss(model, FEATURES, n_samples=100, seed=1) == first
    assert held_out_loss(model, FEATURES, n_samples=100, seed=2) != first


def test_no_importance_no_loss():
    only_second = SparseFeatures(2, 0.5, importance=np.array([0.0, 1.0]))
    model = Autoencoder(2, 1)
    with torch.no_grad():
        model.W_enc.copy_(torch.tensor([[0.0, 1.0]]))
        model.W_dec.copy_(torch.tensor([[0.0], [1.0]]))
    assert held_out_loss(model, only_second, n_samples=100).value == 0.0


def test_models_in_double_precision_are_measured_too():
    single, double = Autoencoder(6, 2), Autoencoder(6, 2).double()
    expected = held_out_loss(single, FEATURES, n_samples=20_000)
    measured = held_out_loss(double, FEATURES, n_samples=20_000)
    assert abs(measured.value - expected.value) < Z_BOUND * np.hypot(measured.standard_error, expected.standard_error)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: held_out_loss(Autoencoder(5, 2), FEATURES), "must have the model's n_features = 5, got 6"),
        (lambda: held_out_loss(Autoencoder(6, 2), FEATURES, n_samples=0), "`n_samples` must be a whole number"),
        (lambda: held_out_loss(PersianRug.draw(8, 2), FEATURES), "must have the model's n_features = 8, got 6"),
        (lambda: held_out_loss(Autoencoder(6, 2), FEATURES, seed=-1), "`seed` must be"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
