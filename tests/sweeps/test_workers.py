"""Workers of this machine that die, that do not start, and that outlive nobody."""

import dataclasses
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import psutil
import pytest

from superposition.sweeps import Cell, ClusterLostError, LocalWorkers, Sweep, run_sweep
from superposition.sweeps.cell import BatchCell
from superposition.sweeps.executors import crew
from tests.sweeps.napping import naps
from tests.sweeps.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Lets workers be started with a program of ours in Python's place."""

    def become(text):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(stat.S_IRWXU)
        monkeypatch.setattr(sys, "executable", str(program))

    return become


class TestStart:
    def lost(self, store, tmp_path):
        started = time.monotonic()
        with pytest.raises(ClusterLostError) as caught:
            run_sweep(Sweep(naps(tmp_path / "log", 2, 0)), store, LocalWorkers(2))
        assert time.monotonic() - started < 60
        return str(caught.value)

    def test_of_what_is_no_program(self, store, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
        assert "no worker can be started ([Errno 2] No such file or directory" in self.lost(store, tmp_path)

    def test_of_what_fails(self, store, tmp_path, python):
        python("echo Traceback >&2; echo 'ImportError: no such library' >&2; exit 3")
        expected = "no worker can be started (ImportError: no such library): the same command goes on"
        assert self.lost(store, tmp_path) == expected

    def test_of_what_fails_without_a_word(self, store, tmp_path, python):
        python("exit 3")
        assert "no worker can be started (exit status 3)" in self.lost(store, tmp_path)

    def test_of_what_never_answers(self, store, tmp_path, python, monkeypatch):
        python("exec sleep 600")
        before = psutil.Process().children()
        monkeypatch.setattr(crew, "_ABSENT_SECONDS", 2)
        assert "no worker can be started (they do not answer)" in self.lost(store, tmp_path)
        assert psutil.Process().children() == before

    def test_that_fails_once_is_tried_again(self, store, tmp_path, python):
        python(f'if test -e {tmp_path}/flag; then exec {sys.executable} "$@"; fi; touch {tmp_path}/flag; exit 3')
        assert run_sweep(Sweep(naps(tmp_path / "log", 2, 0)), store, LocalWorkers(1)).missing == ()


@final
@dataclass(frozen=True)
class Deadly(Cell):
    """Ends its process if its number is 1, and lets no other be started if it is 2."""

    measure: ClassVar[str] = "deadly"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"square": int}
    headline: ClassVar[tuple[str, ...]] = ()

    number: int

    def content(self):
        return {"number": self.number}

    def row(self, place):
        if self.number == 1:
            os._exit(1)
        if self.number == 2:
            place.folder.parents[3].joinpath("flag").touch()
            os._exit(1)
        return {"square": self.number**2}


@final
@dataclass(frozen=True)
class Together(BatchCell):
    """Is prepared together with others, in which or after which one of them ends its process."""

    measure: ClassVar[str] = "together"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"of": int}
    headline: ClassVar[tuple[str, ...]] = ()

    number: int
    dies_in: str = ""

    def content(self):
        return dataclasses.asdict(self)

    def batch(self):
        return 0

    @classmethod
    def prepare(cls, cells, places, shared):  # noqa: ARG003
        for cell, place in zip(cells, places, strict=True):
            if cell.dies_in == "common":
                os._exit(1)
            place.folder.mkdir(exist_ok=True)
            (place.folder / "common").write_text(str(len(cells)))

    def row(self, place):
        if self.dies_in:
            os._exit(1)
        common = place.folder / "common"
        return {"of": int(common.read_text()) if common.exists() else 1}


