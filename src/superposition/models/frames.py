"""Frames of given properties: that realise an allocation of capacity, or of given coherence and row variance."""

import numpy as np
import torch
from scipy.optimize import brentq

from superposition import _checks
from superposition._checks import FloatArray
from superposition._random import numpy_rng
from superposition.features import Features, sparse_parts
from superposition.models.autoencoder import Autoencoder
from superposition.models.hadamard import hadamard_transform
from superposition.models.hadamard_constructions import check_order
from superposition.theory import Allocation

_TOLERANCE = 1e-9
_TYLER_ROUNDS, _NEWTON_ROUNDS = 60, 40


def realise(allocation: Allocation, features: Features, *, hidden_noise: float = 0.0, seed: int = 0) -> Autoencoder:
    """Autoencoder whose every feature has the capacity, scale and bias of an allocation.

    With Q of orthonormal columns and row norms ‖Q_i‖² = h_i (1 + ω²), W_enc = Qᵀ D^(−1/2) and row i of W_dec is
    a_i √v_i/‖Q_i‖² Q_i, D = diag(v): then W_ii = a_i and Var ν_i = v_i (1/h_i − 1), as the capacity theorem says. The
    mean of the interference is moved from the bias of the theory into that of the model. A feature that is given
    up has no weights and its mean as bias. For equal capacities Q is an equal-norm tight frame, of any size.

    Args:
        allocation: From `theory.allocate(features, n_hidden)`; Σ h_i (1 + ω²) must be a whole number.
        features: What it was made for.
        hidden_noise: ω for which it was made, and which the model has.
        seed: Seed of the directions, which are generic otherwise.

    Returns:
        An Autoencoder with n_hidden = Σ h_i (1 + ω²), in float32.

    Raises:
        ValueError: Sizes do not match, or the capacities are not those of a projection.

    >>> from superposition import SparseFeatures
    >>> from superposition.theory import allocate
    >>> features = SparseFeatures(20, 0.1)
    >>> model = realise(allocate(features, n_hidden=8), features)
    >>> model.n_hidden
    8
    """
    sparse_parts(features)
    capacity = _checks.instance("allocation", allocation, Allocation, "an Allocation").capacity
    if capacity.shape != (features.n_features,):
        raise ValueError(f"`allocation` must have {features.n_features} capacities, got shape {capacity.shape}")
    variance = features.per_feature(features.variance)
    if not (variance > 0).all():
        raise ValueError("`features` must vary, got one of variance 0: it needs no code but its bias")
    noise = _checks.one("hidden_noise", _checks.hidden_noise(hidden_noise))
    capacity = capacity * (1 + noise**2)
    Q = projection_root(capacity, seed=seed)
    std = np.sqrt(variance)
    kept = capacity > 0
    W_enc = Q.T / std
    W_dec = np.where(kept, allocation.scale * std / np.where(kept, capacity, 1.0), 0.0)[:, None] * Q
    # E ν_i a_i is the off-diagonal part of W E x.
    mean = features.per_feature(features.mean)
    shift = W_dec @ (W_enc @ mean) - allocation.scale * mean
    model = Autoencoder(features.n_features, Q.shape[1], seed=seed, hidden_noise=noise)
    with torch.no_grad():
        model.W_enc.copy_(torch.from_numpy(W_enc))
        model.W_dec.copy_(torch.from_numpy(W_dec))
        model.b_dec.copy_(torch.from_numpy(allocation.bias - shift))
    return model


def projection_root(capacity: FloatArray, *, seed: int = 0) -> FloatArray:
    """Returns Q (n, m) of orthonormal columns with ‖Q_i‖² = capacity_i, m = Σ capacity_i: Q Qᵀ is a projection.

    Generic directions G are scaled row by row, Q = √w G (Gᵀ w G)^(−1/2), until the row norms are as wanted: a
    fixed point that exists and is unique for generic G (Barthe's radial isotropic position). Rows of capacity 1
    get a dimension of their own, rows of capacity 0 none.

    Args:
        capacity: Diagonal of the projection, each in [0, 1], with a whole sum; shape (n,).
        seed: Seed of G.

    Raises:
        ValueError: The capacities are not the diagonal of a projection.

    >>> Q = projection_root(np.array([0.5, 0.75, 0.75]))
    >>> np.round((Q**2).sum(1), 6).tolist()
    [0.5, 0.75, 0.75]
    """
    h = _checks.in_interval("capacity", capacity, 0, 1)
    if h.ndim != 1:
        raise ValueError(f"`capacity` must have one entry a feature, got shape {h.shape}")
    total = round(h.sum())
    if abs(h.sum() - total) > 1e-6 or total < 1:
        raise ValueError(f"`capacity` must sum to a whole number of dimensions, got {h.sum():g}")
    whole = h > 1 - 1e-9
    shared = (h > 1e-12) & ~whole
    Q = np.zeros((h.size, total))
    Q[np.flatnonzero(whole), np.arange(whole.sum())] = 1.0
    dimensions = total - int(whole.sum())
    if dimensions:
        G = numpy_rng(seed, "frame").standard_normal((int(shared.sum()), dimensions))
        Q[np.ix_(shared, np.arange(whole.sum(), total))] = _scaled_to(G, h[shared])
    return Q


