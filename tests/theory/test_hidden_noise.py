"""Noise on the hidden units in theory: naive formulas, no better encoder, the limit without noise."""

import numpy as np
import pytest
from scipy.optimize import minimize

from superposition import Constant, Exponential, SparseFeatures, Uniform, theory
from tests.rounding import assert_close, gamma

# Closed forms of so many operations, of terms of one sign.
CLOSED_FORM = gamma(20, float)
NOISES = [0.0, 1e-9, 0.3, 1.0, 20.0]


def interference(W_enc, W_dec, v, noise):
    """Var ν_i of each feature, entry by entry: of the others, and of noise ω times the units' root mean square."""
    n_hidden, n = W_enc.shape
    units = [sum(v * W_enc[k, j] ** 2 for j in range(n)) for k in range(n_hidden)]
    added = noise**2 * sum(units) / n_hidden
    W = W_dec @ W_enc
    others = [sum(v * W[i, j] ** 2 for j in range(n) if j != i) for i in range(n)]
    return [(others[i] + added * sum(W_dec[i] ** 2)) / W[i, i] ** 2 for i in range(n)]


def best_read_out(W_enc, v, noise):
    """Rows w_i ∝ (Cov hidden + noise)⁻¹ (W_enc)_i."""
    S = v * W_enc @ W_enc.T
    added = noise**2 * np.trace(S) / len(S)
    return np.linalg.solve(S + added * np.eye(len(S)), W_enc).T


