"""Trivial cells that take a nap and log it, and the processes that the fault tests kill.

python -m tests.sweeps.napping drive STORE LOG N SECONDS [SCHEDULER]
python -m tests.sweeps.napping crew STORE LOG N SECONDS WORKERS
python -m tests.sweeps.napping scheduler PORT
python -m tests.sweeps.napping work ADDRESS
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from superposition.sweeps import Cell, LocalWorkers, RemoteScheduler, Store, Sweep, run_sweep


@final
@dataclass(frozen=True)
class Nap(Cell):
    measure: ClassVar[str] = "nap"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"square": int}
    headline: ClassVar[tuple[str, ...]] = ("square",)

    number: int
    length: float
    log: str

    def content(self):
        return {"number": self.number}

    def row(self, place):
        note(self.log, f"begin {self.number} {os.getpid()}")
        time.sleep(self.length)
        (place.folder / "data").write_bytes(bytes([self.number % 251]) * 1000)
        note(self.log, f"end {self.number} {os.getpid()}")
        if self.length < 0:
            raise ValueError("a nap cannot be negative")
        return {"square": self.number**2}


def note(log, line):
    """Appends a line, whole even if many processes do."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


def naps(log, n, seconds):
    return tuple(Nap(number, seconds, str(log)) for number in range(n))


async def _schedule(port):
    from distributed import Scheduler

    async with Scheduler(host="127.0.0.1", port=port, dashboard=False) as scheduler:
        await scheduler.finished()


async def _work(address):
    from distributed import Worker

    while True:  # for as many schedulers as there will be
        with contextlib.suppress(OSError, asyncio.TimeoutError, RuntimeError):
            async with Worker(address, nthreads=1, memory_limit=0, dashboard=False) as worker:
                await worker.finished()
        await asyncio.sleep(0.02)


def main(*arguments):
    """Does what a process of the fault tests does; returns its exit code."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    match arguments:
        case ["drive", store, log, n, seconds, *scheduler]:
            sweep = Sweep(naps(log, int(n), float(seconds)))
            result = run_sweep(sweep, Store(Path(store)), RemoteScheduler(scheduler[0]) if scheduler else None)
            return int(bool(result.missing))
        case ["crew", store, log, n, seconds, workers]:
            result = run_sweep(Sweep(naps(log, int(n), float(seconds))), Store(Path(store)), LocalWorkers(int(workers)))
            return int(bool(result.missing))
        case ["scheduler", port]:
            asyncio.run(_schedule(int(port)))
        case ["work", address]:
            asyncio.run(_work(address))
    return 0


def forked(*arguments):
    """Does it in a fork of a process that has loaded everything, and says nothing."""
    with Path(os.devnull).open("w") as sys.stderr:
        sys.exit(main(*arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
