"""Units of work in jobs of a Slurm cluster."""

import contextlib
import logging
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from superposition import _checks
from superposition.sweeps.executors.cluster import NO_DASHBOARD, ClusterExecutor, client_of
from superposition.sweeps.unit import Unit

if TYPE_CHECKING:
    from distributed import Client


@final
@dataclass(frozen=True)
class SlurmJobs(ClusterExecutor):
    """Jobs of a Slurm cluster, submitted for the sweep; one that reaches its time limit is submitted again.

    Each worker gets as many processors as the sweep has threads. On a CUDA device a job is one worker with one GPU.

    Args:
        jobs: How many jobs, ≥ 1.
        memory: Memory of a job, such as "8GB".
        walltime: Time limit of a job, "HH:MM:SS".
        workers: Workers in a job, ≥ 1.
        queue: Partition, the cluster's default if not given.
        account: Account, the user's default if not given.
        interface: Network interface of the scheduler and the workers, such as ib0.
        directives: Further options of sbatch, such as "--constraint=icelake".
        prologue: Lines of shell to run before a worker starts, such as "module load cuda".
        python: Python of the workers; this one if not given.

    Raises:
        ValueError: A number is not positive.
    """

    jobs: int
    memory: str
    walltime: str
    workers: int = 1
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    python: str | None = None

    def __post_init__(self) -> None:
        _checks.whole_number("jobs", self.jobs)
        _checks.whole_number("workers", self.workers)

    @contextlib.contextmanager
    def connect(self, unit: Unit) -> "Iterator[Client]":
        """Starts a scheduler in this process and submits the jobs, and cancels them in the end."""
        handler = signal.getsignal(signal.SIGINT)
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError:
            raise ValueError("Slurm needs dask-jobqueue: pip install 'superposition[slurm]'") from None
        if shutil.which("sbatch") is None:
            raise ValueError("Slurm needs sbatch on the path: run this on a machine that submits jobs")
        signal.signal(signal.SIGINT, handler)  # which dask-jobqueue has replaced by one that leaves without a word
        directives = list(self.directives)
        if unit.device == "cuda":
            if self.workers != 1:
                raise ValueError(f"`workers` must be 1 on a GPU, got {self.workers}: raise `jobs`")
            directives.append("--gres=gpu:1")
        with (
            SLURMCluster(
                cores=self.workers,
                processes=self.workers,
                job_cpu=self.workers * unit.threads,
                memory=self.memory,
                walltime=self.walltime,
                queue=self.queue,
                account=self.account,
                interface=self.interface,
                job_extra_directives=directives,
                job_script_prologue=list(self.prologue),
                python=self.python or sys.executable,
                worker_extra_args=["--memory-limit", "0"],  # Slurm has its own
                scheduler_options=dict(NO_DASHBOARD),
                silence_logs=logging.CRITICAL + 1,
            ) as cluster,
            client_of(address=cluster) as client,
        ):
            cluster.adapt(minimum_jobs=self.jobs, maximum_jobs=self.jobs)
            yield client
