"""What people write in TOML: read, checked strictly, with errors that say where."""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superposition import _files

# What people write is kilobytes, and nobody waits for the parser of more.
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Place:
    """Where in a file a value stands, for messages."""

    path: Path
    key: str = ""

    def at(self, key: str) -> "Place":
        """Returns a place within."""
        return Place(self.path, f"{self.key}.{key}" if self.key else key)

    def refuse(self, problem: str) -> ValueError:
        """Returns the error to raise."""
        return ValueError(f"{self.path}: `{self.key}` {problem}" if self.key else f"{self.path}: {problem}")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Returns what a TOML file holds.

    Args:
        path: Of the file.
        what: What it should be, for messages.

    Raises:
        ValueError: It cannot be read, or is no TOML file.
    """
    text = _files.read_text(path, what, most=_MOST_BYTES)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{path} is no TOML file: its brackets are nested too deeply") from None
    except ValueError as error:  # of numbers with too many digits it is Python's own
        raise ValueError(f"{path} is no TOML file: {error}") from None


def validated(kind: Any, value: Any, place: Place) -> Any:
    """Returns a value that is strictly of a type; lists are tuples and words are paths where the type says so.

    Raises:
        ValueError: It is not; the message names the file, the key and the value.
    """
    import pydantic

    is_model = isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)
    try:
        config = None if is_model else pydantic.ConfigDict(strict=True)
        # As JSON, of which it is known that a list may be a tuple, and a word not a number.
        return pydantic.TypeAdapter(kind, config=config).validate_json(json.dumps(value, default=str))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        if is_model:
            for name in first["loc"]:
                place = place.at(str(name))
        problem = "is missing" if first["type"] == "missing" else f"is not valid, got {first['input']!r}"
        raise place.refuse(f"{problem}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def check_names(given: Mapping[str, Any], known: Sequence[str], place: Place) -> None:
    """Raises ValueError if a key is not known, and names the nearest that is."""
    for name in given:
        if name not in known:
            raise place.at(name).refuse(
                f"must be one of {', '.join(known)}: there is no such key{nearest(name, known)}"
            )


def nearest(name: str, known: Sequence[str]) -> str:
    """Returns the end of a message, which suggests what a misspelt name may mean."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""
