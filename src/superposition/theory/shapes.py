"""Arguments of one shape and a law in, scalars for scalars out."""

from typing import Any

import numpy as np

from superposition._checks import FloatArray
from superposition.features import Law, Uniform


def broadcast(**values: FloatArray) -> tuple[FloatArray, ...]:
    """Returns the values broadcast to one shape; raises ValueError naming the shapes if they have none."""
    try:
        return np.broadcast_arrays(*values.values())
    except ValueError:
        names = " and ".join(f"`{name}`" for name in values)
        shapes = " and ".join(str(value.shape) for value in values.values())
        raise ValueError(f"{names} must broadcast to one shape, got shapes {shapes}") from None


def law_or_default(law: Law | None) -> Law:
    """Returns the law, Uniform() if none is given; raises ValueError if it is something else."""
    if law is None:
        return Uniform()
    if not isinstance(law, Law):
        raise ValueError(f"`law` must be a law such as Uniform() or Constant(), got {law!r}")
    return law


def plain(value: Any) -> Any:
    """Returns a float for a scalar result, an array otherwise."""
    return float(value) if np.ndim(value) == 0 else value
