"""Whatever goes wrong in a command ends in one line and an exit code of the four."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from superposition import cli
from superposition.cli import main, program

PROGRAM = [sys.executable, "-m", "superposition"]
THEORY = ["theory", "--ratio", "0.25", "--probability", "0.1"]


@pytest.fixture
def failing(monkeypatch, capsys):
    """Runs a command that raises an error; returns the exit code and what is printed."""

    def run(error):
        def fail():
            raise error

        monkeypatch.setattr(program, "_parse", lambda _: SimpleNamespace(imports=(), run=fail))
        code = main([])
        captured = capsys.readouterr()
        assert captured.out == ""
        return code, captured.err

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("`x` must be 1,\n  got 2"), 2, "`x` must be 1, got 2"),
        (FileNotFoundError(2, "No such file", "x\x1b[2J"), 2, "[Errno 2] No such file: 'x\\x1b[2J'"),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
            2,
            "'utf-8' codec can't decode byte 0xff in position 0: bad",
        ),
        (MemoryError(), 2, "out of memory (no more): choose a smaller size"),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.\nframe #0"),
            2,
            "out of memory (DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.): choose a smaller "
            "size",
        ),
        (BrokenPipeError(32, "Broken pipe"), 2, "[Errno 32] Broken pipe"),  # of another pipe than standard output
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit("stopped"), 1, "stopped"),
        *(
            (
                error,
                1,
                f"unexpected {type(error).__name__}: {error}; SUPERPOSITION_TRACEBACK=1 shows where (a fault of "
                "superposition: please report it)",
            )
            for error in (
                OverflowError("too large"),
                RecursionError("maximum recursion depth exceeded"),
                KeyError("loss"),
                RuntimeError("an illegal memory access"),
                AssertionError("no"),
                RuntimeWarning("overflow encountered in exp"),
            )
        ),
    ],
)
def test_an_error_is_one_line(failing, error, code, line):
    assert failing(error) == (code, f"superposition: {line}\n")


@pytest.mark.parametrize("error", [ValueError, OSError, MemoryError, KeyError, KeyboardInterrupt, SystemExit])
def test_a_traceback_is_shown_if_asked_for(failing, monkeypatch, error):
    monkeypatch.setenv("SUPERPOSITION_TRACEBACK", "1")
    with pytest.raises(error):
        failing(error("mine"))


@pytest.mark.parametrize("when", ["settled_streams", "answered_interrupts"])
def test_ctrl_c_before_it_can_be_answered_is_one_line_too(monkeypatch, capsys, when):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"superposition.cli.{when}", pressed)
    assert main(["theory"]) == 130
    assert capsys.readouterr().err == "superposition: interrupted\n"


def test_ctrl_c_in_code_that_was_given_as_text_ends_with_130_too():
    """Python remembers it, though it was caught, and would end itself by the signal: dataclasses are such code."""
    script = """
import sys
from superposition import cli
def pressed(arguments):
    exec("raise KeyboardInterrupt")
cli._run = pressed
sys.argv = ["superposition"]
sys.exit(cli.main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "superposition: interrupted\n")


def test_an_error_into_which_ctrl_c_was_turned_is_an_interruption(monkeypatch, capsys):
    def swallow():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None

    monkeypatch.setattr(program, "_parse", lambda _: SimpleNamespace(imports=(), run=swallow))
    assert main([]) == 130
    assert capsys.readouterr().err == "superposition: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("arguments", [THEORY, ["--help"], ["theory", "--help"], ["--version"]])
class TestOutput:
    def run(self, arguments, stdout):
        return subprocess.run([*PROGRAM, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)

    def test_a_reader_that_is_gone_is_no_error_to_speak_of(self, arguments):
        reader, writer = os.pipe()
        os.close(reader)
        done = self.run(arguments, writer)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, "")

    def test_a_full_disk_is_named(self, arguments):
        with Path("/dev/full").open("w") as full:
            done = self.run(arguments, full)
        assert done.returncode == 1
        assert done.stderr == "superposition: standard output could not be written: No space left on device\n"


