"""Folders kept to one process."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from superposition._files.faults import UnwritableError, writing
from superposition._files.folders import make_folder
from superposition._files.reading import flags, kind_of

LOCK = ".lock"
# Made if missing; never emptied; a link that was planted there is not followed, a pipe not waited for.
_FLAGS = os.O_RDWR | os.O_CREAT | flags("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a folder, made if missing, to this process within the block; a killed process lets go of it.

    Raises:
        FileExistsError: Another process is at work there.
        OSError: The folder cannot be made or written, or its lock is a link, a folder or a device.
    """
    lock = folder / LOCK
    make_folder(folder)
    handle = _open(lock)
    try:
        if not _is_ours(handle, lock):
            raise FileExistsError(f"{folder} is in use by another process: wait or choose another folder")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _open(lock: Path) -> int:
    with writing(lock.parent):
        try:
            handle = os.open(lock, _FLAGS, 0o666)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise _foreign(lock, lock.lstat().st_mode) from None
            raise
    if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
        os.close(handle)
        raise _foreign(lock, mode)
    return handle


def _is_ours(handle: int, lock: Path) -> bool:
    """Takes the lock, if nobody has it."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return True
    with writing(lock):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Or it was removed by who had it, and another process may have made it anew.
            return os.path.samestat(os.fstat(handle), lock.lstat())
        except (BlockingIOError, FileNotFoundError):
            return False


def _foreign(lock: Path, mode: int) -> UnwritableError:
    return UnwritableError(f"{lock} must be a file that superposition makes, but is {kind_of(mode)}: remove it")
