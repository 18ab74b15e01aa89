"""Processes that run the program: forked from this one, which has loaded everything, or started from nothing."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

_GRACE = 20.0


@dataclass(frozen=True)
class Running:
    """A process that leads a session of its own, and where it prints."""

    pid: int
    log: Path

    def ended(self) -> int | None:
        """Returns the exit code, or minus the signal, or None while it runs."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self, until: float) -> int | None:
        """Waits until a moment of the monotonic clock; returns the exit code or None."""
        while (code := self.ended()) is None and time.monotonic() < until:
            time.sleep(0.002)
        return code

    def members(self) -> list[psutil.Process]:
        """Returns the processes of its session, without itself."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                is_member = process.pid != self.pid and os.getsid(process.pid) == self.pid
                if is_member and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def strays(self) -> list[str]:
        """Returns what still runs of its session after a time of grace, and kills it."""
        until = time.monotonic() + _GRACE
        while (left := self.members()) and time.monotonic() < until:
            time.sleep(0.05)
        names = []
        for process in left:
            with contextlib.suppress(psutil.Error):
                names.append(" ".join(process.cmdline())[:100])
                process.kill()
        return names


def forked(run: Callable[[], int], log: Path) -> Running:
    """Runs a function in a fork of this process and returns at once; its result is the exit code.

    What takes seconds in a fresh process, the imports, has been done: signals hit the work.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return Running(pid, log)
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _print_to(log)
        code = run()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        if isinstance(error, KeyboardInterrupt) and not any(frame.name == "main" for frame in frames):
            code = 130  # before the program began
        else:
            traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _print_to(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)


def started(arguments: list[str], log: Path, **environment: str) -> Running:
    """Starts `python` with arguments from nothing and returns at once."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    return Running(process.pid, log)
