"""Units of work on a Dask cluster that is there already."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from superposition.sweeps.executors.cluster import ClusterExecutor, client_of
from superposition.sweeps.unit import Unit

if TYPE_CHECKING:
    from distributed import Client

_SECONDS = 10


@final
@dataclass(frozen=True)
class RemoteScheduler(ClusterExecutor):
    """A running scheduler, whose workers have one thread each and see the store's disk.

    Args:
        where: Its address, such as tcp://10.0.0.1:8786, or the scheduler file that it wrote.
    """

    where: str | Path

    @contextlib.contextmanager
    def connect(self, unit: Unit) -> "Iterator[Client]":  # noqa: ARG002
        """Connects to the scheduler."""
        options: dict[str, Any] = {"timeout": _SECONDS, "address": self.where}
        if isinstance(self.where, Path):
            if not self.where.is_file():
                raise FileNotFoundError(f"a scheduler file must be at {self.where}, but is not: start Dask first")
            options = {"timeout": _SECONDS, "scheduler_file": str(self.where)}
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(client_of(**options))
            except (OSError, ValueError):
                raise ConnectionError(
                    f"a Dask scheduler must be at {self.where}, but none answers: start Dask first"
                ) from None
            yield client
