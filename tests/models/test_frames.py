"""Projections with a given diagonal, and the allocations that they realise."""

import numpy as np
import pytest
import torch

from superposition.diagnostics import held_out_loss, symmetry
from superposition.features import SparseFeatures
from superposition.models import projection_root, realise
from superposition.theory import allocate, minimal_noise_variance


@pytest.mark.parametrize(
    "capacity",
    [
        [0.5, 0.5],
        [1.0, 0.0, 1.0],
        [0.9, 0.9, 0.1, 0.1],
        [1.0, 0.3, 0.3, 0.4, 0.0],
        [0.99, 0.005, 0.005],
        np.random.default_rng(0).dirichlet(np.ones(50)) * 5,
    ],
    ids=len,
)
def test_rows_have_the_norms_and_columns_are_orthonormal(capacity):
    capacity = np.asarray(capacity)
    Q = projection_root(capacity, seed=3)
    np.testing.assert_allclose((Q**2).sum(1), capacity, atol=1e-8)
    np.testing.assert_allclose(Q.T @ Q, np.eye(Q.shape[1]), atol=1e-9)


@pytest.mark.parametrize("capacity", [[0.5, 0.6], [1.5, 0.5], [-0.1, 1.1], [0.0, 0.0], [np.nan, 1.0]])
def test_what_is_no_diagonal_of_a_projection_is_refused(capacity):
    with pytest.raises(ValueError, match="`capacity` must"):
        projection_root(np.array(capacity))


def test_realised_weights_have_the_scale_noise_and_bias_of_the_theory():
    features = SparseFeatures(120, np.repeat([0.02, 0.1, 0.3], 40), importance=np.tile([1.0, 0.3], 60))
    found = allocate(features, 40)
    model = realise(found, features)
    W = model.W_rows(0, 120).double().numpy()
    np.testing.assert_allclose(np.diag(W), found.scale, atol=2e-6)
    kept = found.capacity > 0
    off = W - np.diag(np.diag(W))
    variance = (off**2 @ features.per_feature(features.variance))[kept] / np.diag(W)[kept] ** 2
    np.testing.assert_allclose(variance, found.noise_std[kept] ** 2, rtol=1e-4)
    absorbed = model.b_dec.detach().double().numpy() + off @ features.per_feature(features.mean)
    np.testing.assert_allclose(absorbed, found.bias, atol=1e-5)


def test_equal_capacities_give_an_equal_norm_tight_frame_of_any_size():
    features = SparseFeatures(90, 0.05)
    found = symmetry(realise(allocate(features, 33), features), features)
    assert found.diagonal.extent < 1e-5
    assert found.noise_variance.mean == pytest.approx(minimal_noise_variance(33 / 90, 0.05), rel=1e-4)
    assert found.noise_variance.extent < 1e-4 * found.noise_variance.mean


def test_features_given_up_are_predicted_by_their_mean():
    features = SparseFeatures(40, 0.04, importance=np.repeat([1.0, 0.05], 20))
    found = allocate(features, 10)
    assert found.dropped == 20
    model = realise(found, features)
    torch.testing.assert_close(model(features.sample(5, torch.Generator()))[:, 20:], torch.full((5, 20), 0.02))


def test_mismatched_sizes_are_refused():
    with pytest.raises(ValueError, match="`allocation` must have 5 capacities"):
        realise(allocate(SparseFeatures(4, 0.1), 2), SparseFeatures(5, 0.1))


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.5, 0.25])
def test_measured_loss_is_the_predicted_one_at_4096(alpha):
    """Within 1%: finite size leaves about 0.4%, ten times the error of the control."""
    features = SparseFeatures(4096, 0.04, importance=np.repeat([1.0, alpha], 2048))
    found = allocate(features, 1024)
    loss = held_out_loss(realise(found, features), features, n_samples=8000)
    assert loss.standard_error < 0.0025 * found.loss
    assert abs(loss.value / found.loss - 1) < 0.01
    assert abs(loss.value / (1.03 * found.loss) - 1) > 0.01, "control"
