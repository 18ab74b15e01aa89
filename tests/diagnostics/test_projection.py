import numpy as np
import pytest
import torch

from superposition import Autoencoder, LinearAutoencoder, PersianRug, SparseFeatures
from superposition.diagnostics import spectrum
from tests.diagnostics.weights import Foreign, autoencoder


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
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues), np.sort_complex(dense), atol=1e-9)
    assert (np.diff(np.abs(found.eigenvalues)) <= 1e-12).all()
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(W, compute_uv=False)[:m], rtol=1e-9)
    assert (found.scale, found.distance) == pytest.approx(naive_distance(W), rel=1e-9)


def test_rug_in_closed_form():
    rug = PersianRug.fit(SparseFeatures(64, 0.045), 16)
    found, W = spectrum(rug), rug.W_rows(0, 64).double().numpy()
    np.testing.assert_allclose(np.linalg.eigvalsh((W + W.T) / 2)[-16:], found.eigenvalues.real, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False)[:16], found.singular_values, rtol=1e-5)
    assert naive_distance(W) == pytest.approx((found.scale, 0.0), rel=1e-5, abs=1e-5)


def test_identity_projections_have_no_distance(rng):
    Q = np.linalg.qr(rng.normal(size=(20, 6)))[0]
    found = spectrum(autoencoder(Q.T, 3 * Q))
    assert found.distance < 1e-14
    np.testing.assert_allclose(found.singular_values, 3)
    oblique = rng.normal(size=(6, 20))
    found = spectrum(autoencoder(oblique, Q @ np.linalg.inv(oblique @ Q)))
    assert found.distance < 1e-10
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
    with pytest.raises(
        ValueError, match="`model` must be an Autoencoder, LinearAutoencoder or PersianRug, got Foreign"
    ):
        spectrum(Foreign())
    model = Autoencoder(5, 2)
    with torch.no_grad():
        model.W_enc[0, 0] = float("nan")
    with pytest.raises(ValueError, match="`W_enc` must be finite"):
        spectrum(model)
