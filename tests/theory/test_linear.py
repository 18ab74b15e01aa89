import numpy as np
import pytest
from hypothesis import given, strategies as st

from superposition import Constant, LinearAutoencoder, SparseFeatures, Uniform, held_out_loss
from superposition.theory import linear_loss, minimal_noise_variance, weighted_linear_loss, zero_ratio_loss
from tests.rounding import assert_close, assert_within, gamma, unit_roundoff
from tests.statistics import Z_BOUND

# Closed forms of so many operations.
CLOSED_FORM = gamma(10, float)


def principal_components_loss(features, n_hidden):
    """Weighted PCA by eigenvalues: what a rank-n_hidden projection of √M_i (x_i − E x_i) leaves."""
    weights = np.sqrt(features.per_feature(features.importance))
    covariance = np.diag(weights) @ np.diag(features.per_feature(features.variance)) @ np.diag(weights)
    n = features.n_features
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    eigenvalues = np.linalg.eigvalsh(rotation @ covariance @ rotation.T)
    # In units of u‖A‖: two products 2n · n, as norms of absolute values are up to √n larger; the rotation's own error
    # and the eigenvalues' n² each (LAPACK User's Guide, 4.7: a modest function of n).
    bound = 4 * n**2 * unit_roundoff(float) * eigenvalues[-1]
    return eigenvalues[: n - n_hidden].sum() / n, bound


ANY = SparseFeatures(
    9, np.linspace(0.05, 1, 9), Uniform(0.5, 2.0), importance=np.array([1, 3, 0, 2, 1, 5, 0.1, 1, 0.5])
)


@pytest.mark.parametrize("features", [ANY, SparseFeatures(8, 0.2), SparseFeatures(5, 0.5, Constant())])
@pytest.mark.parametrize("n_hidden", [1, 3, 5])
def test_naive_twin_is_principal_components(features, n_hidden):
    expected, bound = principal_components_loss(features, n_hidden)
    assert_within(weighted_linear_loss(features, n_hidden), expected, bound, resolution=1e-9)
    if features.is_symmetric:
        ratio = n_hidden / features.n_features
        assert_within(linear_loss(ratio, features.probability, features.law), expected, bound, resolution=1e-9)


@pytest.mark.parametrize("features", [ANY, SparseFeatures(64, 0.045)])
def test_simulation_of_the_fitted_model(features):
    n_hidden = features.n_features // 4
    measured = held_out_loss(LinearAutoencoder.fit(features, n_hidden), features, n_samples=200_000)
    expected = weighted_linear_loss(features, n_hidden)
    assert Z_BOUND * measured.standard_error < 0.015 * expected  # half of the control's distance
    assert abs(measured.z_score(expected)) < Z_BOUND
    assert abs(measured.z_score(expected * 1.03)) > Z_BOUND


def test_known_values():
    v = 0.045 / 3 - 0.045**2 / 4
    assert_close(zero_ratio_loss(0.045), v, CLOSED_FORM)
    assert_close(linear_loss(0.25, 0.045), 0.75 * v, CLOSED_FORM)
    assert_close(minimal_noise_variance(0.25, 0.045), 3 * v, CLOSED_FORM)


@given(p=st.floats(1e-9, 1), r=st.floats(1e-6, 1))
def test_identities(p, r):
    law = Uniform(0.5, 2.0)
    assert_close(linear_loss(r, p, law), r * minimal_noise_variance(r, p, law), CLOSED_FORM)
    assert_close(zero_ratio_loss(p, law), SparseFeatures(1, p, law).variance, CLOSED_FORM)


def test_limits():
    assert linear_loss(1.0, 0.3) == minimal_noise_variance(1.0, 0.3) == 0.0
    assert zero_ratio_loss(1.0, Constant()) == 0.0
    assert weighted_linear_loss(ANY, 9) == 0.0
    assert_close(weighted_linear_loss(SparseFeatures(5, 0.3), 0), zero_ratio_loss(0.3), CLOSED_FORM)


def test_property_n_hidden_helps_and_permutation_does_not_matter(rng):
    losses = [weighted_linear_loss(ANY, n_hidden) for n_hidden in range(10)]
    assert (np.diff(losses) <= 0).all()
    order = rng.permutation(9)
    shuffled = SparseFeatures(9, ANY.probability[order], ANY.law, importance=ANY.importance[order])
    assert_close(weighted_linear_loss(shuffled, 4), losses[4], gamma(9, float))  # a sum of at most nine


@pytest.mark.parametrize("n_hidden", [-1, 10, 2.5])
def test_bad_widths_are_refused(n_hidden):
    with pytest.raises((ValueError, TypeError), match="n_hidden"):
        weighted_linear_loss(ANY, n_hidden)
