"""Runs a case, in this process or in one of its own, under a limit of time."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.case import Case, Outcome
from tests.fuzz.library import BY_NAME
from tests.fuzz.oracle import findings
from tests.fuzz.sandbox import differences, sandbox, snapshot

SECONDS = 30  # that a case may take, on a machine that does nothing else
# Which Python shows by default to the developer of the code alone.
_SILENT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Overtime(BaseException):
    """A case took longer than it may."""


class Capture:
    """Files in the place of standard output and error; the same ones for all cases, since loggers keep them."""

    def __init__(self) -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        self._streams = [
            io.TextIOWrapper(os.fdopen(os.dup(file.fileno()), "wb"), "utf-8", errors, write_through=True)
            for file, errors in zip(self._files, ("strict", "backslashreplace"), strict=True)
        ]

    @contextlib.contextmanager
    def __call__(self, outcome: Outcome) -> Iterator[None]:
        """Takes what is printed in the block, by this process and its children."""
        for file in self._files:
            file.seek(0)
            file.truncate()
        kept, streams = [os.dup(1), os.dup(2)], (sys.stdout, sys.stderr)
        for stream in streams:
            stream.flush()
        for number, file in zip((1, 2), self._files, strict=True):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = self._streams
        try:
            yield
        finally:
            for stream in self._streams:
                stream.flush()
            sys.stdout, sys.stderr = streams
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            outcome.stdout, outcome.stderr = map(_text, self._files)


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


class Runner:
    """Runs cases one after the other in a folder of their own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._capture = Capture()
        self._settings = tempfile.mkdtemp(prefix="superposition-settings-")  # of Matplotlib, whose fonts take seconds

    def __call__(self, case: Case) -> Outcome:
        """Returns what became of a case."""
        outcome = Outcome()
        with sandbox(case, self._root) as here:
            before = snapshot(self._root)
            started = time.monotonic()
            if case.apart and not case.command.startswith("library:") and not _unspeakable(case):
                self._apart(case, here, outcome)
            else:
                self._here(case, here, outcome)
            outcome.seconds = time.monotonic() - started
            if outcome.seconds > SECONDS:
                outcome.exit_code = None
            outcome.changes = differences(before, snapshot(self._root))
            outcome.findings = findings(case, outcome, here)
        return outcome

    def _environment(self, case: Case) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "SUPERPOSITION_TRACEBACK"},
            "HOME": str(self._root / "home"),
            "TMPDIR": str(self._root / "temporary"),
            "MPLCONFIGDIR": self._settings,
            **dict(case.environment),
        }

    def _apart(self, case: Case, here: Path, outcome: Outcome) -> None:
        command = [sys.executable, "-m", "superposition", *case.arguments]
        process = subprocess.Popen(
            [name.encode("utf-8", "surrogateescape") for name in command],
            cwd=here,
            env=self._environment(case),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
        else:
            outcome.exit_code = process.returncode
        outcome.stdout, outcome.stderr = (text.decode("utf-8", "replace") for text in (stdout, stderr))

    def _here(self, case: Case, here: Path, outcome: Outcome) -> None:
        folder, environment = Path.cwd(), dict(os.environ)
        handler = signal.signal(signal.SIGALRM, _overtime)
        os.chdir(here)
        os.environ.update(self._environment(case))
        tempfile.tempdir = None
        try:
            with warnings.catch_warnings(record=True) as seen, self._capture(outcome):
                warnings.simplefilter("always")
                # A second one, for whoever takes the first for an error of his own.
                signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)
                try:
                    _call(case, outcome)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
        except Overtime:
            pass
        finally:
            signal.signal(signal.SIGALRM, handler)
            os.environ.clear()
            os.environ.update(environment)
            tempfile.tempdir = None
            os.chdir(folder)
        outcome.warnings = [
            f"{each.category.__name__}: {each.message}" for each in seen if not issubclass(each.category, _SILENT)
        ]


def _call(case: Case, outcome: Outcome) -> None:
    from superposition.cli import main

    try:
        if case.command in BY_NAME:
            BY_NAME[case.command](Path(case.arguments[1]))
            outcome.exit_code = 0
        else:
            outcome.exit_code = main(list(case.arguments))
    except SystemExit as stop:
        outcome.exit_code = int(stop.code or 0) if not isinstance(stop.code, str) else 1
    except Overtime:
        raise
    except (ValueError, OSError) as error:
        outcome.exit_code = 2
        if case.command not in BY_NAME or not str(error).strip():
            outcome.error = _described(error)
    except BaseException as error:
        outcome.exit_code = 1
        outcome.error = _described(error)


def _described(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)
    lines = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in where[-6:]]
    return f"{type(error).__name__}: {error} | {' > '.join(lines)}"


def _overtime(*_: Any) -> None:
    raise Overtime


def _unspeakable(case: Case) -> bool:
    """Whether the system cannot hand an argument to a process."""
    words = [*case.arguments, *(value for pair in case.environment for value in pair)]
    return any("\x00" in word or re.search("[\ud800-\udc7f\udd00-\udfff]", word) for word in words) or any(
        len(word) > 100_000 for word in words
    )
