"""When one layer of ReLUs finds which features are active: incoherence and sparsity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition.theory.shapes import broadcast, plain

# Of values of features: products of two, times any count, are numbers of float64.
_MOST = 1e100


@dataclass(frozen=True)
class SupportThresholds:
    """Thresholds ε at which ReLU(Aᵀ y − ε), y = A x, is on at the active features and there alone.

    Attributes:
        low: Least ε that silences every inactive feature, feature units.
        high: The ε below which every active feature is on.
        possible: Whether there is one between, low < high; then every x of the kind has its support recovered.
        most_active: Largest k for which there is one, at the same coherence and values.
    """

    low: Any
    high: Any
    possible: Any
    most_active: Any


def support_thresholds(
    coherence: npt.ArrayLike, k: npt.ArrayLike, least: npt.ArrayLike, largest: npt.ArrayLike = 1.0
) -> SupportThresholds:
    """Thresholds of a tied ReLU layer that recover the support of every k-sparse x (proved, for every size).

    With unit columns, |⟨a_i, a_j⟩| ≤ c and active values in [l, L], an inactive feature sees at most k c L, an active
    one at least l − (k − 1) c L. Every ε with k c L ≤ ε < l − (k − 1) c L will do; there is one if k < (1 + l/(cL))/2.
    Both ends are attained, by columns of equal inner products c and −c. It is the worst case over x: typical
    interference is of order √k c, and fails later. Rangamani et al. have it with c = μ/√n, for eq. 10.

    Args:
        coherence: c in [0, 1].
        k: Number of active features, ≥ 1.
        least: l in (0, 1e100], feature units.
        largest: L in [l, 1e100]; all four are broadcast.

    Returns:
        SupportThresholds of the broadcast shape; `most_active` is infinite at c = 0.

    Raises:
        ValueError: An argument is out of range.

    Reference: The Persian Rug, eq. 10 and section 5.1.1; Rangamani et al. 2017; Donoho and Elad 2003.

    >>> found = support_thresholds(coherence=0.05, k=5, least=0.5)
    >>> round(found.low, 3), round(found.high, 3), found.possible, found.most_active
    (0.25, 0.3, True, 5.0)
    """
    c, count, low, high = broadcast(
        coherence=_checks.in_interval("coherence", coherence, 0, 1),
        k=_checks.in_interval("k", k, 1, _MOST),
        least=_checks.in_interval("least", least, 0, _MOST, open_low=True),
        largest=_checks.in_interval("largest", largest, 0, _MOST, open_low=True),
    )
    if not (high >= low).all():
        raise ValueError(f"`largest` must be at least `least`, got {float(high.min()):g}")
    off, on = count * c * high, low - (count - 1) * c * high
    with np.errstate(divide="ignore", over="ignore"):
        bound = (1 + low / high / c) / 2
    # The largest whole number below it.
    most = np.ceil(bound) - 1
    possible = np.less(off, on)
    return SupportThresholds(plain(off), plain(on), possible if off.ndim else bool(possible), plain(most))
