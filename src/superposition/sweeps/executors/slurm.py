"""Units of work in jobs of a Slurm cluster."""

import contextlib
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from superposition import _checks
from superposition.sweeps.executors.cluster import (
    ClusterExecutor,
    ClusterLostError,
    Connection,
    client_of,
    cluster_of,
)
from superposition.sweeps.executors.security import (
    check_dashboard,
    dashboard_of,
    scheduler_of,
    temporary_security,
    written,
)
from superposition.sweeps.unit import Unit

_SERVERS = "superposition.sweeps.executors.servers"
_PREFIX = ".credentials-"


@final
@dataclass(frozen=True)
class SlurmJobs(ClusterExecutor):
    """Jobs of a Slurm cluster, submitted for the sweep; one that reaches its time limit is submitted again.

    Each worker gets as many processors as the sweep has threads. On a CUDA device a job is one worker with one GPU.
    Scheduler and workers listen on the network, encrypted, and speak to those only who hold the credentials, which are
    made for the run and reach the jobs by files that nobody else may read.

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
        shared_temp_directory: Folder that the jobs see too, for the credentials; the store's if not given.
        dashboard: Whether Dask's dashboard is served, on the loopback interface, where all users of the machine see it.

    Raises:
        ValueError: A number is not positive, or bokeh, which draws the dashboard, is not there.
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
    shared_temp_directory: str | None = None
    dashboard: bool = False

    def __post_init__(self) -> None:
        _checks.whole_number("jobs", self.jobs)
        _checks.whole_number("workers", self.workers)
        if self.dashboard:
            check_dashboard()

    @contextlib.contextmanager
    def connect(self, unit: Unit) -> Iterator[Connection]:
        """Starts a scheduler in this process and submits the jobs, and cancels them in the end.

        Raises:
            ValueError: There is no Slurm here, or the jobs cannot be such.
            OSError: The credentials cannot be written.
        """
        kind = _cluster_class()
        directives = list(self.directives)
        if unit.device == "cuda":
            if self.workers != 1:
                raise ValueError(f"`workers` must be 1 on a GPU, got {self.workers}: raise `jobs`")
            directives.append("--gres=gpu:1")
        refusals: list[str] = []
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(_shared(Path(self.shared_temp_directory or unit.store)))
            scheduler, options = stack.enter_context(scheduler_of(dashboard=self.dashboard))
            started = cluster_of(
                kind,
                job_cls=_job_class(refusals),
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
                # Slurm has its own limit of memory.
                worker_extra_args=["--memory-limit", "0", "--no-dashboard", "--worker-class", f"{_SERVERS}.Worker"],
                protocol="tls://",
                security=written(temporary_security(), folder),
                scheduler_cls=scheduler,
                scheduler_options={"dashboard_address": None, **options},
                silence_logs=False,
            )
            cluster = stack.enter_context(started)
            client = stack.enter_context(client_of(address=cluster))
            cluster.adapt(minimum_jobs=self.jobs, maximum_jobs=self.jobs)

            def tend() -> int:
                if refusals:
                    raise ClusterLostError(f"no job can be submitted ({refusals[0]}): the same command goes on")
                return len(cluster.scheduler_info["workers"])

            name = f"workers in {self.jobs} Slurm jobs"
            yield Connection(client, tend, name, dashboard_of(cluster) if self.dashboard else None)


def _cluster_class() -> type[Any]:
    """Returns dask-jobqueue's cluster; raises ValueError if there can be none."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise ValueError("Slurm needs dask-jobqueue: pip install 'superposition[slurm]'") from None
    finally:
        signal.signal(signal.SIGINT, handler)  # which dask-jobqueue replaces by one that leaves without a word
    if shutil.which("sbatch") is None:
        raise ValueError("Slurm needs sbatch on the path: run this on a machine that submits jobs")
    return SLURMCluster  # type: ignore[no-any-return]


def _job_class(refusals: list[str]) -> type[Any]:
    """Returns dask-jobqueue's job, which tries again for ever, made to tell why a job is refused."""
    from dask_jobqueue.slurm import SLURMJob
    from distributed.deploy.spec import ProcessInterface

    class Job(SLURMJob):
        async def start(self) -> None:
            try:
                await super().start()
            except (RuntimeError, OSError, ValueError) as error:
                lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                refusals.append(lines[-1] if lines else type(error).__name__)
                await ProcessInterface.start(self)  # a cluster with a job that failed to start cannot be closed

    return Job


@contextlib.contextmanager
def _shared(folder: Path) -> Iterator[Path]:
    """Yields a new folder in one that jobs see too, for the credentials; it is removed in the end.

    Raises:
        ValueError: Its path cannot stand in a command of a job.
        OSError: It cannot be made.
    """
    folder = folder.expanduser().resolve()
    if shlex.quote(str(folder)) != str(folder):
        raise ValueError(f"`shared_temp_directory` must be a path of plain characters, got {str(folder)!r}")
    for left in folder.glob(f"{_PREFIX}*"):  # by a driver that was killed; the store is this one's now
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder) as made:
        yield Path(made)
