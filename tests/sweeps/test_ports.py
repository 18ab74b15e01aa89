"""What listens during a sweep, where, and to whom."""

import asyncio
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster, Scheduler, Security, SpecCluster
from distributed.comm import connect

from superposition._progress import Display
from superposition.sweeps import LocalWorkers, Plan, Store, Sweep
from tests.sweeps.napping import naps
from tests.sweeps.waiting import until

ROOT = Path(__file__).parents[2]
LOOPBACK = ("127.0.0.1", "::1")


def tree(pid):
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def listening(processes):
    """Address and port of each socket on which the processes listen."""
    found = set()
    for process in processes:
        sockets = process.net_connections(kind="inet")
        found |= {(each.laddr.ip, each.laddr.port) for each in sockets if each.status == psutil.CONN_LISTEN}
    return found


def answers(port, protocol, **options):
    """Whether who listens there does what a Dask client asks."""

    async def ask():
        comm = await connect(f"{protocol}://127.0.0.1:{port}", timeout=3, **options)
        await comm.write({"op": "identity", "reply": True})
        reply = await asyncio.wait_for(comm.read(), 3)
        await comm.close()
        return reply

    try:
        reply = asyncio.run(ask())
    except (TimeoutError, OSError):
        return False
    return reply["type"] in ("Scheduler", "Worker")


@pytest.fixture
def driver(tmp_path):
    """A sweep on two workers, both at work."""
    log = tmp_path / "log"
    log.touch()
    command = [sys.executable, "-m", "tests.sweeps.napping", "crew", *map(str, (tmp_path / "runs", log, 150, 0.2, 2))]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    until(lambda: len(set(re.findall(r"begin \d+ (\d+)\n", log.read_text()))) == 2)
    yield process
    process.kill()
    process.wait()


def test_a_local_sweep_listens_on_loopback_and_to_its_own_only(driver):
    processes = tree(driver.pid)
    assert len(processes) == 3
    found = listening(processes)
    assert {address for address, _ in found} <= set(LOOPBACK)
    assert len(found) == 3, "the scheduler and the workers one port each, and nothing beside"
    strangers = Security.temporary().get_connection_args("client")
    for _, port in found:
        assert not answers(port, "tcp")
        assert not answers(port, "tls", **strangers)
    for process in processes:  # what all users of the machine can read, or other programs of this one
        assert not any("PRIVATE KEY" in text for text in (*process.cmdline(), *process.environ().values()))
    assert driver.wait(120) == 0, "and is not disturbed by who knocks"


def test_the_same_look_sees_an_open_cluster():
    before = listening(tree(None))
    options = {"processes": False, "protocol": "tcp", "host": "0.0.0.0", "dashboard_address": ":0"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster:
        found = listening(tree(None)) - before
        assert {address for address, _ in found} - set(LOOPBACK)
        assert answers(int(cluster.scheduler_address.rpartition(":")[2]), "tcp")


def test_the_same_question_is_answered_to_who_has_the_credentials():
    security = Security.temporary()
    options = {"host": "127.0.0.1", "protocol": "tls", "security": security, "dashboard_address": "127.0.0.1:0"}
    with SpecCluster(scheduler={"cls": Scheduler, "options": options}, security=security) as cluster:
        port = int(cluster.scheduler_address.rpartition(":")[2])
        assert answers(port, "tls", **security.get_connection_args("client"))
        assert not answers(port, "tls", **Security.temporary().get_connection_args("client"))


def test_a_dashboard_that_was_asked_for(tmp_path, capsys):
    before = listening(tree(None))
    store = Store(tmp_path / "runs")
    store.root.mkdir()
    units = Plan.of(Sweep(naps(tmp_path / "log", 1, 0.1)), store).units
    with Display() as display:
        for _ in LocalWorkers(1, dashboard=True).run(units, display):  # in the loop the cluster is still there
            found = listening(tree(None)) - before
            (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dashboard: ")]
            with urllib.request.urlopen(line.removeprefix("dashboard: "), timeout=20) as page:
                assert page.status == 200
    assert len(found) == 3, "the scheduler, its dashboard and the worker"
    assert {address for address, _ in found} <= set(LOOPBACK)


def test_a_dashboard_that_cannot_be_drawn(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"`dashboard` needs bokeh: pip install 'superposition\[dashboard\]'"):
        LocalWorkers(1, dashboard=True)
