"""Processes of this machine that work for a scheduler of this process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from superposition.sweeps.executors import worker
from superposition.sweeps.executors.cluster import ClusterLostError

# Nobody there for so long: they will not come. A start takes two seconds, twenty on a very busy machine.
_ABSENT_SECONDS = 45.0
_STARTS = 3  # that fail in a row, of every one
_END_SECONDS = 2.0


@dataclass
class Seat:
    """One worker's place: the process that holds it, and how it has fared.

    Attributes:
        environment: What the process has in its environment beside ours.
        process: The process, if one was started.
        errors: What it writes before it is at work.
        failed_starts: How many processes in a row ended before they were at work.
        at_work: Whether the process has been seen at work.
        rest: Until when no other is started, time.monotonic().
    """

    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    errors: IO[bytes] | None = None
    failed_starts: int = 0
    at_work: bool = False
    rest: float = 0.0

    def reason(self) -> str:
        """Returns the last line that the process wrote until it was at work, or how it ended."""
        assert self.process is not None
        assert self.errors is not None
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.process.returncode}"

    def close(self) -> None:
        """Closes the files of the process; if it is alive, that is what ends it."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        if self.errors is not None:
            self.errors.close()


class Crew:
    """Worker processes, each of which is replaced when it dies; they end with this process, however it ends.

    Args:
        work: What each is told: the scheduler's address, the fields of distributed.Security under credentials, and a
            folder for all, which they remove if this process is killed.
        environments: What each has in its environment beside ours.
    """

    def __init__(self, work: Mapping[str, Any], environments: Sequence[Mapping[str, str]]) -> None:
        self._work = work
        self._places = [Seat(environment) for environment in environments]
        self._last_seen = time.monotonic()
        self._reason = "they do not answer"

    def tend(self, names: set[str]) -> None:
        """Starts what is missing.

        Args:
            names: Of the workers that the scheduler knows.

        Raises:
            ClusterLostError: None is there and none can be had.
        """
        now = time.monotonic()
        for index, place in enumerate(self._places):
            process = place.process
            if process is not None and process.poll() is None:
                if f"{index}-{process.pid}" in names:
                    place.at_work, place.failed_starts = True, 0
                elif place.at_work:  # the scheduler has given it up
                    process.kill()
                continue
            if process is not None:
                self._bury(place, now)
            if now >= place.rest:
                self._start(index, place)
        if names:
            self._last_seen = now
        elif now - self._last_seen > _ABSENT_SECONDS or all(each.failed_starts >= _STARTS for each in self._places):
            raise ClusterLostError(f"no worker can be started ({self._reason}): the same command goes on")

    def _bury(self, place: Seat, now: float) -> None:
        """Takes note of how a process ended."""
        reason = place.reason()
        if place.at_work or reason == worker.AT_WORK:
            place.failed_starts = 0
        else:
            place.failed_starts += 1
            place.rest, self._reason = now + place.failed_starts, reason
        place.close()
        place.process, place.at_work = None, False

    def _start(self, index: int, place: Seat) -> None:
        place.errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        try:
            with _without_interrupts():
                place.process = subprocess.Popen(
                    [sys.executable, "-P", worker.__file__],
                    stdin=subprocess.PIPE,
                    stdout=2,  # the driver's standard error: what a cell prints is no result
                    stderr=place.errors,
                    env={**os.environ, **place.environment},
                )
        except OSError as error:
            raise ClusterLostError(f"no worker can be started ({error}): the same command goes on") from None
        path = [entry or str(Path.cwd()) for entry in sys.path]
        work = {**self._work, "path": path, "name": f"{index}-{place.process.pid}"}
        assert place.process.stdin is not None
        with contextlib.suppress(OSError):  # it is dead already, which is seen next time
            place.process.stdin.write(json.dumps(work).encode() + b"\n")
            place.process.stdin.flush()

    def close(self) -> None:
        """Ends all; cells in training go on from their last checkpoint."""
        for place in self._places:
            place.close()
        deadline = time.monotonic() + _END_SECONDS
        for process in (place.process for place in self._places if place.process is not None):
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:  # it is stopped, or its start has not come so far
                process.kill()
                process.wait()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keeps Ctrl-C from processes that are started in the block, from their first instruction on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
