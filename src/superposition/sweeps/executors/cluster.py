"""Units of work on a Dask cluster, whoever started it."""

import abc
import contextlib
import logging
import queue
import uuid
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, final

from superposition._progress import Display, Report, silent
from superposition._threads import limited_threads
from superposition.sweeps import records
from superposition.sweeps.executors.base import Executor
from superposition.sweeps.store import Store
from superposition.sweeps.unit import Outcome, Unit

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK_SECONDS = 1.0
# A scheduler without a dashboard serves its health nevertheless, at any port: two sweeps may run on one machine.
NO_DASHBOARD = {"dashboard": False, "dashboard_address": ":0"}


@final
class SchedulerLostError(ConnectionError):
    """The scheduler went away in the middle of a sweep; the same sweep goes on."""


class ClusterExecutor(Executor):
    """The workers of a Dask cluster, one unit at a time each; subclasses say which cluster.

    A worker that dies is replaced or done without, and its unit starts again from its checkpoint elsewhere; after four
    deaths a unit counts as failed.
    """

    @abc.abstractmethod
    def connect(self, unit: Unit) -> contextlib.AbstractContextManager["Client"]:
        """Returns a client of a cluster fit for such units; the cluster ends with the block if it began with it.

        Raises:
            OSError: There is no such cluster.
        """

    def run(self, units: Sequence[Unit], display: Display) -> Iterator[Outcome]:
        """Yields the outcome of each unit as it ends.

        Raises:
            SchedulerLostError: The scheduler went away.
            OSError: A worker cannot write the store.
            ValueError: A worker is not fit for this.
        """
        if not units:
            return
        waiting = display.task("waiting for workers", transient=True)
        waiting(0, 1, "")
        with _quiet(), self.connect(units[0]) as client:
            yield from _outcomes(client, units, waiting)


def _outcomes(client: "Client", units: Sequence[Unit], waiting: Report) -> Iterator[Outcome]:
    """Submits all units and yields their outcomes; says when there are no workers."""
    # A queue and not as_completed, which ends without a word when the scheduler dies.
    ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
    token = uuid.uuid4().hex[:8]  # what an earlier driver has left on the scheduler is none of ours
    running = {f"{unit.name}-{token}": unit for unit in units}
    # All in one message. Futures that nobody holds are forgotten by the scheduler.
    futures = client.map(_measure, units, expected=version("superposition"), key=list(running), pure=False)
    for future in futures:
        future.add_done_callback(ended.put)
    while running:
        try:
            future = ended.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if client.status != "running":  # and its futures, of a scheduler that is gone, may never end
                raise _lost(len(running)) from None
            waiting(bool(client.scheduler_info()["workers"]), 1, "")
            continue
        waiting(1, 1, "")
        outcome = _outcome(future, running[future.key], len(running))
        del running[future.key]
        yield outcome


def _outcome(future: "Future", unit: Unit, n_left: int) -> Outcome:
    """Returns the outcome of a unit that is no longer running."""
    from distributed import KilledWorker

    try:
        outcome = future.result()  # which waits again if the worker died with it: the unit is then run again
    except KilledWorker:
        return _died(unit)
    except Exception:
        if future.status == "error":  # of the unit, and not of the connection
            raise
        raise _lost(n_left) from None
    assert isinstance(outcome, Outcome)
    return outcome


def _died(unit: Unit) -> Outcome:
    """Records that no process survived a unit."""
    died = RuntimeError("the process died each time it was tried; it may need more memory than there is")
    store = Store(unit.store)
    missing = store.missing(unit.cells)
    for cell in missing:
        store.put_failure(cell, died, unit.provenance(0.0))
    return Outcome(len(missing), {cell.key: records.describe(died) for cell in missing})


def _measure(unit: Unit, expected: str) -> Outcome:
    """Runs a unit in a worker."""
    from distributed import get_worker

    if (found := version("superposition")) != expected:
        raise ValueError(f"workers must run superposition {expected}, got {found}: install the same version everywhere")
    if (n_threads := get_worker().state.nthreads) != 1:
        raise ValueError(f"workers must have one thread, got {n_threads}: start them with --nthreads 1")
    if not unit.store.exists():
        raise FileNotFoundError(f"{unit.store} must be on a disk that all workers share, but a worker does not see it")
    with limited_threads(unit.threads):
        return unit.run(silent)


def _lost(n_left: int) -> SchedulerLostError:
    return SchedulerLostError(f"the scheduler went away with {n_left} units of work left: the same command goes on")


@contextlib.contextmanager
def client_of(**options: Any) -> "Iterator[Client]":
    """Yields a client of an address or a cluster, which is closed at the end of the block.

    Raises:
        OSError: Nothing answers there.
    """
    from distributed import Client

    client = Client(set_as_default=False, **options)
    try:
        yield client
    finally:
        # One that has lost its scheduler fails to close in many ways.
        with contextlib.suppress(Exception):
            client.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Dask from logging what is told to the user in one line."""
    import distributed  # noqa: F401  (which sets the levels of its loggers)

    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
