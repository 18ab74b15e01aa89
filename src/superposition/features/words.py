"""Features in words, as commands, sweep files and tables write them."""

import dataclasses
import re
from math import isfinite

import numpy as np
import numpy.typing as npt

from superposition import _checks
from superposition._checks import FloatArray
from superposition.features.laws.base import Law
from superposition.features.laws.kinds import law_kinds
from superposition.features.sparse import SparseFeatures

# For messages and --help.
PROBABILITY = "P, or zipf:MEAN:EXPONENT"
IMPORTANCE = "M, decay:FACTOR or two-level:ALPHA"


def features_of(
    n_features: int, probability: npt.ArrayLike, law: str | Law = "uniform", importance: npt.ArrayLike = 1.0
) -> SparseFeatures:
    """Features that words describe.

    Args:
        n_features: Number of features, ≥ 1.
        probability: A number in (0, 1], the same for all, one a feature, or zipf:MEAN:EXPONENT: p_i ∝ i^−EXPONENT,
            i = 1, 2, …, of that mean, cut off at 1.
        law: Name of a law and its parameters, such as uniform, half-normal or beta:0.5:3, or a law; a user's own law
            is known by its name after `register_law`.
        importance: A number, the same for all, one a feature, decay:FACTOR: M_i = FACTOR^i, i = 0, 1, …, or
            two-level:ALPHA: 1 for the first half and ALPHA for the features from n/2 on.

    Raises:
        ValueError: A word is none of these, or a number is out of its range.

    Reference: decay: Toy Models of Superposition, section 2; two-level: The Persian Rug, eq. 47.

    >>> features_of(4, "zipf:0.25:1", "exponential", "decay:0.5").importance.tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    n = _checks.whole_number("n_features", n_features)
    law = law if isinstance(law, Law) else law_of(law)
    if isinstance(probability, str):
        probability = _probabilities(probability, n)
    if isinstance(importance, str):
        importance = _importances(importance, n)
    weights = _checks.real_array("importance", importance)
    return SparseFeatures(n, _checks.real_array("probability", probability), law, weights)


def law_of(word: str) -> Law:
    """The law of a name and its parameters, joined by colons; raises ValueError if there is none.

    >>> law_of("beta:0.5:3")
    Beta(alpha=0.5, beta=3.0)
    """
    known = {hyphenated(kind): law for kind, law in law_kinds().items()}
    name, *parameters = word.split(":") if isinstance(word, str) else [""]
    if name not in known:
        raise ValueError(
            f"`law` must be one of {', '.join(known)}, with its parameters after colons, got {_checks.shown(word)}"
        )
    numbers = [_number("law", word, parameter) for parameter in parameters]
    try:
        return known[name].of_numbers(*numbers)
    except TypeError:
        needs = " and ".join(field.name for field in dataclasses.fields(known[name]))  # type: ignore[arg-type]
        raise ValueError(f"`law` {name} must have {needs} after colons, got {_checks.shown(word)}") from None


def settled(word: float | str) -> float | str:
    """A number as float, and any other word with its numbers as Python writes them, so that equal ones are equal.

    >>> settled("zipf:.10:1"), settled("0.10")
    ('zipf:0.1:1.0', 0.1)
    """
    if not isinstance(word, str):
        return word
    try:
        name, *parts = [float(word)] if ":" not in word else word.split(":")
        return name if not parts else ":".join([str(name), *(repr(float(part)) for part in parts)])
    except ValueError:  # which `features_of` explains
        return word


def hyphenated(kind: str) -> str:
    """Returns the word for a kind: half-normal for HalfNormal.

    >>> hyphenated("HalfNormal")
    'half-normal'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind).lower()


def _probabilities(word: str, n_features: int) -> npt.ArrayLike:
    match word.split(":"):
        case [only]:
            return _number("probability", word, only)
        case ["zipf", mean, exponent]:
            return _zipf(_number("probability", word, mean), _number("probability", word, exponent), n_features)
    raise ValueError(f"`probability` must be {PROBABILITY}, got {_checks.shown(word)}")


def _importances(word: str, n_features: int) -> npt.ArrayLike:
    match word.split(":"):
        case [only]:
            return _number("importance", word, only)
        case ["decay", factor]:
            return _number("importance", word, factor, non_negative=True) ** np.arange(n_features, dtype=np.float64)
        case ["two-level", alpha]:
            second = _number("importance", word, alpha, non_negative=True)
            # All alike is one number: features that are symmetric are known to be.
            return 1.0 if second == 1 else np.where(np.arange(n_features) < n_features // 2, 1.0, second)
    raise ValueError(f"`importance` must be {IMPORTANCE}, got {_checks.shown(word)}")


def _zipf(mean: float, exponent: float, n_features: int) -> float | FloatArray:
    """Returns p_i = min(1, c i^−s) of a mean; the first k are cut off, for the least k that leaves the rest below 1."""
    _checks.probability(mean, "mean of zipf")
    _checks.in_interval("exponent of zipf", exponent, 0, np.inf, open_high=True)
    if exponent == 0:
        return mean
    weights = np.arange(1, n_features + 1, dtype=np.float64) ** -exponent
    left = n_features * mean - np.arange(n_features)
    scales = left / np.cumsum(weights[::-1])[::-1]
    k = int(np.argmax(scales * weights <= 1 + 1e-12))  # of rounding; the last one is at most 1
    return np.where(np.arange(n_features) < k, 1.0, np.minimum(scales[k] * weights, 1.0))


def _number(name: str, word: str, part: str, *, non_negative: bool = False) -> float:
    """Returns a number that stands in a word; raises ValueError, showing all of it, for what is none."""
    try:
        number = float(part)
    except ValueError:
        what = {"probability": PROBABILITY, "importance": IMPORTANCE}.get(name, "numbers after the name")
        raise ValueError(f"`{name}` must be {what}, got {_checks.shown(word)}") from None
    if not isfinite(number) or (non_negative and number < 0):
        raise ValueError(
            f"`{name}` must have finite numbers{', none below 0' * non_negative}, got {_checks.shown(word)}"
        )
    return number
