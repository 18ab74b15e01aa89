"""Reading what others wrote: regular files only, of a bounded size, with every fault said in one line.

A path that a user gives, or that lies in a folder from a stranger, may be a pipe, a device, a folder or terabytes long.
Whatever is read goes through `open_regular`, which neither waits for a writer nor reads from what has no end.
"""

import errno
import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

# Descriptions, configurations and records are kilobytes; the largest, a config of 10⁶ features, is some 40 MB.
MOST_BYTES = 64 * 2**20

# What the path is to blame for; anything else is the disk's or the machine's.
_PATH_FAULTS = {
    errno.EACCES, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENODEV, errno.ENOENT,
    errno.ENOTDIR, errno.ENXIO, errno.EOPNOTSUPP, errno.EPERM,
}  # fmt: skip
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFLNK: "a symbolic link",
}  # fmt: skip


def flags(*names: str) -> int:
    """Returns those of the named flags of `os.open` that this system has."""
    return sum(getattr(os, name, 0) for name in names)


# A pipe without a writer opens at once; a terminal is not made ours; no newlines are changed where systems do so.
_FLAGS = os.O_RDONLY | flags("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")


def open_regular(path: Path, what: str) -> io.BufferedReader:
    """Opens a regular file for reading; links are followed, since reading does no harm.

    Args:
        path: Of the file.
        what: What it should be, for messages: "model", "description".

    Raises:
        ValueError: There is none at this path, or it is a folder, a pipe, a device or a socket, or not to be read.
        OSError: The disk has a fault.
    """
    check_path(path)
    try:
        handle = os.open(path, _FLAGS)
    except OSError as error:
        _refuse(path, what, error)
    if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError(f"{what} must be in a regular file, but {path} is {kind_of(mode)}: check the path")
    return os.fdopen(handle, "rb")


def check_regular(path: Path, what: str) -> None:
    """Raises the errors of `open_regular`; for what a library is to open by its path."""
    open_regular(path, what).close()


def read_bytes(path: Path, what: str, *, most: int = MOST_BYTES) -> bytes:
    """Returns the content of a regular file of at most so many bytes; raises as `open_regular`, and for longer ones."""
    with open_regular(path, what) as file:
        try:
            # Not `most` at once, for which memory would be taken; what has no size, as in /proc, may have content.
            content = file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
            content += file.read(most + 1 - len(content))
        except OSError as error:
            _refuse(path, what, error)
    if len(content) > most:
        raise ValueError(f"{path} must be at most {most / 2**20:g} MiB to be a {what}, but it is longer")
    return content


def read_text(path: Path, what: str, *, most: int = MOST_BYTES) -> str:
    """Returns the text of a regular file in UTF-8; raises as `read_bytes`, and ValueError for what is no such text."""
    try:
        return read_bytes(path, what, most=most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}): a {what} must be text in UTF-8") from None


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        ValueError: The file is missing or holds no JSON object; the message names `what` and the path.
        OSError: The disk has a fault.
    """
    text = read_text(path, what)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): restore it or make the {what} anew") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(value).__name__}: it is no {what}")
    return value


def digest(path: Path) -> str:
    """Returns the BLAKE2b digest of a regular file's content, as 32 hexadecimal digits; raises as `open_regular`."""
    with open_regular(path, "file") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def check_path(path: Path) -> None:
    """Raises ValueError for a path that no system takes."""
    if "\0" in str(path):
        raise ValueError(f"a path must hold no NUL character, got {str(path)!r}")


def kind_of(mode: int) -> str:
    """Returns what a file is by its mode, for messages."""
    return _KINDS.get(stat.S_IFMT(mode), "a file")


def _refuse(path: Path, what: str, error: OSError) -> NoReturn:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        message = f"{what} must be in {path.parent}, but {path.name} is not there: check the path"
        raise ValueError(message) from None
    reason = error.strerror or str(error)
    if error.errno in _PATH_FAULTS:
        raise ValueError(f"{what} must be in a readable file, got {path} ({reason}): check the path") from None
    raise OSError(error.errno, f"{path} could not be read ({reason})") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
