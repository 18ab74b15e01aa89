"""Features from the options that commands share: words, or files of numbers."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

import superposition as sp
from superposition.cli.paths import home_expanded

if TYPE_CHECKING:
    from superposition._checks import FloatArray
    from superposition.features import Law, SparseFeatures

Probability = Annotated[float | str, tyro.conf.arg(metavar="P|zipf:MEAN:EXPONENT|FILE")]
OptionalProbability = Annotated[float | str | None, tyro.conf.arg(metavar="P|zipf:MEAN:EXPONENT|FILE")]
LawWord = Annotated[str, tyro.conf.arg(metavar="NAME[:X...]|FILE")]
Importance = Annotated[float | str, tyro.conf.arg(metavar="M|decay:FACTOR|two-level:ALPHA|FILE")]

_SUFFIXES = ".npy", ".csv", ".txt"
_MOST_BYTES = 2**30


def features_of(n_features: int, probability: float | str, law: str, importance: float | str) -> "SparseFeatures":
    """Returns the features that options describe; raises ValueError as `superposition.features.features_of`."""
    given = {"probability": probability, "importance": importance}
    values = {name: numbers_in(path, name) if (path := _path(word)) else word for name, word in given.items()}
    return sp.features.features_of(n_features, law=law_of(law), **values)


def law_of(word: str) -> "Law":
    """Returns the law of a word, or that of the values in a file."""
    path = _path(word)
    return sp.Empirical(numbers_in(path, "law")) if path else sp.features.law_of(word)


def numbers_in(path: Path, name: str) -> "FloatArray":
    """Returns the numbers in a file: a NumPy array of one dimension, or text, between commas or white space.

    Raises:
        ValueError: There is no such file, or it holds something else.
    """
    import numpy as np

    try:
        if path.suffix == ".npy":
            content = io.BytesIO(sp._files.read_bytes(path, f"file of {name}", most=_MOST_BYTES))
            found = np.lib.format.read_array(content, allow_pickle=False)
        else:
            text = sp._files.read_text(path, f"file of {name}", most=_MOST_BYTES)
            found = np.array([float(word) for word in text.replace(",", " ").split()])
    except (ValueError, MemoryError) as error:
        raise ValueError(f"`{name}` must be numbers, but {error}" if path.exists() else str(error)) from None
    numbers = sp._checks.real_array(name, found)
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"`{name}` must be a list of numbers, got shape {numbers.shape} in {path}")
    return numbers


def _path(word: Any) -> Path | None:
    """Returns the path if a word is one."""
    return home_expanded(word) if isinstance(word, str) and word.endswith(_SUFFIXES) else None
