"""How far interference is from a Gaussian, at most: the theorem of Berry and Esseen with its constant."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from superposition import _checks
from superposition._checks import FloatArray
from superposition.diagnostics.interference import ROUNDING
from superposition.diagnostics.loss import check_sparse
from superposition.diagnostics.permutation_symmetry import DEAD_BELOW, off_diagonal_blocks
from superposition.features import Features, SparseFeatures, sparse_parts
from superposition.models import Model

# Of sums of independent terms that are not alike: Shevtsova 2010, "An improvement of convergence rate estimates in the
# Lyapunov theorem", Doklady Mathematics 82(3), 862–864.
BERRY_ESSEEN_CONSTANT = 0.5600

# As of cumulants: third powers of values, and of their ratios to standard deviations, are numbers of float64.
_UNITS = 1e-30, 1e30
# Probabilities taken together, each with nodes of its own.
_TOGETHER = 512


@dataclass(frozen=True, eq=False)
class BerryEsseen:
    """How far each ν_i can be from the Gaussian of its mean and variance; one entry a feature.

    NaN for dead features, |W_ii| at most 5% of the largest, and for those without interference.

    Attributes:
        distance: Bound on sup_t |P(ν_i ≤ E ν_i + t √Var ν_i) − Φ(t)|, from above. It says nothing from 1 on.
        lyapunov: The fraction of Lyapunov, Σ_{j≠i} |W_ij|³ E|x_j − E x_j|³ / (Σ_{j≠i} W_ij² Var x_j)^{3/2}.
        non_gaussianity: Λ_i = Σ_{j≠i} |W_ij|³ / (Σ_{j≠i} W_ij²)^{3/2}, of which the largest is Λ of eq. 3.
    """

    distance: FloatArray
    lyapunov: FloatArray
    non_gaussianity: FloatArray

    @property
    def largest(self) -> float:
        """The bound for the worst feature that has one; NaN if none has."""
        known = self.distance[~np.isnan(self.distance)]
        return float(known.max()) if known.size else float("nan")


def berry_esseen(model: Model, features: Features) -> BerryEsseen:
    """Bounds on the distance of every feature's interference from a Gaussian (rigorous, for every size).

    The terms of ν_i = Σ_{j≠i} (W_ij/W_ii) x_j are independent, so that sup |F_i − Φ| is at most C₀ = 0.5600 times
    Σ_j E|X_j|³/(Σ_j E X_j²)^{3/2}, X_j = W_ij (x_j − E x_j). Λ of the paper is that fraction without the moments
    of x; these are a factor for equal features, which grows like p^(−1/2): Λ → 0 is not enough.

    Args:
        model: Any model.
        features: What it is measured on: sparse features, or several joined.

    Raises:
        ValueError: Sizes do not match, or a weight is not finite.

    Reference: The Persian Rug, eq. 3; Berry 1941, Esseen 1942, Shevtsova 2010.

    >>> from superposition.models import PersianRug
    >>> features = SparseFeatures(n_features=1024, probability=0.2)
    >>> round(berry_esseen(PersianRug.fit(features, 256), features).largest, 4)
    0.0676
    """
    check_sparse(model, features)
    n = features.n_features
    n_rows = 1 if model.rows_are_alike and features.is_symmetric else n
    variance, third = features.per_feature(features.variance), third_absolute_moment(features)
    diagonal, lyapunov, plain, std, largest = (np.full(n_rows, np.nan) for _ in range(5))
    for start, stop, block in off_diagonal_blocks(model.W_rows, n, diagonal):
        size = np.abs(_checks.finite("W", block))
        # In units of the row's largest entry: no power leaves float64.
        unit = size.max(1, keepdims=True)
        size = np.divide(size, unit, out=np.zeros_like(size), where=unit > 0)
        squares = size * size
        cubes = squares * size
        std[start:stop], largest[start:stop] = unit[:, 0] * np.sqrt(squares @ variance), unit[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            lyapunov[start:stop] = (cubes @ third) / (squares @ variance) ** 1.5
            plain[start:stop] = cubes.sum(1) / squares.sum(1) ** 1.5
    magnitude = np.abs(_checks.finite("W", diagonal))
    varies = std > ROUNDING * np.sqrt(variance.max()) * np.maximum(largest, magnitude)
    live = (magnitude > DEAD_BELOW * magnitude.max()) & varies & np.isfinite(lyapunov)
    lyapunov, plain = (np.broadcast_to(np.where(live, values, np.nan), n) for values in (lyapunov, plain))
    return BerryEsseen(BERRY_ESSEEN_CONSTANT * lyapunov, lyapunov, plain)


def third_absolute_moment(features: Features) -> Float[np.ndarray, " n_features"]:
    """Third absolute central moments E|x_i − E x_i|³, feature units cubed (exact, by the law's own quadrature).

    With μ = p E u it is (1 − p) μ³ + p E|u − μ|³, whose kink at μ the nodes of the law resolve. At least (Var x)^{3/2};
    for Uniform(0, 1) and p → 0 their ratio is (3√3/4) p^(−1/2).

    Args:
        features: Sparse features, or several joined.

    Raises:
        ValueError: The features are dependent, or a law's unit is far from 1.

    >>> third_absolute_moment(SparseFeatures(n_features=1, probability=1.0)).round(6).tolist()
    [0.03125]
    """
    return np.concatenate([_third(part) for part in sparse_parts(features)])


def _third(features: SparseFeatures) -> FloatArray:
    law = features.law
    _checks.in_interval("law's root mean square", np.sqrt(law.second_moment), *_UNITS, hint="use another unit")
    p, place = np.unique(features.per_feature(features.probability), return_inverse=True)
    found = np.empty(p.size)
    for start in range(0, p.size, _TOGETHER):
        some = slice(start, start + _TOGETHER)
        mean = p[some] * law.mean
        values, weights = law.nodes(mean, 0.0)
        active = (weights * np.abs(values - mean[:, None]) ** 3).sum(1)
        found[some] = (1 - p[some]) * mean**3 + p[some] * active
    return found[place]
