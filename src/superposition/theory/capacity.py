"""The capacity theorem: how to share n_hidden dimensions among features of any importance and probability."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import LEAST_PROBABILITY, FloatArray
from superposition.features import Features, Law, sparse_parts
from superposition.theory.capacity_demand import Demand
from superposition.theory.dynamic_programme import best_shares
from superposition.theory.optimum import optimal_relu, symmetric_optimum
from superposition.theory.water_filling import Groups, Sharing

# Shares of that many classes at most are compared by their true loss; of more, one rounding is taken.
_MOST_COMPARED = 2000
# Up to that many features dynamic programming looks for shares that no rounding of the relaxed optimum gives.
_FEW = 48
# A candidate must be better by this, relative, to replace one that is simpler: far above the rounding of a loss, 1e-13,
# and below the 1e-8 to which shares are resolved.
_BETTER = 1e-10
# Shares of equal features closer than this are the same: they are resolved to 2⁻²⁹, and losses are stationary there.
_SAME = 1e-6


@dataclass(frozen=True)
class Allocation:
    """The optimal share of capacity, one entry a feature where an array is given.

    Attributes:
        capacity: h_i in [0, 1], with Σ h_i = n_hidden, or n_hidden/(1 + ω²) with hidden noise ω; 0 for a feature that
            is given up.
        noise_std: σ_i = √(v_i (1/h_i − 1)), hidden noise included, feature units; inf for a feature that is given up.
        scale: a_i; 0 for a feature that is given up.
        bias: b_i with the mean of the interference absorbed; E x_i for a feature that is given up.
        loss: n⁻¹ Σ M_i ℓ_i(h_i), squared feature units.
        price: The Lagrange multiplier −d(n loss)/d n_hidden, what one more dimension would save as n → ∞; 0 where
            every feature of any importance has a dimension of its own.
        dropped: Number of features given up.
    """

    capacity: FloatArray
    noise_std: FloatArray
    scale: FloatArray
    bias: FloatArray
    loss: float
    price: float
    dropped: int


def allocate(features: Features, n_hidden: int, *, hidden_noise: float = 0.0) -> Allocation:
    """The best share of n_hidden dimensions among features, min Σ M_i ℓ_i(h_i) with Σ h_i = n_hidden.

    Within mean field this is the optimum over all weights of rank n_hidden: every 0 ≤ h ≤ 1 with that sum is
    attained by some W (Schur–Horn), and feature i then has Var ν_i = v_i (1/h_i − 1). One Lagrange multiplier, the
    price, sets M_i ℓ_i′(h_i) for every feature (water-filling), on the lower convex hull of ℓ_i: at the slope of one
    of its chords a feature may be at either end, given up or kept, or shared or with a dimension of its own.

    Where no class of equal features lies on a chord at the price, the shares are the optimum, to about 1e-8 of the
    loss. Where one does, it is split between the ends in whole numbers; the relaxed optimum, a lower bound, is
    missed by O(1/n) of the loss. The two numbers on either side and their neighbours are then compared by true
    loss, with equal shares among them; up to 48 features so is the result of dynamic programming, which also finds
    shares at no end of a chord. It searches a grid of 1/128: among features whose h at the touching point of the
    chord is less than a few such steps the gap may remain.

    Equal features are grouped: time grows with the number of distinct (law, probability, importance). Of more than
    64 distinct probabilities of a law the shares are interpolated, which costs some 1e-6 of the loss; the loss
    reported is that of the shares given.

    Hidden noise ω leaves n_hidden/(1 + ω²) dimensions to share, of which no feature gets more than 1/(1 + ω²) as long
    as all directions of the hidden space are alike. Shares that need no more are the optimum; where a feature is worth
    more, none is known.

    Args:
        features: Any probabilities in [1e-15, 1) and importances; of several laws if they are joined.
        n_hidden: Number of dimensions, in [1, n_features].
        hidden_noise: ω in [0, 1e15]: standard deviation of noise on every hidden unit, over that of the units without
            it in root mean square.

    Returns:
        Allocation with arrays of shape (n_features,).

    Raises:
        ValueError: An argument is out of range, or a feature is worth more than 1/(1 + ω²) under hidden noise.

    Reference: docs/theory.md, sections 4 and 5.

    >>> import numpy as np
    >>> from superposition.features import SparseFeatures
    >>> halves = np.repeat([1.0, 0.5], 200)
    >>> found = allocate(SparseFeatures(400, 0.04, importance=halves), n_hidden=100)
    >>> found.capacity[[0, -1]].round(3).tolist(), round(found.loss, 6)
    ([0.303, 0.197], 0.002844)
    """
    found, most = _allocation(features, n_hidden, hidden_noise), _most(hidden_noise)
    if not _is_attained(found, most):
        raise ValueError(
            f"`hidden_noise` must leave what a feature is worth, at most 1/(1 + ω²) = {most:.6g} of a dimension, got "
            f"{hidden_noise:g}, at which one is worth {found.capacity.max():.6g}: no optimum is known"
        )
    return found


def mean_field_loss(features: Features, n_hidden: int, *, hidden_noise: float = 0.0) -> float | None:
    """The loss that mean field predicts: of `symmetric_optimum` for symmetric features, of `allocate` for others.

    Args:
        features: Sparse features, or several joined.
        n_hidden: Number of dimensions, in [1, n_features].
        hidden_noise: ω, as of `allocate`.

    Returns:
        n⁻¹ Σ M_i ℓ_i, squared feature units; None where no optimum is known: for unequal features of which one is
        always active, or worth more than hidden noise leaves.

    Raises:
        ValueError: An argument is out of range.

    >>> from superposition.features import SparseFeatures
    >>> round(mean_field_loss(SparseFeatures(512, 0.045), 128), 6)
    0.004856
    """
    most = _most(hidden_noise)
    first, *others = sparse_parts(features)
    if not others and first.is_symmetric:
        ratio = _checks.hidden_width(n_hidden, first.n_features) / first.n_features
        best = symmetric_optimum(ratio, first.probability, first.law, hidden_noise=hidden_noise)
        return float(first.importance * best.loss)
    if any(np.max(part.probability) == 1 for part in (first, *others)):
        return None
    found = _allocation(features, n_hidden, hidden_noise)
    return found.loss if _is_attained(found, most) else None


def _is_attained(found: Allocation, most: float) -> bool:
    """Whether weights exist whose shares these are, under noise that leaves so much to a feature."""
    return bool(found.capacity.max() <= most * (1 + _SAME))


def _most(hidden_noise: float) -> float:
    """Returns 1/(1 + ω²), the most capacity that a feature has where all directions are alike."""
    return 1 / (1 + _checks.one("hidden_noise", _checks.hidden_noise(hidden_noise)) ** 2)


def _allocation(features: Features, n_hidden: int, hidden_noise: float) -> Allocation:
    """Returns the best shares of n_hidden/(1 + ω²) dimensions."""
    parts = sparse_parts(features)
    n_hidden = _checks.hidden_width(n_hidden, features.n_features)
    room = n_hidden * _most(hidden_noise)
    p = np.concatenate([part.per_feature(part.probability) for part in parts])
    importance = features.per_feature(features.importance)
    _checks.in_interval("probability", p, LEAST_PROBABILITY, 1, open_high=True)
    laws = tuple(dict.fromkeys(part.law for part in parts))
    law = np.repeat([laws.index(part.law) for part in parts], [part.n_features for part in parts])
    valued = np.flatnonzero(importance > 0)
    capacity, price = np.zeros(features.n_features), 0.0
    if valued.size <= room:
        capacity[valued] = 1.0
        # What nobody values is spread over the features of no importance.
        capacity[importance == 0] = (room - valued.size) / max(features.n_features - valued.size, 1)
    else:
        classes, which, counts = np.unique(
            np.stack([law[valued], p[valued], importance[valued]]), axis=1, return_inverse=True, return_counts=True
        )
        shares, price = _Problem(laws, classes[0].astype(np.intp), classes[1], classes[2], counts, room).solve()
        order = np.lexsort((-shares.h, shares.which))
        ranked = np.repeat(shares.h[order], shares.count[order])
        capacity[valued[np.argsort(which, kind="stable")]] = ranked
    kept = capacity > 0
    loss, scale, bias, sigma = _optima(laws, law, p, capacity)
    return Allocation(
        capacity=capacity,
        noise_std=sigma,
        scale=scale,
        bias=np.where(kept, bias, features.per_feature(features.mean)),
        loss=float((importance * loss).mean()),
        price=price,
        dropped=int((~kept).sum()),
    )


@dataclass(frozen=True)
class _Problem:
    """Classes of equal features, all of some importance, and fewer dimensions than features.

    Attributes:
        laws: All there are.
        law: Which of them is that of each class.
        p: Probability of each class.
        importance: Of each class.
        counts: Number of features in each class.
        n_hidden: Number of dimensions, whole or not.
    """

    laws: tuple[Law, ...]
    law: npt.NDArray[np.intp]
    p: FloatArray
    importance: FloatArray
    counts: npt.NDArray[np.intp]
    n_hidden: float

    def solve(self) -> tuple[Groups, float]:
        """Returns the shares, class by class, and the price."""
        sharing = Sharing(np.log(self.importance), self.counts, Demand.of(self.laws, self.law, self.p))
        relaxed = sharing.relaxed(self.n_hidden)
        price = float(np.exp(relaxed.log_price))
        upgrades = int(relaxed.upgrades) if relaxed.is_split else round(relaxed.upgrades)
        compared = self.counts.size <= _MOST_COMPARED
        if not relaxed.is_split:
            numbers = [upgrades]
        elif compared:
            numbers = [upgrades, upgrades + 1, upgrades - 1, upgrades + 2]
        else:
            numbers = [round(relaxed.upgrades)]
        whole = [sharing.whole(number, self.n_hidden, relaxed.log_price) for number in numbers]
        candidates = [groups for groups in whole if groups is not None]
        if relaxed.is_split and (compared or not candidates):
            candidates += [sharing.with_one_between(relaxed, self.n_hidden), self._equal()]
            if self.counts.sum() <= _FEW:
                candidates.append(self._programmed(sharing.demand))
        return self._best(candidates), price

    def _best(self, candidates: list[Groups]) -> Groups:
        """Returns the candidate of least true loss, an earlier one unless a later one is better."""
        if len(candidates) == 1:
            return candidates[0]
        which, count, h = (np.concatenate([getattr(c, name) for c in candidates]) for name in ("which", "count", "h"))
        # Importances may be of any size.
        weight = count * (self.importance / self.importance.max())[which]
        losses = _optima(self.laws, self.law[which], self.p[which], h)[0]
        ends = np.cumsum([candidate.h.size for candidate in candidates])[:-1]
        totals = [part.sum() for part in np.split(weight * losses, ends)]
        best = 0
        for k, total in enumerate(totals):
            if total < totals[best] * (1 - _BETTER):
                best = k
        return candidates[best]

    def _equal(self) -> Groups:
        each = self.n_hidden / self.counts.sum()
        return Groups(np.arange(self.counts.size), self.counts, np.full(self.counts.size, each))

    def _programmed(self, demand: Demand) -> Groups:
        """Returns the best shares that dynamic programming finds, feature by feature."""
        which = np.repeat(np.arange(self.counts.size), self.counts)
        weight, curve = (self.importance / self.importance.max())[which], demand.left[which]

        def losses(h: FloatArray) -> FloatArray:
            found = np.empty(h.shape)
            for k, hull in enumerate(demand.hulls):
                found[:, curve == k] = hull.loss_at(h[:, curve == k])
            return np.asarray(weight * found)

        h = best_shares(losses, which.size, self.n_hidden)
        order = np.lexsort((h, which))
        h, which = h[order], which[order]
        # Equal features that differ by less than the shares are resolved share alike.
        apart = np.append(True, (np.diff(which) > 0) | (np.diff(h) > _SAME))
        group = np.cumsum(apart) - 1
        count = np.bincount(group)
        return Groups(which[apart], count, np.bincount(group, h) / count)


def _optima(
    laws: tuple[Law, ...], law: npt.NDArray[np.intp], p: FloatArray, h: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Returns ℓ, the best scale and bias and σ of features of capacity h; v, 0, 0 and inf of one that is given up."""
    found = np.empty((4, h.size))
    for k, each in enumerate(laws):
        here = law == k
        v, kept = np.asarray(each.sparse_variance(p[here])), h[here] > 0
        sigma = np.sqrt(v * (1 / np.where(kept, h[here], 1.0) - 1))
        pairs, back = np.unique(np.stack([sigma, p[here]]), axis=1, return_inverse=True)
        best = optimal_relu(pairs[0], pairs[1], each)
        values = (best.loss[back], best.scale[back], best.bias[back], sigma)
        found[:, here] = np.where(kept, values, [v, 0 * v, 0 * v, np.inf * np.ones_like(v)])
    return found[0], found[1], found[2], found[3]
