"""What may be done to a file: written, damaged, replaced by something that is no file, or forged with a right digest.

An operation takes a path and parameters of plain data, which choose by remainder what they act on: what they do is
decided by the case alone, and whatever an earlier operation has left, a later one acts on it or does nothing.
"""

import contextlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from tests.fuzz.case import Step
from tests.fuzz.tensors import TENSORS, forge_header, forge_metadata, forge_tensor

# The others open what is there: they wait for ever at a FIFO.
_ANYWHERE = ("write", "sparse", "remove", "folder", "fifo", "link", "rename")


def apply(step: Step, here: Path) -> None:
    """Does an operation in a working folder, on the first file that its pattern matches."""
    operation, pattern, *parameters = step
    # Names that no folder can hold, and files that are not there any more: the case goes on without.
    with contextlib.suppress(Exception):
        matches = sorted(here.glob(pattern)) if "*" in pattern else [here / pattern]
        if operation in _ANYWHERE or stat.S_ISREG(matches[0].stat().st_mode):
            OPERATIONS[operation](matches[0], *parameters)


def write(path: Path, content: bytes) -> None:
    _clear(path)
    path.write_bytes(content)


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def truncate(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def flip(path: Path, share: float, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1 << bit % 8
    path.write_bytes(content)


def zero(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    start = int(share * len(content))
    content[start : start + 16] = bytes(len(content[start : start + 16]))
    path.write_bytes(content)


def sparse(path: Path, size: int) -> None:
    _clear(path)
    with path.open("wb") as file:
        file.truncate(size)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def folder(path: Path) -> None:
    _clear(path)
    path.mkdir(parents=True)


def fifo(path: Path) -> None:
    _clear(path)
    os.mkfifo(path)


def link(path: Path, target: str) -> None:
    _clear(path)
    path.symlink_to(target)


def swap(path: Path, other: str) -> None:
    """Exchanges the contents of two files of the sandbox."""
    second = _sibling(path, other)
    mine, its = path.read_bytes(), second.read_bytes()
    path.write_bytes(its)
    second.write_bytes(mine)


def rename(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def json_set(path: Path, where: int, value: Any, redigest: bool) -> None:
    """Replaces one value of a JSON file, anywhere in it."""
    document = json.loads(path.read_text())
    holder, key = _choice(document, where)
    holder[key] = _deep() if value == "DEEP" else value
    _save(path, document, redigest)


def json_drop(path: Path, where: int, redigest: bool) -> None:
    document = json.loads(path.read_text())
    holder, key = _choice(document, where)
    del holder[key]
    _save(path, document, redigest)


def json_add(path: Path, where: int, key: str, value: Any, redigest: bool) -> None:
    """Adds a member to one of the objects of a JSON file."""
    document = json.loads(path.read_text())
    objects = [document, *(holder[key] for holder, key in _members(document) if isinstance(holder[key], dict))]
    objects[where % len(objects)][key] = value
    _save(path, document, redigest)


def json_twice(path: Path, where: int, value: Any) -> None:
    """Writes a key of a JSON object twice."""
    document = json.loads(path.read_text())
    key = list(document)[where % len(document)]
    text = path.read_text().rstrip().removesuffix("}")
    path.write_text(f"{text}, {json.dumps(key)}: {json.dumps(value)}}}")


def table(path: Path, where: int, change: str) -> None:
    """Changes one column of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = pq.read_table(path)
    index = where % found.num_columns
    name, n = found.column_names[index], found.num_rows
    others = {
        "nulls": pa.nulls(n),
        "text": pa.array(["[/]\x1b[31mn/a"] * n),
        "nan": pa.array([float("nan")] * n),
        "infinite": pa.array([float("inf")] * n),
        "huge": pa.array([2**63 - 1] * n),
        "nested": pa.array([[{"a": 1}]] * n),
        "bytes": pa.array([b"\xff\x00"] * n),
        "bool": pa.array([True] * n),
        "zero": pa.array([0] * n),
        "negative": pa.array([-1] * n),
    }
    match change:
        case "drop":
            found = found.drop_columns([name])
        case "rename":
            found = found.rename_columns([*found.column_names[:index], "[red]x", *found.column_names[index + 1 :]])
        case "twice":
            found = found.append_column(name, found.column(index))
        case "empty":
            found = found.slice(0, 0)
        case "doubled":
            found = pa.concat_tables([found, found])
        case _:
            found = found.set_column(index, name, others[change])
    pq.write_table(found, path)


TABLE_CHANGES = (
    *("drop", "rename", "twice", "empty", "doubled", "nulls", "text", "nan", "infinite", "huge", "nested", "bytes"),
    *("bool", "zero", "negative"),
)


def _save(path: Path, document: Any, redigest: bool) -> None:
    if redigest and isinstance(document, dict) and "digest" in document:
        from superposition.sweeps.cell import digest

        document["digest"] = digest({key: value for key, value in document.items() if key != "digest"})
    path.write_text(json.dumps(document))


def _members(document: Any) -> list[tuple[Any, Any]]:
    """Returns every place in a document, as what holds it and the key or index there."""
    found: list[tuple[Any, Any]] = []
    if isinstance(document, dict | list):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            found += [(document, key), *_members(document[key])]
    return found


def _choice(document: Any, where: int) -> tuple[Any, Any]:
    members = _members(document)
    return members[where % len(members)]


def _deep() -> Any:
    value: Any = 0
    for _ in range(300):  # more than Python's own writer makes text of
        value = [value]
    return value


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)


def _sibling(path: Path, pattern: str) -> Path:
    """Returns the last file of a pattern below the nearest folder that has any, within the sandbox."""
    parents = [parent for parent in path.parents if "here" in parent.parts]
    return next((matches[-1] for parent in parents if (matches := sorted(parent.glob(pattern)))), path)


OPERATIONS: dict[str, Any] = {
    each.__name__: each
    for each in (
        *(write, append, truncate, flip, zero, sparse, remove, folder, fifo, link, swap, rename),
        *(json_set, json_drop, json_add, json_twice, table, forge_tensor, forge_metadata, forge_header),
    )
}

__all__ = ["OPERATIONS", "TABLE_CHANGES", "TENSORS", "apply"]
