"""Real processes killed at random moments: nothing lost, nothing damaged, nothing done twice but what was in flight."""

import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from collections import Counter

import pytest

from superposition.sweeps import LocalWorkers, RemoteScheduler, Sweep, run_sweep
from tests.sweeps import napping
from tests.sweeps.napping import naps

N_KILLS = 10
SECONDS = 0.02


class Log:
    """What the cells wrote of themselves."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def lines(self, kind):
        return [line.split()[1:] for line in self.path.read_text().splitlines() if line.startswith(kind)]

    def wait_for_more(self, n_begun):
        """Waits until a cell begins."""
        deadline = time.monotonic() + 300
        while len(self.lines("begin")) <= n_begun:
            assert time.monotonic() < deadline, "no cell begins"
            time.sleep(0.005)


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "log")


@pytest.fixture
def start(monkeypatch):
    """Starts processes and ends them with the test.

    They are forks of one that has loaded everything, which takes longer than what they are killed in.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.sweeps.napping", "torch", "pyarrow.parquet", "distributed"])
    processes = []

    def begin(*arguments):
        processes.append(context.Process(target=napping.forked, args=tuple(map(str, arguments))))
        processes[-1].start()
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.join()
        process.close()


def end(process, seconds=None):
    """Waits for a process; returns its exit code."""
    process.join(seconds)
    return process.exitcode


def address_that_is_free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def check(store, cells, log, *, at_most):
    """Every cell is stored, whole, and was begun once but for those in flight at a kill."""
    assert store.missing(cells) == []
    assert store.table(cells).column("square").to_pylist() == [cell.number**2 for cell in cells]
    for cell in cells:
        assert store.get(cell).row["square"] == cell.number**2
        assert (store.folder(cell) / "data").read_bytes() == bytes([cell.number % 251]) * 1000
    begun = Counter(int(number) for number, _ in log.lines("begin"))
    assert set(begun) == {cell.number for cell in cells}
    again = begun.total() - len(cells)
    assert 0 <= again <= at_most, f"{again} cells begun again"
    assert not list((store.root / "work").iterdir())


def test_killed_drivers(store, log, start):
    cells, moments = naps(log.path, 200, SECONDS), random.Random(1)
    for _ in range(N_KILLS):
        begun = len(log.lines("begin"))
        driver = start("drive", store.root, log.path, len(cells), SECONDS)
        log.wait_for_more(begun)
        time.sleep(moments.uniform(0, 0.3))
        driver.kill()
        assert end(driver) == -signal.SIGKILL
        assert store.missing(cells)
    assert end(start("drive", store.root, log.path, len(cells), 0), 300) == 0
    check(store, cells, log, at_most=N_KILLS)


@pytest.mark.slow
def test_killed_drivers_of_a_cluster(store, log, start):
    cells, moments, address = naps(log.path, 400, SECONDS), random.Random(2), address_that_is_free()
    start("scheduler", address.rpartition(":")[2])
    for _ in range(2):
        start("work", address)
    for _ in range(N_KILLS):
        begun = len(log.lines("begin"))
        driver = start("drive", store.root, log.path, len(cells), SECONDS, address)
        log.wait_for_more(begun)
        time.sleep(moments.uniform(0, 0.3))
        driver.kill()
        assert end(driver) == -signal.SIGKILL
        assert store.missing(cells)
    assert end(start("drive", store.root, log.path, len(cells), 0, address), 300) == 0
    check(store, cells, log, at_most=2 * N_KILLS)


@pytest.mark.slow
def test_killed_schedulers(store, log, start):
    cells, moments, address = naps(log.path, 350, SECONDS), random.Random(3), address_that_is_free()
    for _ in range(2):
        start("work", address)

    def sweep(cells):
        return run_sweep(Sweep(cells), store, RemoteScheduler(address))

    for _ in range(N_KILLS):
        scheduler = start("scheduler", address.rpartition(":")[2])
        begun = len(log.lines("begin"))

        def kill(scheduler, begun, delay):
            log.wait_for_more(begun)
            time.sleep(delay)
            scheduler.kill()

        killer = threading.Thread(target=kill, args=(scheduler, begun, moments.uniform(0, 0.3)))
        killer.start()
        with pytest.raises(ConnectionError, match=r"the scheduler went away with .* the same command goes on"):
            sweep(cells)
        killer.join()
    start("scheduler", address.rpartition(":")[2])
    assert sweep(naps(log.path, len(cells), 0)).missing == ()
    check(store, cells, log, at_most=2 * N_KILLS)


def test_killed_workers(store, log):
    cells, moments = naps(log.path, 300, SECONDS), random.Random(4)
    killed = []

    def kill():
        while len(killed) < N_KILLS:
            time.sleep(moments.uniform(0, 0.3))
            alive = {int(process) for _, process in log.lines("begin")} - set(killed)
            if alive:
                killed.append(moments.choice(sorted(alive)))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    result = run_sweep(Sweep(cells), store, LocalWorkers(2), retries=1)
    killer.join()
    assert result.missing == ()
    assert len(set(killed)) == N_KILLS
    check(store, cells, log, at_most=N_KILLS)
