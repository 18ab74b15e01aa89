import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superposition import Constant, LinearAutoencoder, SparseFeatures, Uniform, held_out_loss
from superposition.theory import linear_loss, minimal_noise_variance, weighted_linear_loss, zero_ratio_loss
from tests.statistics import Z_BOUND


def principal_components_loss(features, n_hidden):
    """Weighted PCA by eigenvalues: what a rank-n_hidden projection of √M_i (x_i − E x_i) leaves."""
    weights = np.sqrt(features.per_feature(features.importance))
    covariance = np.diag(weights) @ np.diag(features.per_feature(features.variance)) @ np.diag(weights)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((len(weights),) * 2))[0]
    eigenvalues = np.linalg.eigvalsh(rotation @ covariance @ rotation.T)
    return eigenvalues[: features.n_features - n_hidden].sum() / features.n_features


ANY = SparseFeatures(
    9, np.linspace(0.05, 1, 9), Uniform(0.5, 2.0), importance=np.array([1, 3, 0, 2, 1, 5, 0.1, 1, 0.5])
)


@pytest.mark.parametrize("features", [ANY, SparseFeatures(8, 0.2), SparseFeatures(5, 0.5, Constant())])
@pytest.mark.parametrize("n_hidden", [1, 3, 5])
def test_naive_twin_is_principal_components(features, n_hidden):
    expected = principal_components_loss(features, n_hidden)
    assert weighted_linear_loss(features, n_hidden) == pytest.approx(expected, rel=1e-9, abs=1e-15)
    if features.is_symmetric:
        ratio = n_hidden / features.n_features
        assert linear_loss(ratio, features.probability, features.law) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("features", [ANY, SparseFeatures(64, 0.045)])
def test_simulation_of_the_fitted_model(features):
    n_hidden = features.n_features // 4
    measured = held_out_loss(LinearAutoencoder.fit(features, n_hidden), features, n_samples=200_000)
    expected = weighted_linear_loss(features, n_hidden)
    assert Z_BOUND * measured.standard_error < 0.02 * expected
    assert abs(measured.z_score(expected)) < Z_BOUND
    assert abs(measured.z_score(expected * 1.03)) > Z_BOUND


def test_known_values():
    v = 0.045 / 3 - 0.045**2 / 4
    assert zero_ratio_loss(0.045) == pytest.approx(v, rel=1e-14)
    assert linear_loss(0.25, 0.045) == pytest.approx(0.75 * v, rel=1e-14)
    assert minimal_noise_variance(0.25, 0.045) == pytest.approx(3 * v, rel=1e-14)


@given(p=st.floats(1e-9, 1), r=st.floats(1e-6, 1))
def test_identities(p, r):
    law = Uniform(0.5, 2.0)
    assert linear_loss(r, p, law) == pytest.approx(r * minimal_noise_variance(r, p, law), rel=1e-12)
    assert zero_ratio_loss(p, law) == pytest.approx(SparseFeatures(1, p, law).variance, rel=1e-12)


def test_limits():
    assert linear_loss(1.0, 0.3) == minimal_noise_variance(1.0, 0.3) == 0.0
    assert zero_ratio_loss(1.0, Constant()) == 0.0
    assert weighted_linear_loss(ANY, 9) == 0.0
    assert weighted_linear_loss(SparseFeatures(5, 0.3), 0) == pytest.approx(zero_ratio_loss(0.3), rel=1e-12)


def test_property_n_hidden_helps_and_permutation_does_not_matter(rng):
    losses = [weighted_linear_loss(ANY, n_hidden) for n_hidden in range(10)]
    assert (np.diff(losses) <= 0).all()
    order = rng.permutation(9)
    shuffled = SparseFeatures(9, ANY.probability[order], ANY.law, importance=ANY.importance[order])
    assert weighted_linear_loss(shuffled, 4) == pytest.approx(losses[4], rel=1e-14)


@pytest.mark.parametrize("n_hidden", [-1, 10, 2.5])
def test_bad_widths_are_refused(n_hidden):
    with pytest.raises((ValueError, TypeError), match="n_hidden"):
        weighted_linear_loss(ANY, n_hidden)