class TestDeath:
    @pytest.mark.slow
    def test_of_a_cell_is_its_own(self, store):
        cells = tuple(Deadly(number) for number in (0, 1, 3, 4, 5))
        result = run_sweep(Sweep(cells), store, LocalWorkers(2))
        assert result.missing == (cells[1],)
        assert "the process died each time it was tried" in result.errors[cells[1].key]
        assert list((store.root / "failed").iterdir()) == [store.root / "failed" / f"deadly-{cells[1].key}.json"]

    @pytest.mark.slow
    @pytest.mark.parametrize(("dies_in", "together"), [("row", 5), ("common", 1)])
    def test_of_a_batch_is_that_of_one_cell(self, store, dies_in, together):
        """The others get the rows of the batch if its common work was done, and are measured alone if it was not."""
        cells = tuple(Together(number, dies_in if number == 2 else "") for number in range(5))
        result = run_sweep(Sweep(cells), store, LocalWorkers(2))
        assert result.missing == (cells[2],)
        assert result.errors.keys() == {cells[2].key}
        rows = [store.get(cell).row for cell in cells if cell != cells[2]]
        assert {(row["together"], row["of"]) for row in rows} == {(together, together)}
        fine = dataclasses.replace(cells[2], dies_in="")
        assert run_sweep(Sweep((*cells[:2], fine)), store, LocalWorkers(1)).missing == ()

    def test_of_all_is_the_end(self, store, tmp_path, python):
        python(f'if test -e {tmp_path}/flag; then echo no more >&2; exit 3; fi; exec {sys.executable} "$@"')
        started = time.monotonic()
        with pytest.raises(ClusterLostError, match=r"no worker can be started \(no more\): the same command goes on"):
            run_sweep(Sweep((Deadly(0), Deadly(2))), store, LocalWorkers(1))
        assert time.monotonic() - started < 60
        assert not store.missing([Deadly(0)])


GRID = """
measure = "rug"
[cells]
n_features = [64, 128, 256]
ratio = { linear = [0.1, 0.5], count = 100 }
probability = [0.02, 0.05]
n_held_out = 20000
"""


@pytest.fixture
def program(tmp_path):
    """Starts a sweep of the program's on two workers."""
    started = []

    def start(folder=tmp_path):
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        (folder / "grid.toml").write_text(GRID)
        command = [sys.executable, "-m", "superposition", "sweep", "grid.toml", "--workers", "2"]
        environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def gone(processes, seconds=10):
    return psutil.wait_procs(processes, timeout=seconds)[1] == []


class TestEnd:
    def begun(self, process, tmp_path):
        until(lambda: list(tmp_path.glob("runs/done/*/*")))
        return psutil.Process(process.pid).children(recursive=True)

    @pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
    def test_on_a_signal(self, program, tmp_path, kind):
        process = program()
        workers = self.begun(process, tmp_path)
        assert len(workers) == 2
        for each in (process, *workers) if kind == signal.SIGINT else (process,):
            each.send_signal(kind)  # as a terminal does
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "interrupted with" in err
        assert "Traceback" not in err
        assert gone(workers)
        assert list((tmp_path / "tmp").iterdir()) == []

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
    def test_on_a_signal_at_any_time_of_the_start(self, program, tmp_path, kind):
        def end_after(delay, folder):
            process = program(folder)
            until((folder / "runs" / ".lock").exists)
            time.sleep(delay)
            children = psutil.Process(process.pid).children(recursive=True)
            for each in (process, *children) if kind == signal.SIGINT else (process,):
                each.send_signal(kind)
            _, err = process.communicate(timeout=60)
            # Before a cluster is begun SIGTERM does what it does to any program, and Python ends itself by SIGINT
            # if that has arrived in an import; a shell sees 130 then too.
            assert process.returncode in (130, -kind), (delay, err)
            assert process.returncode != 130 or "interrupted" in err
            assert "Traceback" not in err, (delay, err)
            assert "rror" not in err, (delay, err)
            assert gone(children)

        def end_all(name, delays):
            for delay in delays:
                end_after(delay, tmp_path / name)

        # Two stores side by side, since most of it is waiting.
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(end_all, ("a", "b"), ((0, 0.2, 0.7, 1.5, 2.5), (0.1, 0.4, 1.0, 2.0, 3.0))))

    def test_without_a_driver(self, program, tmp_path):
        process = program()
        workers = self.begun(process, tmp_path)
        process.kill()
        assert gone(workers)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        assert list((tmp_path / "tmp").iterdir()) == []
