"""Units of work on a Dask cluster that is there already."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from superposition.sweeps.executors.cluster import ClusterExecutor, client_of
from superposition.sweeps.unit import Unit

if TYPE_CHECKING:
    from distributed import Client

_SECONDS = 10
_ADDRESS = re.compile(r"((tcp|tls|wss?|ucxx?)://)?[^/\s]+:\d+")


@final
@dataclass(frozen=True)
class RemoteScheduler(ClusterExecutor):
    """A running scheduler, whose workers have one thread each and see the store's disk.

    Args:
        where: Its address, such as tcp://10.0.0.1:8786, or the scheduler file that it wrote.

    Raises:
        ValueError: It is no address.
    """

    where: str | Path

    def __post_init__(self) -> None:
        if isinstance(self.where, str) and not _ADDRESS.fullmatch(self.where):
            raise ValueError(f"`scheduler` must be an address such as tcp://10.0.0.1:8786, got {self.where!r}")

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
