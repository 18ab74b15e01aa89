"""How many measurements recover a sparse vector: the phase transition of ℓ1 minimisation."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import elementwise
from scipy.special import erfcx

from superposition import _checks
from superposition._checks import FloatArray
from superposition.theory.shapes import plain

# Ratios down to the least are reached before.
_LARGEST_Z, _LEAST_RATIO = 37.0, 1e-280
# Of z: some roundings. ρ is a maximum over z, so that they count in second order.
_TOLERANCES = {"xatol": 1e-14, "xrtol": 1e-14}


def l1_threshold(ratio: npt.ArrayLike, *, nonnegative: bool) -> Any:
    """Most active features a measurement that ℓ1 minimisation recovers without noise, ρ = k/n_hidden (n → ∞).

    For Gaussian encoders: min ‖x‖₁ subject to A x = y, with x ≥ 0 if `nonnegative`, finds a k-sparse x if k/n_hidden
    lies below (with probability → 1) and fails above. Parametric in z, with κ = 1 if non-negative, else 2:
    δ = κφ(z)/(z + κ(φ(z) − zΦ(−z))), ρ = 1 − zΦ(−z)/φ(z). It is also where AMP with a soft threshold fails.

    Args:
        ratio: δ = n_hidden / n_features, in [1e-280, 1].
        nonnegative: Whether features are known not to be negative.

    Returns:
        ρ of the shape of `ratio`, in (0, 1].

    Raises:
        ValueError: `ratio` is out of range.

    Reference: Donoho and Tanner 2005; Donoho, Maleki and Montanari 2009, eq. 5.

    >>> round(l1_threshold(0.5, nonnegative=False), 4), round(l1_threshold(0.5, nonnegative=True), 4)
    (0.3857, 0.5582)
    """
    _checks.flag("nonnegative", nonnegative)
    delta = _checks.in_interval("ratio", _checks.ratio(ratio), _LEAST_RATIO, 1)
    factor = 1.0 if nonnegative else 2.0

    # In units of φ(z), which both vanish with: 1/φ grows beyond float64 only where z does too.
    def excess(z: FloatArray, log_delta: FloatArray) -> FloatArray:
        inverse_density = np.exp(z**2 / 2) * np.sqrt(2 * np.pi)
        return np.asarray(np.log(factor) - np.log(z * inverse_density + factor * (1 - z * _mills(z))) - log_delta)

    flat = delta.ravel()
    below = flat < 1
    z = np.zeros(flat.size)
    if below.any():
        bracket = np.zeros(int(below.sum())), np.full(int(below.sum()), _LARGEST_Z)
        z[below] = elementwise.find_root(excess, bracket, args=(np.log(flat[below]),), tolerances=_TOLERANCES).x
    return plain((1 - z * _mills(z)).reshape(delta.shape))


def _mills(z: FloatArray) -> FloatArray:
    """Returns Φ(−z)/φ(z)."""
    return np.asarray(np.sqrt(np.pi / 2) * erfcx(z / np.sqrt(2)))
