"""Antipodal pairs: the simplest weights that beat the symmetric optimum, at any size."""

from typing import Any

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition.theory.linear import zero_ratio_loss
from superposition.theory.shapes import broadcast, plain


def antipodal_loss(ratio: npt.ArrayLike, probability: npt.ArrayLike, stretch: float = 3.0) -> Any:
    """Loss of two features a dimension in opposite directions, for Uniform[0, 1] values (exact for every size).

    A pair has hidden = u − α u′ and outputs ReLU(hidden), ReLU(−hidden/α): alone each feature is exact; of two that
    are active the smaller of u and α u′ is lost and the other one errs by it. With a = 1/α ≤ 1 each feature loses
    p² (1 + a²)(1/3 − a/6)/2, which is p²/6 for equal norms, a maximum, and least at α = 3: 25 p²/162. Training finds
    such unequal pairs. Below ratio 1/2 the features that find no pair are predicted by their mean, above it 2r − 1 of
    the features have a dimension of their own. A bound from above on the best weights.

    Args:
        ratio: n_hidden / n_features, in (0, 1].
        probability: Probability of being active, in (0, 1]; broadcast with `ratio`.
        stretch: α ≥ 1, one number, the ratio of the two features' norms in the encoder; the best one if not given.

    Returns:
        Loss per feature, squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    >>> round(antipodal_loss(0.5, 0.045), 8), round(antipodal_loss(0.5, 0.045, stretch=1.0), 8)
    (0.0003125, 0.0003375)
    """
    r, p = broadcast(ratio=_checks.ratio(ratio), probability=_checks.probability(probability))
    a = 1 / _checks.one("stretch", _checks.in_interval("stretch", stretch, 1, np.inf, open_high=True))
    paired = np.minimum(2 * r, 2 - 2 * r)
    alone = np.maximum(1 - 2 * r, 0) * np.asarray(zero_ratio_loss(p))
    return plain(paired * p**2 * (1 + a**2) * (1 / 3 - a / 6) / 2 + alone)
