"""What the best elementwise decoder gains over the ReLU as features get rare: the theory of figures D1 and D3."""

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition.figures.base import column

_RATIO = 0.1
_PROBABILITIES = 10.0 ** np.arange(-2, -11, -2)
# A factor that grows by more from the first of them to the last is taken for one that has no bound.
_CONSTANT = 2.0
SOURCE = "rare features"


def rare_features() -> list[dict[str, object]]:
    """Returns one row a probability: losses of the ReLU and of the Bayes estimator at the least noise of one ratio."""
    best = theory.symmetric_optimum(_RATIO, _PROBABILITIES)
    losses = {"ReLU": best.loss, "Bayes": theory.bayes_loss(best.noise_std, _PROBABILITIES)}
    return [
        {"source": SOURCE, "decoder": name, "ratio": _RATIO, "probability": float(p), "loss": float(loss)}
        for name, values in losses.items()
        for p, loss in zip(_PROBABILITIES, values, strict=True)
    ]


def is_bounded(table: pa.Table) -> tuple[bool, str]:
    """Returns whether the ReLU's loss stays within a constant factor of the Bayes loss, and what was found."""
    p, relu = (column(table, name, source=SOURCE, decoder="ReLU") for name in ("probability", "loss"))
    factor = relu / column(table, "loss", source=SOURCE, decoder="Bayes")
    listed = ", ".join(f"{value:.2f}" for value in factor)
    return bool(factor.max() < _CONSTANT * factor[0]), (
        f"at equal noise (ratio {_RATIO:g}) the ReLU's loss is {listed} times the Bayes estimator's, which is an "
        f"elementwise activation too, at p = {', '.join(f'{value:.0e}' for value in p)}"
    )
