import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from superposition import Autoencoder, SparseFeatures
from superposition.features.sampling import SparseBatch
from superposition.training import sparse_products, step as step_module
from superposition.training.step import GradientStep
from tests.rounding import assert_within
from tests.training.bounds import step_bounds


def batch_of(x):
    """The batch whose dense form is x."""
    positions = torch.nonzero(x.flatten()).squeeze(1)
    return SparseBatch(positions, x.flatten()[positions], tuple(x.shape))


def autograd(model, x, importance):
    """Loss and gradients of the loss as it is written."""
    weights = torch.tensor(importance).to(x)
    loss = (weights * (model(x) - x) ** 2).mean()
    return loss, torch.autograd.grad(loss, [model.W_enc, model.W_dec, model.b_dec])


def compare(model, features, x, resolution=0.01):
    loss = GradientStep(model, features)(batch_of(x))
    importance = features.per_feature(features.importance).copy()
    expected, gradients = autograd(copy.deepcopy(model).double(), x.double(), importance)
    loss_bound, bounds = step_bounds(model, x, importance)
    # In float64 autograd rounds as much as the step does.
    factor = 2 if x.dtype == torch.float64 else 1
    assert_within(loss, expected, factor * loss_bound)
    for parameter, gradient, bound in zip((model.W_enc, model.W_dec, model.b_dec), gradients, bounds, strict=True):
        assert_within(parameter.grad, gradient, factor * bound, resolution)


@given(
    n_features=st.integers(1, 20), n_hidden=st.integers(1, 20), batch=st.integers(1, 30),
    probability=st.sampled_from([0.01, 0.1, 0.5, 1.0]), weighted=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_naive_twin_dense_autograd(n_features, n_hidden, batch, probability, weighted, seed):
    rng = np.random.default_rng(seed)
    importance = rng.uniform(0, 3, n_features) if weighted else 1.0
    features = SparseFeatures(n_features, probability, importance=importance)
    x = features.sample(batch, torch.Generator().manual_seed(seed))
    x[0] = 0  # rows without any active feature are common
    model = Autoencoder(n_features, min(n_hidden, n_features), seed=seed, initialization="linear")
    compare(model, features, x)
    in_double = Autoencoder(n_features, min(n_hidden, n_features), seed=seed, initialization="linear").double()
    compare(in_double, features, x.double())


def test_limit_an_empty_batch_of_features():
    features, model = SparseFeatures(5, 0.1), Autoencoder(5, 2)
    loss = GradientStep(model, features)(batch_of(torch.zeros(3, 5)))
    assert float(loss) == 0
    assert not any(parameter.grad.any() for parameter in model.parameters())


def test_gradients_are_replaced_not_added():
    features, model = SparseFeatures(5, 0.5), Autoencoder(5, 2)
    step, x = GradientStep(model, features), features.sample_sparse(8, torch.Generator().manual_seed(0))
    step(x)
    once = model.W_enc.grad.clone()
    step(x)
    assert torch.equal(model.W_enc.grad, once)


def test_mutant_without_importances_differs():
    importance = np.array([1.0, 5, 1, 1, 0])
    model, plain = Autoencoder(5, 2), SparseFeatures(5, 0.5)
    x = plain.sample(8, torch.Generator().manual_seed(0))
    GradientStep(model, plain)(batch_of(x))
    _, gradients = autograd(model, x, importance)
    assert not torch.allclose(model.W_dec.grad, gradients[1], rtol=1e-2)
    assert model.W_enc.grad.dtype == torch.float32


@pytest.mark.parametrize("n_features", [2, 6])
def test_one_hidden_dimension_trains_encoder_and_decoder_apart(n_features):
    features, model = SparseFeatures(n_features, 0.5), Autoencoder(n_features, 1)
    GradientStep(model, features)(features.sample_sparse(8, torch.Generator().manual_seed(0)))
    torch.optim.Adam(model.parameters(), lr=0.1).step()
    assert model.W_enc.data_ptr() != model.W_dec.data_ptr()


class TestOverEntries:
    """The products over entries, tried at sizes where they would not pay."""

    @pytest.fixture(autouse=True)
    def _small_is_large(self, monkeypatch):
        monkeypatch.setattr(step_module, "_SMALL", 0.0)
        monkeypatch.setattr(step_module, "_SPARSE_BELOW", 2.0)

    @given(
        n_features=st.integers(1, 20), n_hidden=st.integers(1, 20), batch=st.integers(1, 30),
        probability=st.sampled_from([0.01, 0.1, 0.5, 1.0]), weighted=st.booleans(), seed=st.integers(0, 99),
    )  # fmt: skip
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_naive_twin_dense_autograd(self, n_features, n_hidden, batch, probability, weighted, seed):
        test_naive_twin_dense_autograd.hypothesis.inner_test(n_features, n_hidden, batch, probability, weighted, seed)

    @pytest.mark.parametrize("cache", [64, 1024, 2**21])
    def test_naive_twin_blocks_of_the_table_and_of_its_columns(self, cache, monkeypatch):
        for name in ("_CACHE_BYTES", "_COLUMN_BYTES", "_RESULT_BYTES"):
            monkeypatch.setattr(sparse_products, name, cache)
        monkeypatch.setattr(sparse_products, "_WORTH_A_BLOCK", 0.5)
        importance = np.random.default_rng(0).uniform(0, 3, 150)
        features = SparseFeatures(150, 0.2, importance=importance)
        model = Autoencoder(150, 70, seed=1)
        with torch.no_grad():
            model.b_dec.fill_(-0.5)
        in_double = copy.deepcopy(model).double()
        for n_samples in (40, 400):
            x = features.sample(n_samples, torch.Generator().manual_seed(2))
            compare(model, features, x, resolution=0.05)
            compare(in_double, features, x.double(), resolution=1e-9)
            # Features over entries, outputs not.
            monkeypatch.setattr(step_module, "_SPARSE_BELOW", 0.21)
            compare(model, features, x, resolution=0.05)
            monkeypatch.setattr(step_module, "_SPARSE_BELOW", 2.0)

    def test_limit_an_empty_batch_of_features(self):
        test_limit_an_empty_batch_of_features()


def test_small_problems_and_dense_ones_take_the_dense_products(monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(GradientStep, "_over_entries", refuse)
    generator = torch.Generator().manual_seed(0)
    for n, p in ((32, 0.01), (2048, 0.5)):
        features = SparseFeatures(n, p)
        GradientStep(Autoencoder(n, n // 2), features)(features.sample_sparse(64, generator))
    features = SparseFeatures(2048, 0.01)
    step, batch = GradientStep(Autoencoder(2048, 1024), features), features.sample_sparse(64, generator)
    with pytest.raises(AssertionError):
        step(batch)


def test_rounded_products_change_gradients_by_less_than_a_hundredth():
    features = SparseFeatures(200, 0.1)
    x = features.sample_sparse(256, torch.Generator().manual_seed(0))
    exact, rounded = Autoencoder(200, 60, seed=3), Autoencoder(200, 60, seed=3)
    losses = [float(GradientStep(exact, features)(x)), float(GradientStep(rounded, features, "bfloat16")(x))]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    assert losses[1] != losses[0]
    for one, other in zip(exact.parameters(), rounded.parameters(), strict=True):
        assert 0 < float((one.grad - other.grad).norm()) < 1e-2 * float(one.grad.norm())
