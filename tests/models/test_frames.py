"""Projections with a given diagonal, and the allocations that they realise."""

import numpy as np
import pytest
import torch

from superposition.diagnostics import held_out_loss, symmetry
from superposition.features import SparseFeatures
from superposition.models import paired_frame, projection_root, realise
from superposition.models.frames import _TOLERANCE
from superposition.theory import allocate, minimal_noise_variance
from tests.rounding import as_array, assert_within, gamma, unit_roundoff


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
    # Iterated until the norms are that near, by a factorisation whose condition is below 10⁴ for these capacities.
    factored = 1e4 * gamma(16 * len(capacity), float)
    np.testing.assert_allclose((Q**2).sum(1), capacity, rtol=0, atol=_TOLERANCE + factored)
    np.testing.assert_allclose(Q.T @ Q, np.eye(Q.shape[1]), rtol=0, atol=factored)


@pytest.mark.parametrize("capacity", [[0.5, 0.6], [1.5, 0.5], [-0.1, 1.1], [0.0, 0.0], [np.nan, 1.0]])
def test_what_is_no_diagonal_of_a_projection_is_refused(capacity):
    with pytest.raises(ValueError, match="`capacity` must"):
        projection_root(np.array(capacity))


def weight_bound(model):
    """Bound on each entry of W: a product of two matrices that were rounded to float32."""
    return gamma(model.n_hidden + 2, np.float32) * as_array(model.W_dec.abs() @ model.W_enc.abs())


def test_realised_weights_have_the_scale_noise_and_bias_of_the_theory():
    features = SparseFeatures(120, np.repeat([0.02, 0.1, 0.3], 40), importance=np.tile([1.0, 0.3], 60))
    found = allocate(features, 40)
    model = realise(found, features)
    W = model.W_rows(0, 120).double().numpy()
    off_W, kept = weight_bound(model), found.capacity > 0
    # The square of the norm of a row is its capacity but for the tolerance of the iteration.
    share = _TOLERANCE / np.where(kept, found.capacity, 1)
    assert_within(np.diag(W), found.scale, np.diag(off_W) + share * found.scale)
    off = W - np.diag(np.diag(W))
    variance = (off**2 @ features.per_feature(features.variance))[kept] / np.diag(W)[kept] ** 2
    # Σ w² var is off by 2 Σ |w| δw var, and the squared diagonal by 2 δw/w of itself.
    bound = (2 * (np.abs(off) * off_W) @ features.per_feature(features.variance))[kept] / np.diag(W)[kept] ** 2
    bound += variance * (2 * np.diag(off_W)[kept] / np.diag(W)[kept] + 4 * share[kept])
    assert_within(variance, found.noise_std[kept] ** 2, bound)
    absorbed = model.b_dec.detach().double().numpy() + off @ features.per_feature(features.mean)
    bound = off_W @ features.per_feature(features.mean) + unit_roundoff(np.float32) * np.abs(
        model.b_dec.detach().numpy()
    )
    assert_within(absorbed, found.bias, bound)


def test_equal_capacities_give_an_equal_norm_tight_frame_of_any_size():
    features = SparseFeatures(90, 0.05)
    model = realise(allocate(features, 33), features)
    found, W, off_W = symmetry(model, features), np.abs(model.W_rows(0, 90).double().numpy()), weight_bound(model)
    assert found.diagonal.extent <= 2 * np.diag(off_W).max() < 1e-4 * found.diagonal.mean
    expected = minimal_noise_variance(33 / 90, 0.05)
    # Relative: of Σ w², and twice of the diagonal.
    bound = ((2 * W * off_W).sum(1) / ((W**2).sum(1) - np.diag(W) ** 2) + 2 * np.diag(off_W) / np.diag(W)).max()
    assert found.noise_variance.mean == pytest.approx(expected, rel=bound)
    assert found.noise_variance.extent <= 2 * bound * expected < 1e-3 * expected


def test_features_given_up_are_predicted_by_their_mean():
    features = SparseFeatures(40, 0.04, importance=np.repeat([1.0, 0.05], 20))
    found = allocate(features, 10)
    assert found.dropped == 20
    model = realise(found, features)
    given_up = model(features.sample(5, torch.Generator()))[:, 20:]
    torch.testing.assert_close(given_up, torch.full((5, 20), 0.02), rtol=gamma(4, np.float32), atol=0)


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


@pytest.mark.parametrize("variance", [None, 5.0, 20.0])
@pytest.mark.parametrize("coherence", [-1.0, -0.4, 0.0, 0.7, 1.0])
@pytest.mark.parametrize(("n", "m"), [(64, 16), (40, 8)])
def test_identity_variance_and_coherence_are_as_asked_each_alone(n, m, coherence, variance):
    variance = n / m - 1 if variance is None else min(variance, n / 2 - 1)
    F = paired_frame(n, m, coherence, None if variance == n / m - 1 else variance, seed=2)
    W = F.T @ F
    # Sums of m products and of n squares, a root found to 1e-13 of the decay, and an angle's cosine.
    close = gamma(8 * n, float) * n
    np.testing.assert_allclose(np.diag(W), 1, rtol=0, atol=close)
    np.testing.assert_allclose((W**2).sum(1) - 1, variance, rtol=1e-9)
    np.testing.assert_allclose(W[np.arange(0, n, 2), np.arange(1, n, 2)], coherence, rtol=0, atol=close)
    np.testing.assert_allclose(W.sum(1), 0, rtol=0, atol=close)
    if variance == n / m - 1:
        np.testing.assert_allclose(F @ F.T, n / m * np.eye(m), rtol=0, atol=n * close)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((65, 16, 0.5), "`n_features` must be even"),
        ((184, 16, 0.5), "order of a Hadamard matrix"),
        ((64, 15, 0.5), "`n_hidden` must be even"),
        ((64, 32, 0.5), r"`n_hidden` must be a whole number in \[2, 31\], got 32: fewer than there are pairs"),
        ((64, 16, 1.5), "`coherence` must be in"),
        ((64, 16, 0.5, 2.0), "`variance` must be in"),
    ],
)
def test_frames_that_there_are_none_of_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        paired_frame(*arguments)
