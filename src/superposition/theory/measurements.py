"""How many measurements recover k of n features: theorem, ℓ1, message passing, information."""

from dataclasses import dataclass
from math import ceil, exp, log

from scipy.optimize import brentq

from superposition import _checks
from superposition.features import Law
from superposition.theory.message_passing import amp_threshold
from superposition.theory.sparse_recovery import l1_threshold

# Of the logarithm of a ratio: some thousand roundings.
_RESOLUTION = 1e-12


@dataclass(frozen=True)
class Measurements:
    """Numbers of measurements n_hidden for k-sparse features among n_features, without noise.

    Attributes:
        information: k + 1, with which generic measurements tell almost every k-sparse x from all others.
        message_passing: Where AMP with the Bayes denoiser begins to recover features of the given law, active with
            probability k/n (n → ∞).
        l1_nonnegative: Where min ‖x‖₁ with x ≥ 0 begins to (Donoho and Tanner; n → ∞, Gaussian).
        l1_signed: Where min ‖x‖₁ begins to.
        l1_sufficient: 2k log(n/k) + 5k/4 + 1, with which ℓ1 minimisation recovers a given signed x from Gaussian
            measurements with probability at least one half, for every n.
        stable_order: k log(n/k), which stable recovery of all x needs but for a constant: the theorem of the text. For
            exactly k-sparse x alone it is not needed.
    """

    information: int
    message_passing: int
    l1_nonnegative: int
    l1_signed: int
    l1_sufficient: int
    stable_order: int


def measurements(n_features: int, k: int, law: Law | None = None) -> Measurements:
    """How many measurements recover k active features of n, by each method.

    Args:
        n_features: Number of features, ≥ 2.
        k: Active features, in [1, n_features − 1].
        law: Law of active values, for message passing; Uniform() if not given.

    Raises:
        ValueError: A size is not valid.

    Reference: Toy Models of Superposition, theorem 2 (Do Ba et al. 2010); Donoho and Tanner 2005; Chandrasekaran et al.
    2012, proposition 3.10; Donoho, Maleki and Montanari 2009.

    >>> found = measurements(1000, 10)
    >>> found.information, found.message_passing, found.l1_nonnegative, found.l1_signed
    (11, 32, 53, 62)
    """
    n = _checks.whole_number("n_features", n_features, low=2)
    k = _checks.whole_number("k", k, high=n - 1, hint="fewer than there are features")
    theorem = k * log(n / k)
    return Measurements(
        information=k + 1,
        message_passing=min(n, ceil(n * amp_threshold(k / n, law))),
        l1_nonnegative=_l1(n, k, nonnegative=True),
        l1_signed=_l1(n, k, nonnegative=False),
        l1_sufficient=min(n, ceil(2 * theorem + 1.25 * k + 1)),
        stable_order=min(n, ceil(theorem)),
    )


def _l1(n: int, k: int, *, nonnegative: bool) -> int:
    """Returns the least m at which k/m is below the transition at m/n."""

    def excess(log_ratio: float) -> float:
        ratio = exp(log_ratio)
        return float(ratio * l1_threshold(ratio, nonnegative=nonnegative) - k / n)

    # δ ρ(δ) rises from 0 to 1.
    root = brentq(excess, log(k / n), 0.0, xtol=_RESOLUTION) if excess(log(k / n)) < 0 else log(k / n)
    # A whole number that the root misses upwards is itself.
    return min(n, ceil(n * exp(root) * (1 - 10 * _RESOLUTION)))
