"""Dynamic programming: the best shares of n_hidden dimensions among few features, convex or not."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from superposition._checks import FloatArray

# Shares are first multiples of 1/_STEPS; then each may move by up to _WINDOW steps, which are halved _HALVINGS times.
_STEPS = 128
_WINDOW = 2
_HALVINGS = 22
# How many steps the features may together run ahead while they move.
_MOST_AHEAD = 24


def best_shares(losses: Callable[[FloatArray], FloatArray], n_features: int, n_hidden: float) -> FloatArray:
    """Shares h in [0, 1], Σ h = n_hidden, that minimise Σ losses: the best on a grid, then refined around it.

    Where n_hidden is not whole, up to 1/128 of it is left. All shares are multiples of a power of two, so their sum is
    exact. Work grows with n_features × n_hidden.

    Args:
        losses: Loss of each feature for h of shape (k, n_features), of that shape.
        n_features: Number of features.
        n_hidden: Number of dimensions, whole or not, at most n_features.

    Returns:
        h of shape (n_features,).
    """
    grid = np.arange(_STEPS + 1) / _STEPS
    costs = losses(np.repeat(grid[:, None], n_features, axis=1))
    total = int(n_hidden * _STEPS)
    steps = least_cost(costs, 0, total, total)
    h, step = steps / _STEPS, 1 / _STEPS
    offsets = np.arange(-_WINDOW, _WINDOW + 1)
    for _ in range(_HALVINGS):
        step /= 2
        moved = h + step * offsets[:, None]
        allowed = (moved >= 0) & (moved <= 1)
        costs = np.where(allowed, losses(np.clip(moved, 0, 1)), np.inf)
        h = h + step * least_cost(costs, -_WINDOW, 0, _MOST_AHEAD)
    return h


def least_cost(costs: FloatArray, low: int, total: int, most: int) -> npt.NDArray[np.intp]:
    """Returns whole numbers k_i ≥ low of the sum `total` that minimise Σ_i costs[k_i − low, i].

    Args:
        costs: Cost of low, low + 1, … in column i; inf for what is not allowed.
        low: The least number, ≤ 0.
        total: Sum of the numbers.
        most: Bound on the size of partial sums; they are not below −`most` either.
    """
    width, n = costs.shape
    least = -most if low < 0 else 0
    # best[s] is the least cost of a partial sum s + least.
    best = np.full(most - least + 1, np.inf)
    best[-least] = 0.0
    choice = np.empty((n, best.size), dtype=np.intp)
    # Partial sum s comes from s − k, k = low … low + width − 1.
    padded = np.full(best.size + width - 1, np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[:, ::-1]
    for i in range(n):
        padded[width - 1 + low : width - 1 + low + best.size] = best
        reached = windows + costs[:, i]
        choice[i] = np.argmin(reached, axis=1)
        best = np.take_along_axis(reached, choice[i][:, None], axis=1)[:, 0]
    found, at = np.empty(n, dtype=np.intp), total - least
    for i in reversed(range(n)):
        found[i] = choice[i, at] + low
        at -= found[i]
    return found
