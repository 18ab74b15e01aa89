"""A Dask cluster of this machine, as a user starts one: a scheduler, and workers under a nanny."""

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Self

from tests.torment.processes import Running, started


class Cluster:
    """A scheduler and two workers whose nannies are one process; all end with the block.

    Args:
        folder: Where its address is written, and what its processes say.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "address").write_text(f"tcp://127.0.0.1:{self._port}")
        arguments = ["-m", "tests.sweeps.napping", "scheduler", str(self._port)]
        self._temporary = self._folder / "temporary-of-dask"
        self._temporary.mkdir()
        self._scheduler = started(arguments, self._folder / "scheduler", TMPDIR=str(self._temporary))
        self._nannies = self._start()
        return self

    def __exit__(self, *error: object) -> None:
        for running in (self._nannies, self._scheduler):
            _end(running)

    def _start(self) -> Running:
        address = f"tcp://127.0.0.1:{self._port}"
        options = ["--nthreads", "1", "--nworkers", "2", "--no-dashboard", "--memory-limit", "0"]
        return started(
            ["-m", "distributed.cli.dask_worker", address, *options, "--local-directory", str(self._temporary)],
            self._folder / "workers",
            TMPDIR=str(self._temporary),
        )

    def restart_nannies(self) -> None:
        """Starts the nannies again if they are gone, as they are after deaths of workers that they take for their own.

        A sweep waits for workers of a foreign cluster for as long as there are none.
        """
        if self._nannies.ended() is not None:
            self._nannies = self._start()

    def kill_nannies(self) -> None:
        """Kills the process of the nannies, with which their workers end, and starts another."""
        _end(self._nannies)
        self._nannies = self._start()

    def workers(self) -> Running:
        """Returns what holds the workers."""
        return self._nannies


def _end(running: Running) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGKILL)
    running.wait(float("inf"))
    running.strays()
