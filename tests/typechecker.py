"""The checker that --jaxtyping-packages applies to every annotation of the package."""

from typing import Self

import numpy as np
import numpy.typing as npt
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeDecorHintPep3119Exception

_FloatArray = npt.NDArray[np.float64]
_beartype = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # int is fine where float is asked for
        hint_overrides=FrozenDict(
            {
                _FloatArray: _FloatArray | np.float64,  # arithmetic on arrays of no dimension gives scalars
                npt.ArrayLike: object,  # its protocols refuse plain tuples; _checks refuses the rest
            }
        ),
    )
)


def checked(function):
    """Checks every annotation but Self, which beartype knows only where it decorates whole classes."""
    if function.__module__.startswith("superposition.cli"):
        return function  # tyro puts a marker of its own in the place of an option that was not given
    function.__annotations__ = {name: hint for name, hint in function.__annotations__.items() if hint is not Self}
    try:
        return _beartype(function)
    except BeartypeDecorHintPep3119Exception:  # a protocol that is not runtime_checkable
        return function
