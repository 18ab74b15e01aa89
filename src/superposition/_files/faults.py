"""Faults of disks: what is nobody's bad input and no cell's failure."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

# Full, over quota, over the largest size of a file, read-only, broken.
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class UnwritableError(OSError):
    """A file or folder could not be written; the message says which and why."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises UnwritableError, which names a path, for the system's errors of the block."""
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        advice = "free space or choose another folder" if disk_fault(error) else "choose another folder"
        raise UnwritableError(f"{path} could not be written ({error.strerror or error}): {advice}") from error


def disk_fault(error: BaseException) -> OSError | None:
    """Returns the fault of a disk that is or led to an error, if one did."""
    return next((e for e in _chain(error) if isinstance(e, OSError) and e.errno in _DISK_FAULTS), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
