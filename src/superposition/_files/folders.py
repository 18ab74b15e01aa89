"""Folders: made, forced to disk, and never reached through links that others have planted."""

import contextlib
import errno
import os
import stat
from pathlib import Path

from superposition._files.faults import writing
from superposition._files.reading import check_path, flags

# File systems on which folders cannot be forced to disk say so; it is not for us to refuse them.
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}

# With which a file is opened to be forced to disk.
_ACCESS = os.O_RDWR if os.name == "nt" else os.O_RDONLY


def make_folder(folder: Path, *, to_disk: bool = True) -> None:
    """Makes a folder and those above it, if missing, and forces them to disk.

    Raises:
        ValueError: The path holds a NUL character.
        OSError: It cannot be made.
    """
    check_path(folder)
    with writing(folder):
        missing = []
        above = folder
        while not above.is_dir():
            missing.append(above)
            above = above.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            if to_disk:
                sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Forces the names in a folder to disk."""
    if os.name == "nt":  # where folders cannot be opened
        return
    try:
        handle = os.open(folder, os.O_RDONLY | flags("O_DIRECTORY", "O_CLOEXEC"))
    except PermissionError:  # one that may be written but not listed
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Forces the content of a regular file to disk; what is none, a link among others, has none of its own."""
    try:
        handle = os.open(path, _ACCESS | flags("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return
        raise
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.fsync(handle)
    finally:
        os.close(handle)


def check_inside(folder: Path, root: Path) -> Path:
    """Returns a folder below `root` none of whose parents below it is a symbolic link.

    Links are looked for, not raced with: one that was planted, in a folder from a stranger say, would lead what is
    written out of it. Whoever can change the folder while we work can change everything in it anyway. `root` itself is
    the user's word and may be a link.

    Raises:
        NotADirectoryError: One is a link, or a file.
    """
    below = root
    for part in folder.relative_to(root).parts:
        below /= part
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(mode := below.lstat().st_mode):
                what = "a symbolic link" if stat.S_ISLNK(mode) else "no folder"
                raise NotADirectoryError(f"{below} must be a folder, but is {what}: remove it or choose another place")
    return folder


def check_closed(folder: Path) -> None:
    """Raises NotADirectoryError if a link below a folder leads out of it: what is written there would follow it."""
    top = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not path.resolve().is_relative_to(top):
                raise NotADirectoryError(f"{path} is a symbolic link that leads out of {folder}: remove it")
