"""Orthogonal matching pursuit and basis pursuit: naive twins, brute force, certificates."""

import itertools

import numpy as np
import pytest
import torch

from superposition import SparseFeatures
from superposition.decoders import OMP, BasisPursuit
from superposition.features.exactly_sparse import sparse_vectors
from superposition.models.encoders import DenseEncoder
from tests.rounding import assert_close, assert_within, gamma

# HiGHS's tolerances of feasibility, primal and dual, in units of the largest activation.
SOLVER = 1e-7


def test_naive_twin_omp_and_columns_of_any_norm():
    from sklearn.linear_model import orthogonal_mp

    encoder = DenseEncoder.gaussian(128, 64, seed=1, dtype=torch.float64)
    unit = encoder.W_enc / encoder.column_norms()
    x = sparse_vectors(128, 6, 20, seed=2, dtype=torch.float64)
    hidden = x @ unit.T
    decoded = OMP(6)(hidden, unit, SparseFeatures(128, 0.05))
    expected = orthogonal_mp(unit.numpy(), hidden.numpy().T, n_nonzero_coefs=6).T
    # Normal equations of up to 6 columns, of inner products of 64 terms: the condition number of the columns, squared.
    condition = max(np.linalg.cond(unit.numpy()[:, row != 0]) for row in expected)
    bound = condition**2 * gamma(3 * 64 + 6**2, float) * np.sqrt(6)
    assert_within(decoded.features, expected, bound)
    assert decoded.converged.double().mean() > 0.9
    norms = torch.linspace(0.1, 3, 128, dtype=torch.float64)
    scaled = OMP(6)(hidden, unit * norms, SparseFeatures(128, 0.05))
    assert_within(scaled.features * norms, expected, 2 * bound)


def test_omp_says_what_it_did_not_explain():
    encoder = DenseEncoder.gaussian(64, 16, seed=1)
    decoded = OMP(2)(encoder.encode(sparse_vectors(64, 8, 5, seed=2)), encoder, SparseFeatures(64, 0.1))
    assert not decoded.converged.any()
    assert "5 of 5 samples: 2 columns leave more than 0.001 of the activations unexplained" in decoded.why
    with pytest.raises(ValueError, match=r"`k` must be a whole number in \[1, 16\], got 17"):
        OMP(17)(torch.zeros(1, 16), encoder, SparseFeatures(64, 0.1))


def test_omp_takes_as_many_as_the_prior_expects():
    encoder, features = DenseEncoder.gaussian(256, 128, seed=1, dtype=torch.float64), SparseFeatures(256, 0.03)
    x = features.sample(20, torch.Generator().manual_seed(0), dtype=torch.float64)
    decoded = OMP()(encoder.encode(x), encoder, features)
    assert decoded.converged.all()
    # 19 columns of 128 entries: the square of their condition number is 5 for random ones (Marchenko and Pastur), and
    # those that are taken for nothing but rounding may be closer to dependent, by ten.
    assert_within(decoded.features, x, 50 * gamma(3 * 128 + 19**2, float) * np.sqrt(19))


@pytest.mark.parametrize("nonnegative", [True, False])
def test_naive_twin_basis_pursuit_by_brute_force_over_vertices(nonnegative):
    """A linear programme has its optimum at a vertex: m columns and their exact solution."""
    encoder = DenseEncoder.gaussian(8, 3, seed=4, dtype=torch.float64)
    W = encoder.W_enc.numpy()
    x = sparse_vectors(8, 3, 6, seed=1, dtype=torch.float64)
    hidden = encoder.encode(x)
    decoded = BasisPursuit(nonnegative)(hidden, encoder, SparseFeatures(8, 0.4))
    for row in range(6):
        best = np.inf
        for columns in itertools.combinations(range(8), 3):
            solution = np.linalg.solve(W[:, columns], hidden[row].numpy())
            if not nonnegative or (solution >= -SOLVER).all():
                best = min(best, np.abs(solution).sum())
        assert_close(float(decoded.features[row].abs().sum()), best, SOLVER)
    assert decoded.converged.all()
    assert (decoded.certificate.gap < SOLVER).all()
    assert (decoded.features >= 0).all() or not nonnegative


@pytest.mark.parametrize("nonnegative", [True, False])
def test_certificate_holds_and_recovery_is_exact_well_inside_the_transition(nonnegative):
    encoder = DenseEncoder.gaussian(200, 100, seed=4, dtype=torch.float64)
    x = sparse_vectors(200, 15, 6, seed=1, dtype=torch.float64)
    x = (
        x
        if nonnegative
        else x * torch.where(torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.5, -1, 1)
    )
    decoded = BasisPursuit(nonnegative)(encoder.encode(x), encoder, SparseFeatures(200, 0.1))
    assert_within(decoded.features, x, SOLVER)
    certificate = decoded.certificate
    products = certificate.multipliers @ encoder.W_enc
    assert ((products if nonnegative else products.abs()) <= 1 + BasisPursuit().tolerance).all()
    support = x != 0
    assert_within(products[support], x.sign()[support], BasisPursuit().tolerance)  # complementary slackness


def test_units_do_not_matter():
    encoder, features = DenseEncoder.gaussian(40, 20, seed=4, dtype=torch.float64), SparseFeatures(40, 0.1)
    x = sparse_vectors(40, 3, 3, seed=1, dtype=torch.float64)
    for unit in (1e-9, 1e9):
        decoded = BasisPursuit()(unit * encoder.encode(x), encoder, features)
        assert decoded.converged.all()
        assert_within(decoded.features / unit, x, SOLVER)


def test_activations_that_no_features_make_are_said_to_be():
    decoded = BasisPursuit()(torch.tensor([[-1.0, 0.5], [1.0, 0.5]]), torch.eye(2), SparseFeatures(2, 0.5))
    assert decoded.converged.tolist() == [False, True]
    assert decoded.why.startswith("1 of 2 samples: no x meets the constraints")
    assert decoded.features.isfinite().all()
    nothing = BasisPursuit()(torch.zeros(1, 2), torch.eye(2), SparseFeatures(2, 0.5))
    assert nothing.converged.all()
    assert (nothing.features == 0).all()