def test_streams_that_are_closed():
    quiet = f"{sys.executable} -m superposition theory --probability 0.1 --ratio"
    done = subprocess.run(f"{quiet} 0.5 >&-", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(f"{quiet} 5 2>&-", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_encoding_of_the_terminal_will_do(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [*PROGRAM, *THEORY, "--quantity", b"nons\xffense\xe2\x88\x9e"]
    for arguments, code in (([*PROGRAM, *THEORY], 0), (command, 2), ([*PROGRAM, "theory", "--help"], 0)):
        done = subprocess.run(arguments, env=environment, capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"noise" in done.stdout + done.stderr


# What goes on when Ctrl-C comes, as a command: Python, a library that does not come back to it, closing that hangs.
_BUSY = {
    "python": "while True: pass",
    "library": "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
    "closing": "import time\ntry: time.sleep(100)\nfinally: time.sleep(100)",
    "swallowing": "import time\ntry: time.sleep(100)\nexcept BaseException: pass\ntime.sleep(100)",
}
_SCRIPT = """
import sys
from types import SimpleNamespace
from superposition import _interrupts, cli
from superposition.cli import program

def run():
    print("busy", flush=True)
    exec(sys.argv[1])

_interrupts._PATIENCE_SECONDS = float(sys.argv[2])
program._parse = lambda _: SimpleNamespace(imports=(), run=run)
sys.argv[1:], busy = [], sys.argv[1:]
sys.argv[1:] = busy
sys.exit(cli.main())
"""


class TestCtrlC:
    def start(self, busy, patience):
        command = [sys.executable, "-c", _SCRIPT, _BUSY[busy], str(patience)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "busy\n"
        time.sleep(0.2)  # until it is in the middle of it
        return process

    def end(self, process):
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert err.splitlines()[-1:] == ["superposition: interrupted"]
        assert "Traceback" not in err

    def test_once(self):
        process = self.start("python", 60)
        process.send_signal(signal.SIGINT)
        self.end(process)

    @pytest.mark.parametrize("busy", ["library", "closing", "swallowing"])
    def test_twice_ends_at_once(self, busy):
        process = self.start(busy, 60)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        self.end(process)

    @pytest.mark.parametrize("busy", ["library", "closing", "swallowing"])
    def test_once_and_no_answer(self, busy):
        process = self.start(busy, 0.5)
        process.send_signal(signal.SIGINT)
        self.end(process)

    def test_while_a_command_loads(self):
        """At any moment after the program has begun, and not only while it computes."""
        script = "import sys; from superposition.cli import main; print('up', flush=True); sys.exit(main())"
        arguments = ["train", "--n-features", "4096", "--ratio", "0.5", "--probability", "0.1"]
        for delay in (0.05, 0.1, 0.3, 0.8, 1.5):
            command = [sys.executable, "-c", script, *arguments]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "up\n"
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            self.end(process)

    def test_after_the_work(self):
        """What libraries do when a process ends may take long, and is no longer the work."""
        script = """
import atexit, signal, sys, time
from superposition import cli
cli._run = lambda _: 0
atexit.register(lambda: (print("busy", flush=True), time.sleep(60)))
sys.argv = ["superposition"]
sys.exit(cli.main())
"""
        process = subprocess.Popen([sys.executable, "-c", script], stdout=-1, stderr=-1, text=True)
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGINT)
        self.end(process)

    def test_python_closes_nothing_where_ctrl_c_would_not_be_answered(self):
        script = """
import sys
from superposition import cli
class Slow:
    def __del__(self): print("closed by Python")
slow = Slow()
cli._run = lambda _: print("done") or 0
sys.argv = ["superposition"]
sys.exit(cli.main())
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_every_exit_code_has_a_name():
    assert (cli.DONE, cli.FAILED, cli.BAD_INPUT, cli.INTERRUPTED) == (0, 1, 2, 130)
