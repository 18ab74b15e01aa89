import numpy as np
import pytest
import torch

from superposition import Autoencoder, LinearAutoencoder, PersianRug, SparseFeatures
from superposition.diagnostics import spectrum
from tests.diagnostics.weights import autoencoder
from tests.rounding import assert_within, conditioned_bound, gamma


def naive_distance(W):
    """Least squares for c over all elements of W² and W, dense."""
    square = W @ W
    c = np.linalg.lstsq(W.reshape(-1, 1), square.ravel(), rcond=None)[0][0]
    return c, np.sqrt(((square - c * W) ** 2).sum() / (square**2).sum())


@pytest.mark.parametrize(("n", "m"), [(12, 4), (7, 7), (5, 1)])
def test_naive_twin(rng, n, m):
    W_enc, W_dec = rng.normal(size=(m, n)), rng.normal(size=(n, m))
    found, W = spectrum(autoencoder(W_enc, W_dec)), W_dec @ W_enc
    dense = np.linalg.eigvals(W)
    dense = dense[np.argsort(-np.abs(dense))][:m]
    # Backward stable: as of a matrix that is off by some γ of its size times its norm, in either program.
    stable = 2 * gamma(4 * n**2, float) * np.linalg.norm(W_enc) * np.linalg.norm(W_dec)
    vectors = np.linalg.eig(W_enc @ W_dec).eigenvectors
    # Bauer and Fike: eigenvalues move by the condition of the eigenvectors times that.
    condition = np.linalg.cond(vectors)
    tolerance = stable * condition
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues), np.sort_complex(dense), rtol=0, atol=tolerance)
    assert (np.diff(np.abs(found.eigenvalues)) <= 2 * tolerance).all()
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(W, compute_uv=False)[:m], rtol=0, atol=stable)
    bound = conditioned_bound(lambda a, b: naive_distance(b @ a), W_enc, W_dec, roundings=4 * n**2)
    # For m = 1 the distance is 0 but for rounding of W², of which it is a share.
    assert_within((found.scale, found.distance), naive_distance(W), 2 * bound + gamma(4 * n**2, float), 1e-8)


def test_rug_in_closed_form():
    rug = PersianRug.fit(SparseFeatures(64, 0.045), 16)
    found, W = spectrum(rug), rug.W_rows(0, 64).double().numpy()
    # Entries of W, up to a, are off by γ₈ a in float32; the matrix by no more than the norm of these.
    off = gamma(8, np.float32) * np.linalg.norm(W)
    np.testing.assert_allclose(np.linalg.eigvalsh((W + W.T) / 2)[-16:], found.eigenvalues.real, rtol=0, atol=off)
    np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False)[:16], found.singular_values, rtol=0, atol=off)
    # W² = c W has the norm c ‖W‖ and is off by 2 ‖W‖₂ = 2c of the error.
    scale, distance = naive_distance(W)
    assert scale == pytest.approx(found.scale, abs=3 * off)
    assert distance <= 3 * off / np.linalg.norm(W)


def test_identity_projections_have_no_distance(rng):
    Q = np.linalg.qr(rng.normal(size=(20, 6)))[0]
    found = spectrum(autoencoder(Q.T, 3 * Q))
    few = gamma(4 * 20**2, float)
    assert found.distance < few
    np.testing.assert_allclose(found.singular_values, 3, rtol=few)
    oblique = rng.normal(size=(6, 20))
    found = spectrum(autoencoder(oblique, Q @ np.linalg.inv(oblique @ Q)))
    assert found.distance < few * np.linalg.cond(oblique @ Q)
    assert found.singular_values[0] > 1.5  # idempotent, but not orthogonal
    assert spectrum(LinearAutoencoder.fit(SparseFeatures(9, 0.1), 4)).distance == 0


def test_control_scales_that_differ_are_no_projection(rng):
    Q = np.linalg.qr(rng.normal(size=(20, 6)))[0]
    assert spectrum(autoencoder(Q.T, Q * [1, 1, 1, 2, 2, 2])).distance > 0.1


def test_limit_no_weights():
    found = spectrum(autoencoder(np.zeros((2, 5)), np.zeros((5, 2))))
    assert not found.eigenvalues.any()
    assert np.isnan([found.scale, found.distance]).all()


def test_bad_arguments_are_refused():
    model = Autoencoder(5, 2)
    with torch.no_grad():
        model.W_enc[0, 0] = float("nan")
    with pytest.raises(ValueError, match="`W_enc` must be finite"):
        spectrum(model)
