"""Who may speak to a cluster: credentials made for a run or given as files, and what a scheduler of ours serves."""

import importlib.util
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superposition import _files, sweeps

if TYPE_CHECKING:
    from distributed import Security

_ROLES = ("client", "scheduler", "worker")
_FIELDS = ("ca_file", "worker_cert", "worker_key")
# Deaths of its process after which a unit of work is taken to be their cause.
_ALLOWED_FAILURES = 2


@dataclass(frozen=True)
class Credentials:
    """Files in PEM format with which to speak to a scheduler that is protected by TLS.

    Args:
        ca_file: Certificate of the authority that has signed those of the cluster.
        cert: Our certificate.
        key: Its private key.

    Raises:
        ValueError: A file cannot be read, or they are no credentials.
    """

    ca_file: Path
    cert: Path
    key: Path

    def __post_init__(self) -> None:
        for name in ("ca_file", "cert", "key"):
            path: Path = getattr(self, name)
            try:
                _files.read_bytes(path, "certificate or key")
            except (OSError, ValueError) as error:
                raise ValueError(f"`tls_{name}` must be a readable file, got {path}: {error}") from None
        try:
            self.security().get_connection_args("client")
        except (OSError, ValueError) as error:  # those of the ssl module among them
            reason = getattr(error, "reason", None) or error
            raise ValueError(
                f"`tls_ca_file`, `tls_cert` and `tls_key` must be a certificate authority, a certificate and its key, "
                f"all in PEM format, got {self.ca_file}, {self.cert} and {self.key} ({reason})"
            ) from None

    def security(self) -> "Security":
        """Returns them as Dask takes them."""
        from distributed import Security

        return Security(
            require_encryption=True,
            tls_ca_file=str(self.ca_file),
            **{f"tls_{role}_cert": str(self.cert) for role in _ROLES},
            **{f"tls_{role}_key": str(self.key) for role in _ROLES},
        )


def temporary_security() -> "Security":
    """Returns credentials made for one run, in memory only."""
    from distributed import Security

    return Security.temporary()


def written(security: "Security", folder: Path) -> "Security":
    """Returns credentials that are in memory as files of a folder, which nobody else may read."""
    paths = {name: folder / f"{name}.pem" for name in _FIELDS}
    for name, path in paths.items():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(getattr(security, f"tls_{name}"))
    return Credentials(*paths.values()).security()


def for_worker(security: "Security") -> dict[str, Any]:
    """Returns what a worker needs of credentials in memory, as plain data."""
    return {f"tls_{name}": getattr(security, f"tls_{name}") for name in _FIELDS}


def check_dashboard() -> None:
    """Raises ValueError if there is no dashboard to be had."""
    if importlib.util.find_spec("bokeh") is None:
        raise ValueError("`dashboard` needs bokeh: pip install 'superposition[dashboard]'")


def dashboard_of(cluster: Any) -> str:
    """Returns where a cluster of Dask's in this process serves its dashboard."""
    return f"http://127.0.0.1:{cluster.scheduler.http_server.port}/status"


@contextmanager
def scheduler_of(*, dashboard: bool) -> Iterator[tuple[type[Any], dict[str, Any]]]:
    """Yields the class and the options of a scheduler that serves nothing but its port, or a dashboard on loopback."""
    import dask
    import distributed

    settings: dict[str, Any] = {
        # A worker gets its next unit when it is done with one, so that its death is not laid on a unit that waits.
        "distributed.scheduler.worker-saturation": 1.0,
    }
    options: dict[str, Any] = {"allowed_failures": _ALLOWED_FAILURES}
    if not dashboard:
        with dask.config.set(settings):
            yield sweeps.executors.servers.Scheduler, options
        return
    settings["distributed.scheduler.http.routes"] = ["distributed.http.statics"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    # Else any page in a browser of this machine could read along.
    settings["distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin"] = [address]
    with dask.config.set(settings):
        yield distributed.Scheduler, {**options, "dashboard": True, "dashboard_address": address}