def frame(n, n_hidden):
    """Columns of norm 1, rows of one norm and orthogonal: a discrete Fourier transform's, in real numbers."""
    k, j = np.arange(1, n_hidden // 2 + 1)[:, None], np.arange(n)
    waves = np.concatenate([np.cos(2 * np.pi * k * j / n), np.sin(2 * np.pi * k * j / n)])
    return np.sqrt(2 / n_hidden) * waves


@pytest.mark.parametrize("noise", NOISES[2:])
def test_naive_twin_a_tight_frame_has_the_least_variance_and_others_have_more(noise):
    n, n_hidden, p = 11, 4, 0.2
    v = theory.zero_ratio_loss(p)
    least = theory.minimal_noise_variance(n_hidden / n, p, hidden_noise=noise)
    W_enc = frame(n, n_hidden)
    # The condition number is 1; sums of n n_hidden terms.
    assert_close(interference(W_enc, best_read_out(W_enc, v, noise), v, noise), least, gamma(300, float))
    assert_close(interference(W_enc, W_enc.T, v, noise), least, gamma(300, float))
    rng = np.random.default_rng(0)
    for size in (0.01, 0.3, 3.0):
        for stretched in (np.ones((n_hidden, 1)), np.geomspace(0.1, 1, n_hidden)[:, None]):
            other = stretched * (W_enc + size * rng.standard_normal(W_enc.shape))
            assert np.mean(interference(other, best_read_out(other, v, noise), v, noise)) > least * (1 + 1e-6)


@pytest.mark.parametrize("law", [Uniform(), Constant(), Exponential()], ids=str)
@pytest.mark.parametrize("noise", NOISES)
def test_identity_noise_is_a_narrower_bottleneck(law, noise):
    ratio, p = np.array([0.05, 0.25, 0.9]), 0.05
    narrower = theory.symmetric_optimum(ratio / (1 + noise**2), p, law)
    found = theory.symmetric_optimum(ratio, p, law, hidden_noise=noise)
    # σ² is rounded by a few units, and the loss is no steeper in log σ² than twice.
    assert_close(found.noise_std, narrower.noise_std, CLOSED_FORM)
    assert_close(found.loss, narrower.loss, gamma(500, float))
    linear = theory.linear_loss(ratio / (1 + noise**2), p, law)
    assert_close(theory.linear_loss(ratio, p, law, hidden_noise=noise), linear, 10 * CLOSED_FORM)


def test_limit_without_noise_every_number_is_the_same():
    ratio, p = np.array([0.03, 0.25, 1.0]), np.array([0.045, 1e-9, 0.5])
    for function in (theory.linear_loss, theory.minimal_noise_variance):
        assert np.array_equal(function(ratio, p, hidden_noise=0.0), function(ratio, p))
    plain, with_none = theory.symmetric_optimum(ratio, p), theory.symmetric_optimum(ratio, p, hidden_noise=0.0)
    for name in ("loss", "scale", "bias", "noise_std"):
        assert np.array_equal(getattr(plain, name), getattr(with_none, name))
    features = SparseFeatures(5, np.linspace(0.1, 0.9, 5))
    assert theory.weighted_linear_loss(features, 2, hidden_noise=0.0) == theory.weighted_linear_loss(features, 2)
    # As much noise as signal at ratio 1, and so little that its square is far below a rounding of 1 + ω².
    assert_close(
        theory.minimal_noise_variance(1.0, 0.2, hidden_noise=1e-9), 1e-18 * theory.zero_ratio_loss(0.2), CLOSED_FORM
    )


def test_known_values_at_both_ends():
    v = theory.zero_ratio_loss(0.1)
    assert_close(theory.linear_loss(0.5, 0.1, hidden_noise=1.0), 0.75 * v, CLOSED_FORM)
    assert_close(theory.linear_loss(0.5, 0.1, hidden_noise=1e15), v, CLOSED_FORM)
    losses = theory.symmetric_optimum(0.25, 0.1, hidden_noise=np.linspace(0, 3, 20)).loss
    assert (np.diff(losses) > 0).all()
    assert losses[-1] < v


@pytest.mark.parametrize("noise", [0.1, 0.7, 3.0])
@pytest.mark.parametrize("n_hidden", [1, 3, 6])
def test_naive_twin_no_shares_of_the_units_variance_lose_less(noise, n_hidden):
    features = SparseFeatures(7, 0.3, importance=np.array([1, 3, 0.01, 2, 1, 5, 0.1]))
    variances = np.sort(features.per_feature(features.importance * features.variance))[::-1]

    def lost(logits):
        shares = np.exp(logits - logits.max())
        s = n_hidden * shares / shares.sum()
        return (variances[:n_hidden] * noise**2 / (s + noise**2)).sum() + variances[n_hidden:].sum()

    starts = np.random.default_rng(0).standard_normal((5, n_hidden))
    best = min(minimize(lost, start, method="Nelder-Mead", options={"maxiter": 20_000, "maxfev": 20_000,
               "xatol": 1e-10, "fatol": 1e-14}).fun for start in starts)  # fmt: skip
    found = theory.weighted_linear_loss(features, n_hidden, hidden_noise=noise) * 7
    # The search gets near in second order; a share of nothing is at minus infinity, where it gives up.
    assert found * (1 - 1e-12) <= best
    assert best / found - 1 < 1e-4


@pytest.mark.parametrize("n_hidden", [0, 2, 8])
@pytest.mark.parametrize("noise", [*NOISES, 1e15])
def test_identity_equal_features_share_equally(noise, n_hidden):
    features = SparseFeatures(8, 0.2)
    if not n_hidden:
        expected = theory.zero_ratio_loss(0.2)
    else:
        expected = theory.linear_loss(n_hidden / 8, 0.2, hidden_noise=noise)
    if expected > 1e-12:  # at ratio 1 without noise the sum is empty
        assert_close(theory.weighted_linear_loss(features, n_hidden, hidden_noise=noise), expected, gamma(100, float))


@pytest.mark.parametrize("noise", [-0.1, np.nan, np.inf, 1e16])
def test_noise_that_is_none_is_refused(noise):
    for call in (
        lambda: theory.linear_loss(0.25, 0.1, hidden_noise=noise),
        lambda: theory.minimal_noise_variance(0.25, 0.1, hidden_noise=noise),
        lambda: theory.symmetric_optimum(0.25, 0.1, hidden_noise=noise),
        lambda: theory.weighted_linear_loss(SparseFeatures(4, 0.1), 2, hidden_noise=noise),
    ):
        with pytest.raises(ValueError, match="`hidden_noise` must be"):
            call()