def _scaled_to(G: FloatArray, h: FloatArray) -> FloatArray:
    """Returns √w G (Gᵀ w G)^(−1/2) with row norms² h.

    log w minimises the convex log det(Gᵀ w G) − h·log w, whose gradient is leverage − h: first by Tyler's
    iteration, which needs no second derivatives, then, where that is slow, by Newton's.
    """
    log_w = np.log(h)
    for round_ in range(_TYLER_ROUNDS + _NEWTON_ROUNDS):
        rows = np.exp(log_w / 2)[:, None] * G
        # L Lᵀ = Gᵀ w G; rows L^(−T) has orthonormal columns, as has every rotation of it.
        Q = np.linalg.solve(np.linalg.cholesky(rows.T @ rows), rows.T).T
        leverage = (Q**2).sum(1)
        if np.abs(leverage - h).max() < _TOLERANCE:
            return Q
        if round_ < _TYLER_ROUNDS:
            log_w = log_w + np.log(h / leverage)
        else:
            # The second derivative is singular along a common factor of all w, which changes nothing.
            curvature = np.diag(leverage) - (Q @ Q.T) ** 2 + 1 / h.size
            log_w = log_w + np.clip(np.linalg.solve(curvature, h - leverage), -1.0, 1.0)
    raise ValueError("`capacity` must be the diagonal of a projection: no scaling of generic rows has these norms")


def paired_frame(
    n_features: int, n_hidden: int, coherence: float, variance: float | None = None, *, seed: int = 0
) -> FloatArray:
    """Unit columns of given row variance, and of given inner product within pairs: what a loss depends on, told apart.

    With g_i columns of Hadamard rows of order N = n_features/2, weighted by √s_k, Σ s_k = 1, and g'_i = D g_i, D a
    balanced diagonal of signs, columns 2i and 2i + 1 are cos θ g_i ± sin θ g'_i, the second one negated for an inner
    product c < 0; |cos 2θ| = |c|. Then W = Fᵀ F has W_ii = 1, W_{2i,2i+1} = c and, whatever c is, Σ_{j≠i} W_ij² =
    n_features Σ s_k² − 1 for every i. It is 1/r − 1, the least there is, for equal weights: then the frame is tight.
    Rows of W add up to 0.

    Args:
        n_features: Twice the order of a Hadamard matrix.
        n_hidden: Number of rows of it, even, in [2, n_features/2 − 1]; the constant one is not among them.
        coherence: c in [−1, 1]. Products of columns that are no pair are of order √(variance/n_features).
        variance: Σ_{j≠i} W_ij², from n_features/n_hidden − 1 to n_features/2 − 1; the least if not given.
        seed: Seed of the choice of rows and signs.

    Returns:
        F, shape (n_hidden, n_features).

    Raises:
        ValueError: A size or a value is out of its range.

    Reference: The Persian Rug, section 5.1.1, which says that the variance counts and the coherence does not.

    >>> F = paired_frame(64, 16, coherence=0.9, variance=5.0)
    >>> W = F.T @ F - np.eye(64)
    >>> round(float(W[0, 1]), 6), np.round((W**2).sum(1)[:3], 6).tolist()
    (0.9, [5.0, 5.0, 5.0])
    """
    n = _checks.whole_number("n_features", n_features)
    if n % 2:
        raise ValueError(f"`n_features` must be even, for features come in pairs, got {n}")
    order = check_order(n // 2)
    m = _checks.whole_number("n_hidden", n_hidden, low=2, high=order - 1, hint="fewer than there are pairs")
    if m % 2:
        raise ValueError(f"`n_hidden` must be even, for signs are balanced, got {m}")
    c = _checks.one("coherence", _checks.in_interval("coherence", coherence, -1, 1))
    least = n / m - 1
    wanted = least if variance is None else variance
    wanted = _checks.one("variance", _checks.in_interval("variance", wanted, least * (1 - 1e-12), n / 2 - 1))
    rng = numpy_rng(seed, "paired frame")
    rows = 1 + rng.choice(order - 1, size=m, replace=False)
    H = hadamard_transform(torch.eye(order, dtype=torch.float64)).numpy()[rows]
    # Two rows of each weight, of opposite signs.
    weights = np.repeat(_weights(m // 2, wanted, n), 2)
    signs = np.tile([1.0, -1.0], m // 2)
    order_of_rows = rng.permutation(m)
    angle = np.arccos(abs(c)) / 2
    root = np.sqrt(weights)[order_of_rows, None] * H
    other = signs[order_of_rows, None] * root
    F = np.empty((m, n))
    F[:, ::2] = np.cos(angle) * root + np.sin(angle) * other
    F[:, 1::2] = (1 if c >= 0 else -1) * (np.cos(angle) * root - np.sin(angle) * other)
    return F


def _weights(count: int, variance: float, n: int) -> FloatArray:
    """Returns `count` decaying weights, each to be taken twice, with n Σ s² = 1 + variance over all."""
    place = np.arange(count) / count

    def of(decay: float) -> FloatArray:
        falling = np.exp(-decay * place)
        return np.asarray(falling / (2 * falling.sum()))

    def excess(decay: float) -> float:
        return float(2 * n * (of(decay) ** 2).sum() - 1 - variance)

    steepest = 50.0 * count  # all but the first vanish
    if excess(0.0) >= 0:
        return of(0.0)
    return of(brentq(excess, 0.0, steepest, xtol=1e-13)) if excess(steepest) > 0 else of(steepest)
