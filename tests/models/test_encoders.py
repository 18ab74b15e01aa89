from math import sqrt

import numpy as np
import pytest
import torch

from superposition import Autoencoder, PersianRug
from superposition.models.base import encoder_of
from superposition.models.encoders import DenseEncoder, RugEncoder
from tests.models.naive_hadamard import naive_hadamard
from tests.rounding import FUNCTION_ULPS, assert_within, gamma, product_bound
from tests.statistics import Z_BOUND


def dense_rug(rug):
    return naive_hadamard(rug.n_features)[rug.rows.numpy()] / np.sqrt(rug.n_hidden)


@pytest.fixture(params=[(8, 3), (64, 16), (256, 256), (12, 5), (72, 30)], ids=str)
def rug(request):
    return PersianRug.draw(*request.param, seed=5)


def test_naive_twin_products_of_a_rug(rug, generator):
    encoder, W = rug.encoder, dense_rug(rug)
    x = torch.randn(5, rug.n_features, generator=generator, dtype=torch.float64)
    hidden = torch.randn(5, rug.n_hidden, generator=generator, dtype=torch.float64)
    index = torch.randint(rug.n_features, (5, 4), generator=generator)
    # Sums of n terms, and a factor 1/√m, on both sides.
    n = rug.n_features
    assert_within(encoder.encode(x), x.numpy() @ W.T, product_bound(x, W.T, float, growth=twice), resolution=1e-10)
    found, expected = encoder.adjoint(hidden), hidden.numpy() @ W
    assert_within(found, expected, product_bound(hidden, W, float, growth=twice), resolution=1e-10)
    chosen = W.T[index.numpy()]
    np.testing.assert_allclose(encoder.columns(index), chosen, rtol=gamma(4, np.float32))
    # Columns have norm 1.
    gram = chosen @ chosen.transpose(0, 2, 1)
    np.testing.assert_allclose(encoder.gram(index), gram, rtol=0, atol=twice(2 * n, float))
    np.testing.assert_allclose(encoder.column_norms(), np.linalg.norm(W, axis=0), rtol=gamma(4, np.float32))
    _check_residual(encoder, hidden, x, W)


def test_naive_twin_products_of_a_matrix(generator):
    W = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    encoder = DenseEncoder(W)
    x, hidden = (torch.randn(3, k, generator=generator, dtype=torch.float64) for k in (9, 4))
    index = torch.tensor([[0, 3], [8, 8], [1, 2]])
    assert_within(encoder.encode(x), x @ W.T, product_bound(x, W.T, float, growth=twice))
    assert_within(encoder.adjoint(hidden), hidden @ W, product_bound(hidden, W, float, growth=twice))
    assert torch.equal(encoder.columns(index), W.T[index])
    bound = twice(4, float) * (W.T[index].abs() @ W.T[index].mT.abs())
    assert_within(encoder.gram(index), W.T[index] @ W.T[index].mT, bound)
    _check_residual(encoder, hidden, x, W.numpy())


def twice(count, dtype):
    """Of both sides, each with a few roundings more."""
    return 2 * gamma(count + 4, dtype)


def _check_residual(encoder, hidden, x, W):
    expected = _residual(hidden.numpy(), x.numpy(), W)
    # A difference, each part of which is off by γ_n of its terms, and norms of m squares.
    off = np.linalg.norm(np.abs(hidden.numpy()) + np.abs(x.numpy()) @ np.abs(W).T, axis=1)
    bound = twice(x.shape[1] + hidden.shape[1], float) * (off / np.linalg.norm(hidden.numpy(), axis=1) + expected)
    assert_within(encoder.residual_norm(hidden, x), expected, bound, resolution=1e-9)


def _residual(hidden, x, W):
    return np.linalg.norm(hidden - x @ W.T, axis=1) / np.linalg.norm(hidden, axis=1)


def test_residual_of_nothing_is_none():
    assert DenseEncoder(torch.eye(2)).residual_norm(torch.zeros(1, 2), torch.zeros(1, 2)).tolist() == [0]


def test_identity_tightness_of_a_rug_is_as_declared(rug):
    W = dense_rug(rug)
    assert rug.encoder.is_tight
    n, m = rug.n_features, rug.n_hidden
    np.testing.assert_allclose(W @ W.T, np.eye(m) * n / m, rtol=0, atol=gamma(n + 4, float) * n / m)


@pytest.mark.parametrize("rank", [4, 2])
def test_identity_diagonalised(rank, generator):
    W = torch.randn(4, rank, generator=generator, dtype=torch.float64) @ torch.randn(
        rank, 9, generator=generator, dtype=torch.float64
    )
    form = DenseEncoder(W).diagonalised()
    assert form.spectrum.shape == (rank,)
    B = form.encoder.columns(torch.arange(9)).T
    # An eigendecomposition is backward stable: off by some γ of the size squared times the largest eigenvalue.
    stable = gamma(4 * 9**2, float) * float(form.spectrum.max())
    np.testing.assert_allclose(B @ B.T, torch.diag(form.spectrum), rtol=0, atol=stable)
    x = torch.randn(3, 9, generator=generator, dtype=torch.float64)
    # Divided by singular values of the rank: their condition once more.
    condition = float(form.spectrum.max() / form.spectrum.min())
    np.testing.assert_allclose(form.rotate(x @ W.T), form.encoder.encode(x), rtol=0, atol=stable * condition)


@pytest.mark.parametrize(("n", "m"), [(8, 3), (8, 4), (8, 8), (9, 4), (9, 9), (10, 7), (100, 31)])
def test_identity_harmonic_frames_are_tight_with_unit_columns(n, m):
    W = DenseEncoder.harmonic(n, m, seed=2, dtype=torch.float64).W_enc.numpy()
    assert W.shape == (m, n)
    # Cosines of angles up to 2π m, which are off by γ of themselves, in columns of norm 1.
    trigonometric = gamma(2 * FUNCTION_ULPS + 16 * m, float)
    np.testing.assert_allclose(W @ W.T, np.eye(m) * n / m, rtol=0, atol=(trigonometric + gamma(n, float)) * 2 * n / m)
    np.testing.assert_allclose((W**2).sum(0), 1, rtol=2 * trigonometric + gamma(m, float))


def test_gaussian_encoder_has_columns_of_norm_about_one():
    encoder = DenseEncoder.gaussian(2000, 1000, seed=1)
    assert float(encoder.column_norms().mean()) == pytest.approx(
        1, abs=1 / 4000 + Z_BOUND / sqrt(4e6)
    )  # 1 − 1/4m, √(1/2mn)
    assert not torch.equal(encoder.W_enc, DenseEncoder.gaussian(2000, 1000, seed=2).W_enc)


def test_encoder_of_whatever_has_one():
    model = Autoencoder(6, 2)
    assert torch.equal(encoder_of(model).W_enc, model.W_enc)
    assert not encoder_of(model).W_enc.requires_grad
    encoder = encoder_of(torch.eye(3))
    assert encoder_of(encoder) is encoder
    assert isinstance(encoder_of(PersianRug.draw(8, 2)), RugEncoder)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DenseEncoder(torch.tensor([[1.0, float("nan")]])), "`W_enc` must be finite"),
        (lambda: DenseEncoder.gaussian(4, 5), "`n_hidden` must be a whole number in"),
        (lambda: DenseEncoder.harmonic(9, 4 + 1), "`n_hidden` must be even where n_features = 9 is odd, got 5"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
