"""Units of work in processes of this machine."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from superposition import _checks
from superposition._devices import device_of
from superposition.sweeps.executors import deaf
from superposition.sweeps.executors.cluster import NO_DASHBOARD, ClusterExecutor, client_of
from superposition.sweeps.unit import Unit

if TYPE_CHECKING:
    from distributed import Client


@final
@dataclass(frozen=True)
class LocalWorkers(ClusterExecutor):
    """Processes of this machine, started for the sweep; on a CUDA device each has one GPU to itself.

    Args:
        n_workers: How many, ≥ 1; at most one a GPU.

    Raises:
        ValueError: `n_workers` is not a positive number.
    """

    n_workers: int

    def __post_init__(self) -> None:
        _checks.whole_number("workers", self.n_workers)

    @contextlib.contextmanager
    def connect(self, unit: Unit) -> "Iterator[Client]":
        """Starts a scheduler in this process and the workers, and stops them in the end.

        Raises:
            ValueError: The device is not there, or there are fewer GPUs than workers.
        """
        import dask
        from distributed import Nanny, Scheduler, SpecCluster

        device_of(unit.device)
        options: dict[str, Any] = {
            "nthreads": 1,
            "memory_limit": 0,  # what a cell needs it gets; a limit would kill workers and hide why
            "silence_logs": logging.CRITICAL + 1,
            "host": "127.0.0.1",
            "preload": [deaf.__name__],
        }
        workers = {
            index: {"cls": Nanny, "options": {**options, "env": environment}}
            for index, environment in enumerate(self.environments(unit.device))
        }
        scheduler = {"cls": Scheduler, "options": {**NO_DASHBOARD, "host": "127.0.0.1"}}
        # Dask would set the number of threads in the environment of this process too.
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
            SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL + 1) as cluster,
            client_of(address=cluster) as client,
        ):
            yield client

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
