"""A folder for one case, and what the case changed in it."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz import forgeries
from tests.fuzz.case import Case
from tests.fuzz.nursery import nursery

_WHOLE = 1 << 22  # files up to this size are compared by content


@contextmanager
def sandbox(case: Case, root: Path) -> Iterator[Path]:
    """Prepares `root/here` for a case and yields it; nothing is left of `root`.

    Beside `here` stand `victim`, which no case may change, `home` and `temporary`.
    """
    shutil.rmtree(root, ignore_errors=True)
    here = root / "here"
    for name in ("here", "home", "temporary", "victim"):
        (root / name).mkdir(parents=True)
    (root / "victim" / "precious").write_text("not to be touched\n")
    for name in case.fixtures:
        source = nursery() / name
        if source.is_dir():
            shutil.copytree(source, here / name)
        else:
            shutil.copy(source, here / name)
    for step in case.steps:
        forgeries.apply(step, here)
    try:
        yield here
    finally:
        shutil.rmtree(root, ignore_errors=True)


def snapshot(root: Path) -> dict[str, str]:
    """Returns what is at every path under a folder, links not followed."""
    found = {}
    for folder, _, names in os.walk(root):
        if folder != str(root):
            found[os.path.relpath(folder, root)] = "folder"
        for name in names:
            path = Path(folder, name)
            found[os.path.relpath(path, root)] = _content(path)
        for name in [entry.name for entry in os.scandir(folder) if entry.is_symlink()]:
            found[os.path.relpath(Path(folder, name), root)] = f"link {Path(folder, name).readlink()}"
    return found


def _content(path: Path) -> str:
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode):
        return f"{stat.S_IFMT(about.st_mode)}"
    if about.st_size > _WHOLE:
        return f"{about.st_size} bytes of {about.st_mtime_ns}"
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Returns the paths at which two snapshots differ."""
    return sorted(path for path in {**before, **after} if before.get(path) != after.get(path))
