import numpy as np
import pytest
import torch
from scipy.linalg import hadamard

from superposition import Autoencoder, PersianRug
from superposition.models.encoders import DenseEncoder, RugEncoder, encoder_of


def dense_rug(rug):
    return hadamard(rug.n_features)[rug.rows.numpy()] / np.sqrt(rug.n_hidden)


@pytest.fixture(params=[(8, 3), (64, 16), (256, 256)], ids=str)
def rug(request):
    return PersianRug.draw(*request.param, seed=5)


def test_naive_twin_products_of_a_rug(rug, generator):
    encoder, W = RugEncoder(rug), dense_rug(rug)
    x = torch.randn(5, rug.n_features, generator=generator, dtype=torch.float64)
    hidden = torch.randn(5, rug.n_hidden, generator=generator, dtype=torch.float64)
    index = torch.randint(rug.n_features, (5, 4), generator=generator)
    np.testing.assert_allclose(encoder.encode(x), x.numpy() @ W.T, atol=1e-12)
    np.testing.assert_allclose(encoder.adjoint(hidden), hidden.numpy() @ W, atol=1e-12)
    np.testing.assert_allclose(encoder.columns(index), W.T[index.numpy()], atol=1e-6)
    chosen = W.T[index.numpy()]
    np.testing.assert_allclose(encoder.gram(index), chosen @ chosen.transpose(0, 2, 1), atol=1e-12)
    np.testing.assert_allclose(encoder.column_norms(), np.linalg.norm(W, axis=0), rtol=1e-6)
    np.testing.assert_allclose(encoder.residual_norm(hidden, x), _residual(hidden.numpy(), x.numpy(), W), rtol=1e-12)


def test_naive_twin_products_of_a_matrix(generator):
    W = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    encoder = DenseEncoder(W)
    x, hidden = (torch.randn(3, k, generator=generator, dtype=torch.float64) for k in (9, 4))
    index = torch.tensor([[0, 3], [8, 8], [1, 2]])
    np.testing.assert_allclose(encoder.encode(x), x @ W.T)
    np.testing.assert_allclose(encoder.adjoint(hidden), hidden @ W)
    assert torch.equal(encoder.columns(index), W.T[index])
    np.testing.assert_allclose(encoder.gram(index), W.T[index] @ W.T[index].mT)
    np.testing.assert_allclose(encoder.residual_norm(hidden, x), _residual(hidden.numpy(), x.numpy(), W.numpy()))


def _residual(hidden, x, W):
    return np.linalg.norm(hidden - x @ W.T, axis=1) / np.linalg.norm(hidden, axis=1)


def test_residual_of_nothing_is_none():
    assert DenseEncoder(torch.eye(2)).residual_norm(torch.zeros(1, 2), torch.zeros(1, 2)).tolist() == [0]


def test_identity_tightness_of_a_rug_is_as_declared(rug):
    W = dense_rug(rug)
    assert RugEncoder(rug).is_tight
    np.testing.assert_allclose(W @ W.T, np.eye(rug.n_hidden) * rug.n_features / rug.n_hidden, atol=1e-12)


@pytest.mark.parametrize("rank", [4, 2])
def test_identity_diagonalised(rank, generator):
    W = torch.randn(4, rank, generator=generator, dtype=torch.float64) @ torch.randn(
        rank, 9, generator=generator, dtype=torch.float64
    )
    form = DenseEncoder(W).diagonalised()
    assert form.spectrum.shape == (rank,)
    B = form.encoder.columns(torch.arange(9)).T
    np.testing.assert_allclose(B @ B.T, torch.diag(form.spectrum), atol=1e-10)
    x = torch.randn(3, 9, generator=generator, dtype=torch.float64)
    np.testing.assert_allclose(form.rotate(x @ W.T), form.encoder.encode(x), atol=1e-10)


@pytest.mark.parametrize(("n", "m"), [(8, 3), (8, 4), (8, 8), (9, 4), (9, 9), (10, 7), (100, 31)])
def test_identity_harmonic_frames_are_tight_with_unit_columns(n, m):
    W = DenseEncoder.harmonic(n, m, seed=2, dtype=torch.float64).W_enc.numpy()
    assert W.shape == (m, n)
    np.testing.assert_allclose(W @ W.T, np.eye(m) * n / m, atol=1e-12)
    np.testing.assert_allclose((W**2).sum(0), 1, atol=1e-12)


def test_gaussian_encoder_has_columns_of_norm_about_one():
    encoder = DenseEncoder.gaussian(2000, 1000, seed=1)
    assert float(encoder.column_norms().mean()) == pytest.approx(1, abs=0.005)
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
