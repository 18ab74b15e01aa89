"""Lemma 1: exact recovery under the corrected condition, what happens beyond it, certificates, bad supports."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from superposition import PersianRug, SparseFeatures
from superposition.decoders import ThresholdLeastSquares
from superposition.decoders.threshold_least_squares import least_squares
from superposition.features.exactly_sparse import sparse_vectors
from superposition.models.base import encoder_of
from superposition.models.encoders import DenseEncoder
from tests.rounding import assert_within, gamma, likely_gamma, unit_roundoff


def recovered(encoder, x, k, **more):
    hidden = encoder.encode(x)
    return ThresholdLeastSquares(k, **more)(hidden, encoder, SparseFeatures(encoder.n_features, 0.1))


def solved(n_terms, k, dtype, condition=3.0):
    """Bound on the error of least squares on k columns: values up to 1, sums of so many terms.

    An inner product with a unit column is rounded in units of the activations' norm, √k at most; one step of refinement
    leaves that times the columns' condition number, squared in normal equations.
    """
    return condition**2 * np.sqrt(k) * likely_gamma(n_terms, dtype)


def condition_margin(encoder, x, k):
    """x_(k)/2 − ‖T(x) − x‖_∞ of the true x."""
    first = torch.relu(encoder.adjoint(encoder.encode(x)) / encoder.column_norms() ** 2)
    return x.topk(k, dim=1).values[:, -1] / 2 - (first - x).abs().amax(dim=1)


@given(
    seed=st.integers(0, 2**31), size=st.sampled_from([(64, 48), (512, 300), (1024, 512)]), k=st.integers(1, 12),
    kind=st.sampled_from(["gaussian", "harmonic", "rug"]),
)  # fmt: skip
def test_property_exact_recovery_where_the_condition_holds(seed, size, k, kind):
    n, m = size
    encoder = (
        encoder_of(PersianRug.draw(n, m, seed=seed % 1000))
        if kind == "rug"
        else getattr(DenseEncoder, kind)(n, m, seed=seed % 1000, dtype=torch.float64)
    )
    x = sparse_vectors(n, k, 30, seed=seed, lowest=0.5, dtype=torch.float64)
    decoded = recovered(encoder, x, k)
    meets = condition_margin(encoder, x, k) > 0
    # What is not exact errs by the size of values.
    exact = (decoded.features - x).abs().amax(dim=1) < solved(n, k, torch.float64, condition=10)
    assert exact[meets].all()
    assert decoded.certificate.holds[meets].all()
    # And only exact answers are certified.
    assert exact[decoded.certificate.holds].all()


def test_known_share_of_recovery_at_n_4096():
    """The condition is met by most samples of few features and by few of many; what it promises is kept in float32."""
    encoder = encoder_of(PersianRug.draw(4096, 2048, seed=1))
    shares = []
    for k in (20, 40, 60):
        x = sparse_vectors(4096, k, 200, seed=k, lowest=0.5)
        decoded, meets = recovered(encoder, x, k), condition_margin(encoder, x, k) > 0
        exact = (decoded.features - x).abs().amax(dim=1) < solved(2 * 64, k, torch.float32)  # two passes of 64
        assert exact[meets].all()
        assert torch.equal(decoded.certificate.holds, meets)
        shares.append(float(meets.double().mean()))
    assert shares[0] > 0.9 > shares[1] > 0.05 > shares[2]


def test_control_the_text_s_condition_does_not_suffice():
    """ε below the (k+1)-th largest entry is ε < 0 for exactly k-sparse x; without it wrong supports are common."""
    encoder = DenseEncoder.gaussian(256, 40, seed=1, dtype=torch.float64)
    x = sparse_vectors(256, 12, 100, seed=1, dtype=torch.float64)
    decoded = recovered(encoder, x, 12)
    wrong = (decoded.features - x).abs().amax(dim=1) > 0.01
    assert wrong.double().mean() > 0.9
    assert not decoded.certificate.holds[wrong].any()
    assert (decoded.residual[wrong] > 0.01).all()


@pytest.mark.parametrize("kind", ["gaussian", "rug"])
def test_naive_twin_least_squares(kind, generator):
    dense, rug = DenseEncoder.gaussian(64, 32, seed=2, dtype=torch.float64), encoder_of(PersianRug.draw(64, 32, seed=2))
    encoder = dense if kind == "gaussian" else rug
    W = encoder.columns(torch.arange(64)).double().numpy().T
    hidden = torch.randn(9, 32, generator=generator, dtype=torch.float64)
    support = torch.stack([torch.randperm(64, generator=generator)[:7] for _ in range(9)])
    values, condition = least_squares(hidden, encoder, support)
    for row in range(9):
        columns = W[:, support[row]]
        true = np.linalg.cond(columns)
        # A rug's columns are shown in float32.
        given = unit_roundoff(torch.float32) if kind == "rug" else 0.0
        relative = true**2 * (gamma(3 * 32 + 7**2, float) + 2 * given)
        expected = np.linalg.lstsq(columns, hidden[row], rcond=None)[0]
        assert_within(values[row], expected, relative * float(hidden[row].norm()))
        assert true * (1 - relative) <= condition[row] <= true * np.sqrt(7)


def test_blocks_make_no_difference(monkeypatch):
    from superposition.decoders import threshold_least_squares as module

    encoder, x = DenseEncoder.gaussian(64, 32, seed=2), sparse_vectors(64, 3, 50, seed=4)
    whole = recovered(encoder, x, 3)
    monkeypatch.setattr(module, "_BLOCK", 500)
    assert_within(recovered(encoder, x, 3).features, whole.features, 2 * solved(64, 3, torch.float32))


def test_dependent_columns_are_said_to_be():
    W = torch.eye(4, dtype=torch.float64)[:, [0, 1, 1, 2]]
    x = torch.tensor([[0.0, 0.4, 0.5, 0.0], [0.3, 0.5, 0.0, 0.0]], dtype=torch.float64)
    decoded = ThresholdLeastSquares(2)(x @ W.T, W, SparseFeatures(4, 0.5))
    # Both columns of value 0.9 are taken in the first sample, columns 1 and 2 in the second one.
    assert not decoded.converged.any()
    assert decoded.why.startswith("2 of 2 samples: the columns of the support are dependent")
    assert decoded.features.isfinite().all()
    assert (decoded.certificate.condition == torch.inf).all()
    assert not decoded.certificate.holds.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ThresholdLeastSquares(0), "`k` must be a whole number of at least 1"),
        (
            lambda: recovered(DenseEncoder.gaussian(8, 3), torch.zeros(1, 8), 4),
            r"`k` must be a whole number in \[1, 3\], got 4: k columns in fewer dimensions are dependent",
        ),
        (lambda: ThresholdLeastSquares(2, scale=-1.0), "`scale` must be in"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rounds_that_do_not_settle_are_said_to():
    encoder = DenseEncoder.gaussian(256, 32, seed=1, dtype=torch.float64)
    x = sparse_vectors(256, 12, 100, seed=1, dtype=torch.float64)
    decoded = ThresholdLeastSquares(12, rounds=4)(encoder.encode(x), encoder, SparseFeatures(256, 0.1))
    assert not decoded.converged.all()
    assert "the support still changed in the last round" in decoded.why
    assert decoded.iterations.max() == 4
    assert decoded.converged[decoded.residual <= 100 * np.finfo(float).eps].all()


def test_nothing_in_nothing_out():
    decoded = recovered(DenseEncoder.gaussian(8, 4, dtype=torch.float64), torch.zeros(1, 8, dtype=torch.float64), 2)
    assert (decoded.features == 0).all()
    assert decoded.residual.tolist() == [0]
