"""The command line: where it begins, and the one place where an error becomes a message and an exit code."""

import atexit
import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from superposition._interrupts import Interrupts, answered_interrupts, end_at_once
from superposition._text import complain, settled_streams
from superposition.cli.exit_codes import BAD_INPUT, DONE, FAILED, INTERRUPTED

# Of a failed allocation torch says so in the words of its RuntimeError only.
_NO_MEMORY = ("not enough memory", "out of memory", "can't allocate memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code: 0 done, 1 failed, 2 bad input, 130 interrupted.

    Whatever goes wrong ends in one line on standard error. Set SUPERPOSITION_TRACEBACK=1 to see where it came from.

    Args:
        arguments: The words after the program's name; those of this process if not given.
    """
    code = _main(arguments)
    if arguments is None:
        # Python takes half a second to close what torch loaded, in which Ctrl-C would not be answered, and ends itself
        # by SIGINT where it has once seen a KeyboardInterrupt leave code that was given as text, as that of dataclasses
        # is, whoever caught it then.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)
    return code


def _main(arguments: Sequence[str] | None) -> int:
    then = signal.default_int_handler if arguments is not None else lambda *_: end_at_once()
    try:
        with answered_interrupts(then) as interrupts, settled_streams():
            try:
                return _run(list(sys.argv[1:] if arguments is None else arguments))
            except BaseException as error:
                if os.environ.get("SUPERPOSITION_TRACEBACK") == "1":
                    raise
                code, message = _explained(error, interrupts)
                if message:
                    complain(f"superposition: {message}")
                return code
    except KeyboardInterrupt:  # in the moment before it could be answered, or in the one after
        if os.environ.get("SUPERPOSITION_TRACEBACK") == "1":
            raise
        complain("superposition: interrupted")
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    # Read when torch loads. Threads that spin for long while they wait make a step up to ten times slower as
    # soon as another process wants a core; threads that never spin make a small step three times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Read when Matplotlib loads, which refuses what it does not know; pictures go to files, whatever shows others.
    os.environ["MPLBACKEND"] = "agg"
    # Here and not at the top of the file: Ctrl-C is answered while it loads.
    from superposition.cli.program import run

    try:
        code = run(arguments)
    except SystemExit as stop:  # of --help and --version
        if stop.code:
            raise
        code = DONE
    if sys.stdout is not None:
        sys.stdout.flush()  # or a disk that is full and a reader that is gone are found out when nobody can say so
    return code


def _explained(error: BaseException, interrupts: Interrupts) -> tuple[int, str]:
    """Returns the exit code and the message for what was raised."""
    if isinstance(error, KeyboardInterrupt) or interrupts.arrived:  # which some libraries turn into another error
        return INTERRUPTED, "interrupted"
    if isinstance(error, SystemExit):  # of rich, when the reader of standard output is gone
        return (error.code, "") if isinstance(error.code, int) else (FAILED, str(error.code or ""))
    if isinstance(error, OSError) and _is_of_output(error):
        reason = error.strerror or str(error)
        # A reader that is gone has what it wanted, as `head` has.
        return FAILED, "" if isinstance(error, BrokenPipeError) else f"standard output could not be written: {reason}"
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(each in text for each in _NO_MEMORY)):
        return BAD_INPUT, f"out of memory ({text.splitlines()[0] if text else 'no more'}): choose a smaller size"
    if isinstance(error, (ValueError, OSError)):
        return BAD_INPUT, text
    fault = "SUPERPOSITION_TRACEBACK=1 shows where (a fault of superposition: please report it)"
    return FAILED, f"unexpected {type(error).__name__}: {text}; {fault}"


def _is_of_output(error: OSError) -> bool:
    """Whether it was standard output that could not be written; what is left of it is then dropped."""
    if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO) or error.filename is not None or sys.stdout is None:
        return False  # of a file, which has a name
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):  # it is no file
        return False
    if error.errno == errno.EPIPE and not _reader_is_gone(output):
        return False  # of a pipe to another process
    # Or Python tries again when it ends, and complains.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), output)
    return True


def _reader_is_gone(file: int) -> bool:
    looks = select.poll()
    looks.register(file, 0)  # errors are reported in any case
    return bool(looks.poll(0))
