"""Units of work on a Dask cluster, whoever started it."""

import abc
import contextlib
import gc
import logging
import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, final

from superposition._interrupts import deferred_signals
from superposition._progress import Display, silent
from superposition._threads import limited_threads
from superposition.own_code import imported_files
from superposition.sweeps import records
from superposition.sweeps.executors.base import Executor
from superposition.sweeps.store import Store
from superposition.sweeps.unit import Outcome, Unit

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 5.0  # after which it is said that there are no workers
_CLOSE_SECONDS = 10


@final
class ClusterLostError(ConnectionError):
    """The scheduler or all workers went away in the middle of a sweep; the same sweep goes on."""


@final
class _NotYetError(Exception):
    """An outcome has to be waited for again."""


@dataclass(frozen=True)
class Connection:
    """A cluster at work.

    Attributes:
        client: With which to submit.
        tend: Called every second; looks after the workers and returns how many there are. It raises ClusterLostError
            if there are none and will be none.
        name: What it is, for people.
        dashboard: Where its dashboard is served, if that was asked for.
    """

    client: "Client"
    tend: Callable[[], int]
    name: str
    dashboard: str | None = None


class ClusterExecutor(Executor):
    """The workers of a Dask cluster, one unit at a time each; subclasses say which cluster.

    A worker that dies is replaced or done without, and its unit starts again from its checkpoint elsewhere. A unit
    whose process has died too often is tried once more cell by cell, and what dies then by itself has failed.
    """

    @abc.abstractmethod
    def connect(self, unit: Unit) -> contextlib.AbstractContextManager[Connection]:
        """Returns a cluster fit for such units; it ends with the block if it began with it.

        Raises:
            OSError: There is no such cluster.
        """

    def run(self, units: Sequence[Unit], display: Display) -> Iterator[Outcome]:
        """Yields the outcome of each unit as it ends.

        Raises:
            ClusterLostError: The scheduler or all workers went away.
            OSError: A worker cannot write the store.
            ValueError: A worker is not fit for this.
        """
        if not units:
            return
        with quiet(), _interrupted_by_sigterm(), self.connect(units[0]) as connection:
            for path in imported_files():
                connection.client.upload_file(str(path))  # to workers that come later, too
            crowd = _Crowd(connection, display)
            if connection.dashboard is not None:
                display.say(f"dashboard: {connection.dashboard}")
            killed: list[Unit] = []
            yield from crowd.outcomes(units, killed)
            # Which unit was it? Whatever a worker holds is blamed for its death.
            suspects = [unit for unit in killed if len(unit.cells) == 1]
            batches = [unit for unit in killed if len(unit.cells) > 1]
            yield from crowd.outcomes([piece for unit in batches for piece in unit.split()], suspects)
            for unit in suspects:
                guilty: list[Unit] = [unit] if len(units) == 1 == len(unit.cells) else []
                if not guilty:
                    yield from crowd.outcomes([unit], guilty)
                yield from map(_died, guilty)


class _Crowd:
    """The workers of a cluster, which are waited for."""

    def __init__(self, connection: Connection, display: Display) -> None:
        self._connection, self._display = connection, display
        self._waiting = display.task(f"waiting for {connection.name}", transient=True)
        self._waiting(0, 1, "")
        self._looked = self._seen = time.monotonic()
        self._told = False

    def outcomes(self, units: Sequence[Unit], killed: list[Unit]) -> Iterator[Outcome]:
        """Submits units and yields the outcome of each; those whose process died too often are added to `killed`."""
        if not units:
            return
        client = self._connection.client
        # A queue and not as_completed, which ends without a word when the scheduler dies.
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        token = uuid.uuid4().hex[:8]  # what an earlier driver has left on the scheduler is none of ours
        running = {f"{unit.name}-{index}-{token}": unit for index, unit in enumerate(units)}
        # Workers may outlive this process, and go on with what they have begun.
        Store(units[0].store).keep()
        # All in one message. Futures that nobody holds are forgotten by the scheduler.
        futures = client.map(_measure, units, expected=version("superposition"), key=list(running), pure=False)
        for future in futures:
            future.add_done_callback(ended.put)
        while running:
            self._look(len(running))
            try:
                future = ended.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            try:
                outcome = _outcome(future, len(running))
            except _NotYetError:
                ended.put(future)
                continue
            unit = running.pop(future.key)
            self._waiting(1, 1, "")
            if outcome is None:
                killed.append(unit)
            else:
                yield outcome

    def _look(self, n_left: int) -> None:
        """Looks after the workers once a second, and says when there are none."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if self._connection.client.status != "running":  # and its futures, of a scheduler that is gone, may never end
            raise _lost(n_left)
        if self._connection.tend():
            self._seen, self._told = now, False
            self._waiting(1, 1, "")
            return
        self._waiting(0, 1, "")
        if not self._told and now - self._seen > _PATIENCE_SECONDS:
            self._told = True
            self._display.say(f"waiting for {self._connection.name}")


def _outcome(future: "Future", n_left: int) -> Outcome | None:
    """Returns the outcome of a unit that is no longer running; None if it was killed.

    Raises:
        _NotYetError: The worker died with it: the unit is run again.
    """
    from distributed import KilledWorker

    try:
        outcome = future.result(timeout=_LOOK_SECONDS)
    except KilledWorker:
        return None
    except Exception as error:
        if future.status == "error":  # of the unit, and not of the connection
            raise
        if isinstance(error, TimeoutError):
            raise _NotYetError from None
        raise _lost(n_left) from None
    assert isinstance(outcome, Outcome)
    return outcome


def _died(unit: Unit) -> Outcome:
    """Records that no process survived a unit."""
    died = RuntimeError("the process died each time it was tried; it may need more memory than there is")
    store = Store(unit.store)
    missing = store.missing(unit.wanted)
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


def _lost(n_left: int) -> ClusterLostError:
    return ClusterLostError(f"the scheduler went away with {n_left} units of work left: the same command goes on")


@contextlib.contextmanager
def client_of(**options: Any) -> "Iterator[Client]":
    """Yields a client of an address or a cluster, which is closed at the end of the block.

    Raises:
        OSError: Nothing answers there.
    """
    from distributed import Client

    with _closed(lambda: Client(set_as_default=False, **options)) as client:
        yield client


@contextlib.contextmanager
def cluster_of(kind: Callable[..., Any], **options: Any) -> Iterator[Any]:
    """Yields a cluster of Dask's with its scheduler in this process, and closes it at the end of the block.

    Raises:
        ClusterLostError: The scheduler cannot listen.
    """

    def start() -> Any:
        try:
            return kind(**options)
        except RuntimeError as error:
            raise ClusterLostError(f"no scheduler can be started ({error})") from None

    with _closed(start) as cluster:
        yield cluster


@contextlib.contextmanager
def _closed(make: Callable[[], Any]) -> Iterator[Any]:
    """Yields what is made, and closes it at the end of the block.

    Ctrl-C waits while it is made and closed: Dask's client, left half made, waits for ever when Python ends.
    """
    made = None
    try:
        with deferred_signals():
            made = make()
        yield made
    finally:
        # One that has lost its scheduler fails to close in many ways.
        with deferred_signals(), contextlib.suppress(Exception):
            if made is not None:
                made.close(_CLOSE_SECONDS)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Dask from logging what is told to the user in one line."""
    import distributed  # noqa: F401  (which sets the levels of its loggers)

    ours = ("asyncio", "distributed", "tornado")
    names = ["asyncio", *(name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ours)]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        gc.collect()  # tasks of Dask's that have failed unheard say so when they are collected
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM do within the block what Ctrl-C does, so that what was started is stopped."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
