"""Arguments of one shape and a law in, scalars for scalars out."""

from typing import Any

import numpy as np

from superposition import _checks
from superposition._checks import broadcast as broadcast
from superposition.features import Law, Uniform


def law_or_default(law: Law | None) -> Law:
    """Returns the law, Uniform() if none is given; raises ValueError if it is something else."""
    if law is None:
        return Uniform()
    return _checks.instance("law", law, Law, "a law such as Uniform() or Constant()")


def plain(value: Any) -> Any:
    """Returns a float for a scalar result, an array otherwise."""
    return float(value) if np.ndim(value) == 0 else value
