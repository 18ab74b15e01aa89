"""Reference data: the tables of figures measured at larger sizes than a first run takes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from superposition import _files

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Returns the names of the tables: figure-1, …."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.parquet")))


def load(name: str) -> "pa.Table":
    """Returns the table of a figure with the provenance of each row; its columns are those of `reproduce`.

    Args:
        name: Such as "figure-4".

    Raises:
        ValueError: There is no reference of that name.

    >>> load("figure-4").num_rows > 100
    True
    """
    if name not in (known := names()):
        raise ValueError(f"`name` must be one of {', '.join(known)}, got {name!r}")
    return _files.read_table(_FOLDER / f"{name}.parquet", "reference table")


def preset_of(table: "pa.Table") -> str:
    """Returns the name of the preset with which a table was measured."""
    return str(json.loads(table.schema.metadata[b"preset"])["name"])
