"""Files and folders that are whole or absent: made beside their place, forced to disk, then renamed onto it.

What is unfinished lies in a folder of its own, `.TOKEN.part`, which its writer keeps locked: so whoever finds one that
is not locked knows that its writer is dead, and removes it. (An age would remove those of slow writers, or leave those
of a process that was killed just now; a process number means nothing on another machine.) A folder, because libraries
leave temporary files of their own beside what they write. A random name cannot be planted before.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from superposition._files.faults import writing
from superposition._files.folders import make_folder, sync_file, sync_folder
from superposition._files.locks import locked
from superposition._files.reading import check_path, flags

_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.part")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path, an empty file, that is forced to disk and renamed onto `path` if the block succeeds.

    A link at `path` is replaced and not followed. What killed processes left half written beside it is removed.

    Raises:
        ValueError: The path holds a NUL character.
        OSError: The folder cannot be made or written, or the disk is full; `path` is then as it was.
    """
    check_path(path)
    with writing(path):
        make_folder(path.parent)
        remove_partial(path.parent)
        with _own_folder(path.parent) as folder:
            temporary = folder / path.name
            mode = _new_file(temporary)
            yield temporary
            if temporary.stat().st_mode != mode:  # by a library that made it anew
                temporary.chmod(mode)
            sync_file(temporary)
            os.replace(temporary, path)  # noqa: PTH105  (a system call, which the tests record)
        sync_folder(path.parent)


def publish(folder: Path, target: Path) -> None:
    """Renames a folder into its place, with all that is in it forced to disk before and its name after.

    Raises:
        OSError: Something is there, or the disk is full or cannot be written; then it is as it was.
    """
    with writing(target):
        for parent, _, _ in os.walk(folder):
            remove_partial(Path(parent))
        for parent, _, files in os.walk(folder, topdown=False):
            for name in files:
                sync_file(Path(parent, name))
            sync_folder(Path(parent))
        make_folder(target.parent)
        os.rename(folder, target)  # noqa: PTH104
        sync_folder(target.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically, keys in the order given, NaN refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_new_json(path: Path, value: Any) -> None:
    """Writes a JSON file into a folder that is to be published, which forces it to disk; what is at `path` goes."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with writing(path):
        path.unlink(missing_ok=True)
        _new_file(path)
        path.write_text(text, encoding="utf-8")


def remove_partial(folder: Path) -> None:
    """Removes what killed processes left half written in a folder; what a living one writes stays."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        found = [entry for entry in entries if _PARTIAL.fullmatch(entry.name)]
        for partial in [Path(entry) for entry in found if entry.is_dir(follow_symlinks=False)]:
            # A living writer has the lock; without locks, or where it is not ours to remove, it stays.
            with contextlib.suppress(OSError), locked(partial):
                shutil.rmtree(partial)


def refuse_existing(path: Path) -> None:
    """Raises FileExistsError if something is at `path` already."""
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another name or remove it first")


def vacant(folder: Path, *patterns: str) -> Path:
    """Returns `folder` if it holds no result or unfinished run yet.

    Raises:
        FileExistsError: A file there matches one of the patterns; nothing is overwritten.
        NotADirectoryError: `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, not a folder: choose another place")
    found = next((path.name for pattern in patterns for path in folder.glob(pattern)), None)
    if found:
        raise FileExistsError(f"{folder} already holds a result ({found}): choose another folder or remove it first")
    return folder


@contextlib.contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """Yields a new locked folder, removed at the end."""
    with contextlib.ExitStack() as stack:
        while True:
            folder = parent / f".{secrets.token_hex(8)}.part"
            try:
                folder.mkdir()
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                stack.enter_context(locked(folder))
            except FileExistsError:  # one that removes what is left half written was faster
                continue
            break
        yield folder


def _new_file(path: Path) -> int:
    """Makes an empty file, as the user's umask has it, and returns its mode."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags("O_CLOEXEC"), 0o666)
    try:
        return os.fstat(handle).st_mode
    finally:
        os.close(handle)
