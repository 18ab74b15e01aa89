"""What this machine has."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def memory() -> int:
    """Returns how many bytes this process may use: the machine's, or those of its container or of `ulimit -v`."""
    import psutil

    machine = int(psutil.virtual_memory().total + psutil.swap_memory().total)
    return min([machine, *_limits()])


def readable(n_bytes: float) -> str:
    """Returns a number of bytes for people.

    >>> readable(63.7e9), readable(2e6), readable(3e13)
    ('64 GB', '2 MB', '30 TB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.2g} {unit}" if n_bytes < 10 * size else f"{n_bytes / size:,.0f} {unit}"
    return f"{n_bytes / 1e3:.2g} kB"


def _limits() -> Iterator[int]:
    """Yields the limits that are set, in bytes."""
    with contextlib.suppress(ImportError):  # of systems that have none
        import resource

        of_process, _ = resource.getrlimit(resource.RLIMIT_AS)
        if of_process != resource.RLIM_INFINITY:
            yield of_process
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _, kinds, name = line.split(":", 2)
            if kinds in ("", "memory"):
                yield from _of_group(
                    _GROUPS / kinds, name.lstrip("/"), "memory.limit_in_bytes" if kinds else "memory.max"
                )


def _of_group(root: Path, name: str, file: str) -> Iterator[int]:
    """Yields the limits of a control group and of those around it; inside a container it may be seen as the root."""
    group = root / name
    for folder in dict.fromkeys((root, group, *(each for each in group.parents if root in each.parents))):
        with contextlib.suppress(OSError, ValueError):  # it is not there, or it says "max"
            yield int((folder / file).read_text(encoding="ascii"))
