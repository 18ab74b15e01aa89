import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superposition import Autoencoder, SparseFeatures
from superposition.training.step import GradientStep


def autograd(model, x, importance):
    """Loss and gradients of the loss as it is written."""
    weights = torch.tensor(importance).to(x)
    loss = (weights * (model(x) - x) ** 2).mean()
    return loss, torch.autograd.grad(loss, [model.W_enc, model.W_dec, model.b_dec])


def compare(model, features, x, rel):
    loss = GradientStep(model, features)(x)
    expected, gradients = autograd(model, x, features.per_feature(features.importance).copy())
    torch.testing.assert_close(loss, expected.detach(), rtol=rel, atol=0)
    for parameter, gradient in zip((model.W_enc, model.W_dec, model.b_dec), gradients, strict=True):
        scale = float(gradient.abs().max())
        assert float((parameter.grad - gradient).abs().max()) <= rel * scale + 1e-30


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
    compare(model, features, x, rel=1e-5)
    in_double = Autoencoder(n_features, min(n_hidden, n_features), seed=seed, initialization="linear").double()
    compare(in_double, features, x.double(), rel=1e-12)


def test_limit_an_empty_batch_of_features():
    features, model = SparseFeatures(5, 0.1), Autoencoder(5, 2)
    loss = GradientStep(model, features)(torch.zeros(3, 5))
    assert float(loss) == 0
    assert not any(parameter.grad.any() for parameter in model.parameters())


def test_gradients_are_replaced_not_added():
    features, model = SparseFeatures(5, 0.5), Autoencoder(5, 2)
    step, x = GradientStep(model, features), features.sample(8, torch.Generator().manual_seed(0))
    step(x)
    once = model.W_enc.grad.clone()
    step(x)
    assert torch.equal(model.W_enc.grad, once)


def test_mutant_without_importances_differs():
    importance = np.array([1.0, 5, 1, 1, 0])
    model, plain = Autoencoder(5, 2), SparseFeatures(5, 0.5)
    x = plain.sample(8, torch.Generator().manual_seed(0))
    GradientStep(model, plain)(x)
    _, gradients = autograd(model, x, importance)
    assert not torch.allclose(model.W_dec.grad, gradients[1], rtol=1e-2)
    assert model.W_enc.grad.dtype == torch.float32


@pytest.mark.parametrize("n_features", [2, 6])
def test_one_hidden_dimension_trains_encoder_and_decoder_apart(n_features):
    features, model = SparseFeatures(n_features, 0.5), Autoencoder(n_features, 1)
    GradientStep(model, features)(features.sample(8, torch.Generator().manual_seed(0)))
    torch.optim.Adam(model.parameters(), lr=0.1).step()
    assert model.W_enc.data_ptr() != model.W_dec.data_ptr()
