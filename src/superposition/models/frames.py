"""Weights that realise an allocation of capacity: a projection with a given diagonal."""

import numpy as np
import torch

from superposition import _checks
from superposition._checks import FloatArray
from superposition._random import numpy_rng
from superposition.features import Features, sparse_parts
from superposition.models.autoencoder import Autoencoder
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
