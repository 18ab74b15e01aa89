"""A folder for temporary files; if the process that made it is killed, the next one removes it."""

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from superposition import _files

_PREFIX = "superposition-workers-"
# A folder that is younger may not be locked yet.
_FRESH_SECONDS = 2.0


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """Yields a folder that is locked, and removed with the block; those that killed processes have left go first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody is at work there, or it has just been removed
            _remove(left)
    temporary = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    with temporary as folder, _files.locked(Path(folder)):
        yield folder


def _remove(left: Path) -> None:
    """Removes a folder of this user that no process has locked."""
    about = left.lstat()
    is_ours = stat.S_ISDIR(about.st_mode) and hasattr(os, "geteuid") and about.st_uid == os.geteuid()
    if is_ours and time.time() - about.st_mtime > _FRESH_SECONDS:
        with _files.locked(left):
            shutil.rmtree(left, ignore_errors=True)
