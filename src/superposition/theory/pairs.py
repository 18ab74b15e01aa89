"""Antipodal pairs: the simplest weights that beat the symmetric optimum, at any size."""

from typing import Any

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition.theory.linear import zero_ratio_loss


def antipodal_loss(ratio: npt.ArrayLike, probability: npt.ArrayLike) -> Any:
    """Loss of two features a dimension in opposite directions, for Uniform[0, 1] values (exact for every size).

    A pair has hidden = x − x′ and ReLU(± hidden): it errs only if both are active, by the smaller of the two, so
    each loses p² E min(u, u′)² = p²/6. Below ratio 1/2 the features that find no pair are predicted by their
    mean, above it 2r − 1 of the features have a dimension of their own. A bound from above on the best weights.

    Args:
        ratio: n_hidden / n_features, in (0, 1].
        probability: Probability of being active, in (0, 1]; broadcast with `ratio`.

    Returns:
        Loss per feature, squared feature units, of the broadcast shape.

    Raises:
        ValueError: An argument is out of range.

    >>> round(antipodal_loss(0.5, 0.045), 8)
    0.0003375
    """
    r, p = np.broadcast_arrays(_checks.ratio(ratio), _checks.probability(probability))
    paired = np.minimum(2 * r, 2 - 2 * r)
    alone = np.maximum(1 - 2 * r, 0) * np.asarray(zero_ratio_loss(p))
    loss = paired * p**2 / 6 + alone
    return float(loss) if loss.ndim == 0 else loss
