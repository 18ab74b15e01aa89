"""Units of work in processes of this machine."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from superposition import _checks
from superposition._devices import device_of
from superposition.sweeps.executors.cluster import ClusterExecutor, Connection, client_of, cluster_of
from superposition.sweeps.executors.crew import Crew
from superposition.sweeps.executors.scratch import scratch
from superposition.sweeps.executors.security import (
    check_dashboard,
    dashboard_of,
    for_worker,
    scheduler_of,
    temporary_security,
)
from superposition.sweeps.unit import Unit


@final
@dataclass(frozen=True)
class LocalWorkers(ClusterExecutor):
    """Processes of this machine, started for the sweep; on a CUDA device each has one GPU to itself.

    They and their scheduler, which is in this process, listen on the loopback interface and speak, encrypted, to those
    only who hold the credentials, which are made for the run and stay in memory. One that dies is replaced.

    Args:
        n_workers: How many, ≥ 1; at most one a GPU.
        dashboard: Whether Dask's dashboard is served, on the loopback interface, where all users of the machine see it.

    Raises:
        ValueError: `n_workers` is not a positive number, or bokeh, which draws the dashboard, is not there.
    """

    n_workers: int
    dashboard: bool = False

    def __post_init__(self) -> None:
        _checks.whole_number("workers", self.n_workers)
        if self.dashboard:
            check_dashboard()

    @contextlib.contextmanager
    def connect(self, unit: Unit) -> Iterator[Connection]:
        """Starts a scheduler in this process and the workers, and stops them in the end.

        Raises:
            ValueError: The device is not there, or there are fewer GPUs than workers.
        """
        import dask
        from distributed import SpecCluster

        device_of(unit.device)
        environments = self.environments(unit.device)
        security = temporary_security()
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(scratch())
            # A worker that does not beat while the machine sleeps is not dead; one that is dead is seen to be.
            settings = {"distributed.scheduler.worker-ttl": None, "temporary-directory": folder}
            stack.enter_context(dask.config.set(settings))
            kind, options = stack.enter_context(scheduler_of(dashboard=self.dashboard))
            options |= {"host": "127.0.0.1", "protocol": "tls", "security": security}
            scheduler = {"cls": kind, "options": options}
            cluster = stack.enter_context(cluster_of(SpecCluster, scheduler=scheduler, security=security))
            work = {"address": cluster.scheduler_address, "credentials": for_worker(security), "folder": folder}
            crew = stack.enter_context(contextlib.closing(Crew(work, environments)))
            crew.tend(set())
            client = stack.enter_context(client_of(address=cluster))

            def tend() -> int:
                names = {worker["name"] for worker in list(cluster.scheduler_info["workers"].values())}
                crew.tend(names)
                return len(names)

            yield Connection(client, tend, "workers", dashboard_of(cluster) if self.dashboard else None)

    def environments(self, device: str) -> list[dict[str, str]]:
        """Returns what each worker has in its environment.

        Raises:
            ValueError: There are fewer GPUs than workers.
        """
        if device != "cuda":
            return [{}] * self.n_workers
        import torch

        if self.n_workers > (n_devices := torch.cuda.device_count()):
            raise ValueError(f"`workers` must be at most one a GPU, {n_devices} here, got {self.n_workers}")
        return [{"CUDA_VISIBLE_DEVICES": name} for name in _visible(n_devices)[: self.n_workers]]


def _visible(n_devices: int) -> list[str]:
    """Returns the names of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",") if given else [str(index) for index in range(n_devices)]
