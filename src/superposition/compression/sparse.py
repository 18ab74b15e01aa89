"""Sparse features: what the constructed scheme can do with a number of neurons."""

from dataclasses import dataclass

from superposition import _checks
from superposition.features import SparseFeatures, Uniform


@dataclass(frozen=True)
class SparseConstruction:
    """How a number of neurons is spent on sparse features.

    Attributes:
        levels: Z of every quantised feature; 1 if none is.
        quantised: Number of features that share a hidden dimension as levels.
        dropped: Number of features for which no neurons are left, predicted by their mean.
        loss: Mean square error per feature, with ramps of no width.
    """

    levels: int
    quantised: int
    dropped: int
    loss: float


def sparse_construction(features: SparseFeatures, n_hidden: int, n_neurons: int) -> SparseConstruction:
    """The best use of a number of neurons for quantising sparse features, all with as many levels.

    n_hidden features are kept whole, one a hidden dimension; each further one needs 4Z − 2 neurons and has the best
    quantiser; the others are predicted by their means. Ramps of no width and codes of all precision are granted, so
    that the loss is below that of every network of this kind.

    Args:
        features: Symmetric, with Uniform() values.
        n_hidden: In [1, n_features].
        n_neurons: ReLUs of encoder and decoder, ≥ 0.

    Raises:
        ValueError: A size is out of range, or the features are of another kind.

    >>> found = sparse_construction(SparseFeatures(32, 0.1), n_hidden=8, n_neurons=32)
    >>> found.levels, found.quantised, found.dropped, round(found.loss, 6)
    (2, 5, 19, 0.018881)
    """
    _checks.instance("features", features, SparseFeatures, "a SparseFeatures").check_symmetric("this construction")
    if features.law != Uniform():
        raise ValueError(f"`features` must have the law Uniform(), got {features.law}")
    n, m = features.n_features, _checks.hidden_width(n_hidden, features.n_features)
    budget = _checks.whole_number("n_neurons", n_neurons, low=0)
    p, rest = float(features.probability), n - m
    found = [SparseConstruction(1, 0, rest, rest * float(features.variance) / n)]
    # As many levels as leave neurons for one feature.
    for levels in range(2, (budget + 2) // 4 + 1):
        quantised = min(rest, budget // (4 * levels - 2))
        lost = quantised * quantiser_loss(levels, p) + (rest - quantised) * float(features.variance)
        found.append(SparseConstruction(levels, quantised, rest - quantised, lost / n))
    return min(found, key=lambda construction: construction.loss)


def quantiser_loss(levels: int, probability: float) -> float:
    """Mean square error of the best quantiser of a feature that is Uniform(0, 1) with a probability and else 0.

    The lowest of the levels holds [0, θ) and the inactive values, the others are equally wide; θ is the best one. For
    p → 0 the lowest has half the width of the others, as if it went on below 0.

    Args:
        levels: Z ≥ 1.
        probability: Of being active, in (0, 1].

    >>> round(quantiser_loss(4, 1.0) * 12 * 4**2, 6), round(quantiser_loss(4, 1e-6) / 1e-6 * 12 * 3.5**2, 3)
    (1.0, 1.0)
    """
    from scipy.optimize import minimize_scalar

    levels, p = _checks.whole_number("levels", levels), float(_checks.probability(probability))

    def loss(threshold: float) -> float:
        mass = 1 - p + p * threshold
        low = p * threshold**3 / 3 - (p * threshold**2 / 2) ** 2 / mass if mass else 0.0
        return low + (p * (1 - threshold) ** 3 / (12 * (levels - 1) ** 2) if levels > 1 else 0.0)

    if levels == 1:
        return loss(1.0)
    return float(minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-10}).fun)
