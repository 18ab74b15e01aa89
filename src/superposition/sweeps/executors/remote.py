"""Units of work on a Dask cluster that is there already."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from superposition import _files
from superposition.sweeps.executors.cluster import ClusterExecutor, Connection, client_of
from superposition.sweeps.executors.security import Credentials
from superposition.sweeps.unit import Unit

_SECONDS = 10
_ADDRESS = re.compile(r"((tcp|tls|wss?|ucxx?)://)?[^/\s]+:\d+")
_ENCRYPTED = ("tls://", "wss://")
_OPTIONS = "--tls-ca-file, --tls-cert and --tls-key"


@final
@dataclass(frozen=True)
class RemoteScheduler(ClusterExecutor):
    """A running scheduler, whose workers have one thread each and see the store's disk.

    Without credentials nothing is encrypted and anybody who reaches the scheduler can run programs as its owner.

    Args:
        where: Its address, such as tls://10.0.0.1:8786, or the scheduler file that it wrote.
        credentials: For an address that begins with tls://; those of Dask's own configuration if not given.

    Raises:
        ValueError: It is no address, or not one for credentials, or not one without.
    """

    where: str | Path
    credentials: Credentials | None = None

    def __post_init__(self) -> None:
        if isinstance(self.where, str):
            if not _ADDRESS.fullmatch(self.where):
                raise ValueError(f"`scheduler` must be an address such as tls://10.0.0.1:8786, got {self.where!r}")
            self._address(self.where)

    def _address(self, given: str) -> str:
        """Returns an address with its protocol; raises ValueError unless credentials go with it."""
        import dask.config

        if "://" not in given:
            given = ("tcp://" if self.credentials is None else "tls://") + given
        if self.credentials is not None and not given.startswith(_ENCRYPTED):
            raise ValueError(f"`scheduler` must be a tls:// address to go with {_OPTIONS}, got {given}")
        configured = self.credentials is not None or dask.config.get("distributed.comm.tls.ca-file", None) is not None
        if given.startswith(_ENCRYPTED) and not configured:
            raise ValueError(f"{given} needs {_OPTIONS}: give the files of the cluster")
        return given

    @contextlib.contextmanager
    def connect(self, unit: Unit) -> Iterator[Connection]:  # noqa: ARG002
        """Connects to the scheduler."""
        given = self.where
        if isinstance(given, Path):
            if not given.is_file():
                raise FileNotFoundError(f"a scheduler file must be at {given}, but is not: start Dask first")
            given = str(_files.read_json(given, "scheduler file").get("address"))
            if not _ADDRESS.fullmatch(given):
                raise ValueError(f"{self.where} must hold the address of a scheduler, got {given}: start Dask first")
        options: dict[str, Any] = {"timeout": _SECONDS, "address": self._address(given)}
        if self.credentials is not None:
            options["security"] = self.credentials.security()
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(client_of(**options))
            except (OSError, ValueError):
                raise ConnectionError(
                    f"a Dask scheduler must be at {self.where}, but none answers: start Dask first"
                ) from None

            def tend() -> int:
                return len(client.scheduler_info()["workers"])

            yield Connection(client, tend, f"workers of {options['address']}")
