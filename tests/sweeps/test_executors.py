"""The same rows from every executor, bit for bit; errors recorded, tried again, and explained."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import psutil
import pytest
import torch

from superposition._progress import Display
from superposition.sweeps import (
    Cell,
    ClusterLostError,
    Credentials,
    Embedded,
    LocalWorkers,
    Plan,
    RemoteScheduler,
    RugCell,
    SlurmJobs,
    Store,
    Sweep,
    TrainedCell,
    run_sweep,
)
from superposition.sweeps.executors import remote
from tests.sweeps.conftest import CELL
from tests.sweeps.napping import naps
from tests.sweeps.test_ports import answers

# Batches of two and of one, a model large enough to go alone and to be split over threads, and a rug.
MIXED = (
    *(dataclasses.replace(CELL, n_hidden=m, probability=p) for m, p in ((2, 0.1), (4, 0.1), (4, 0.2))),
    TrainedCell(n_features=600, n_hidden=150, probability=0.3, n_steps=3, n_held_out=500),
    RugCell(n_features=256, n_hidden=32, probability=0.05, n_held_out=500),
)
# What differs from run to run; the commit does if the working tree is edited meanwhile.
PASSING = ("seconds", "finished", "commit")


def contents(store, cell):
    """Every number and tensor of a stored cell."""
    row = {name: value for name, value in store.get(cell).row.items() if name not in PASSING}
    tensors = {path.name: path.read_bytes() for path in store.folder(cell).rglob("*.safetensors")}
    assert tensors or isinstance(cell, RugCell)
    return row, tensors


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("embedded") / "runs")
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # that of the sweep counts
    try:
        assert run_sweep(Sweep(MIXED), store, Embedded()).missing == ()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    return store


@pytest.fixture(scope="module")
def scheduler():
    """A Dask scheduler with one worker in this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


def test_rows_of_local_workers_are_those_of_this_process(embedded, tmp_path):
    store = Store(tmp_path / "runs")
    assert run_sweep(Sweep(MIXED), store, LocalWorkers(2)).missing == ()
    for cell in MIXED:
        assert contents(store, cell) == contents(embedded, cell)


def test_rows_of_a_scheduler_are_those_of_this_process(embedded, tmp_path, scheduler):
    store = Store(tmp_path / "runs")
    assert run_sweep(Sweep(MIXED), store, RemoteScheduler(scheduler)).missing == ()
    for cell in MIXED:
        assert contents(store, cell) == contents(embedded, cell)


def test_the_number_of_threads_is_the_sweeps(tmp_path):
    store = Store(tmp_path / "runs")
    run_sweep(Sweep(MIXED[:1], threads=2), store)
    assert store.get(MIXED[0]).row["threads"] == 2


@final
@dataclass(frozen=True)
class Moody(Cell):
    """Raises an error until its file is there."""

    measure: ClassVar[str] = "moody"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"threads_here": int}
    headline: ClassVar[tuple[str, ...]] = ()

    number: int
    file: str | None = None

    def content(self):
        return {"number": self.number}

    def row(self, place):  # noqa: ARG002
        if self.file is not None and not Path(self.file).exists():
            Path(self.file).touch()
            raise RuntimeError("in a mood\nof two lines")
        return {"threads_here": torch.get_num_threads()}


@pytest.fixture
def moods(tmp_path):
    return (Moody(0), Moody(1, str(tmp_path / "flag")), Moody(2))


@pytest.mark.parametrize("executor", [Embedded(), LocalWorkers(1)])
def test_a_device_that_is_not_there_is_refused_at_once(store, moods, executor):
    with pytest.raises(ValueError, match="`device` must be one that is there, got 'nowhere'"):
        run_sweep(Sweep(moods, device="nowhere"), store, executor)
    assert not store.root.exists()


class TestErrors:
    def test_are_recorded_and_do_not_stop_the_others(self, store, moods, complete):
        result = complete(store, *moods)
        assert (result.missing, result.measured) == (moods[1:2], 2)
        assert result.errors == {moods[1].key: "RuntimeError: in a mood of two lines"}
        assert store.failure(moods[1]) == "RuntimeError: in a mood of two lines"
        recorded = (store.root / "failed" / f"moody-{moods[1].key}.json").read_text()
        assert "Traceback" in recorded
        assert complete(store, *moods).missing == ()
        assert store.failure(moods[1]) is None

    def test_are_tried_again(self, store, moods, complete):
        result = complete(store, *moods, retries=1)
        assert (result.missing, result.errors, result.measured) == ((), {}, 3)

    def test_of_a_worker_are_recorded_too(self, store, moods, scheduler):
        result = run_sweep(Sweep(moods), store, RemoteScheduler(scheduler))
        assert result.errors == {moods[1].key: "RuntimeError: in a mood of two lines"}
        assert run_sweep(Sweep(moods), store, RemoteScheduler(scheduler)).missing == ()
        assert {store.get(cell).row["threads_here"] for cell in moods} == {1}

    def test_of_a_batch_are_those_of_all_its_cells(self, store, complete, monkeypatch):
        monkeypatch.setattr("superposition.training.train_many", lambda *_, **__: 1 / 0)
        cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4)]
        result = complete(store, *cells, MIXED[-1])
        assert result.missing == tuple(cells)
        assert set(result.errors.values()) == {"ZeroDivisionError: division by zero"}
        monkeypatch.undo()
        assert complete(store, *cells).missing == ()

    def test_of_one_row_are_not_those_of_its_batch(self, store, complete, monkeypatch):
        from superposition.sweeps import trained

        measure, calls = trained.measure_symmetry, []

        def fails_once(*arguments):
            calls.append(arguments)
            if len(calls) == 1:
                raise OSError("no file")
            return measure(*arguments)

        monkeypatch.setattr(trained, "measure_symmetry", fails_once)
        cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4)]
        assert complete(store, *cells).missing == (cells[0],)
        assert complete(store, *cells).missing == ()
        assert {store.get(cell).row["together"] for cell in cells} == {2}

    def test_of_a_row_that_is_no_row(self, store, complete, monkeypatch):
        monkeypatch.setattr(Moody, "row", lambda *_: {"what": object()})
        assert complete(store, Moody(0)).errors.keys() == {Moody(0).key}


class TestClusters:
    def test_that_is_not_there(self, store, monkeypatch, tmp_path):
        monkeypatch.setattr(remote, "_SECONDS", 0.2)
        with pytest.raises(ConnectionError, match=r"a Dask scheduler must be at tcp://127.0.0.1:9, but none answers"):
            run_sweep(Sweep(naps("log", 1, 0)), store, RemoteScheduler("tcp://127.0.0.1:9"))
        with pytest.raises(OSError, match="a scheduler file must be at"):
            run_sweep(Sweep(naps("log", 1, 0)), store, RemoteScheduler(tmp_path / "none.json"))

    @pytest.mark.parametrize("where", ["nonsense", "tcp://10.0.0.1", "bogus://10.0.0.1:8786", ""])
    def test_that_can_be_nowhere(self, where):
        with pytest.raises(ValueError, match=r"`scheduler` must be an address such as tls://10\.0\.0\.1:8786, got"):
            RemoteScheduler(where)

    @pytest.mark.parametrize("where", ["10.0.0.1:8786", "tcp://[::1]:8786"])
    def test_that_may_be_somewhere(self, where):
        assert RemoteScheduler(where).where == where

    def test_scheduler_file(self, store, scheduler, tmp_path, moods):
        path = tmp_path / "scheduler.json"
        path.write_text(json.dumps({"address": scheduler}))
        assert run_sweep(Sweep(moods[:1]), store, RemoteScheduler(path)).missing == ()

    def test_workers_of_two_threads_are_refused(self, store, moods):
        from distributed import LocalCluster

        options = {"threads_per_worker": 2, "processes": False, "protocol": "tcp", "dashboard_address": ":0"}
        with (
            LocalCluster(n_workers=1, **options) as cluster,
            pytest.raises(ValueError, match="workers must have one thread, got 2: start them with --nthreads 1"),
        ):
            run_sweep(Sweep(moods), store, RemoteScheduler(cluster.scheduler_address))

    def test_workers_of_another_version_are_refused(self, store, moods, scheduler, monkeypatch):
        from superposition.sweeps.executors import cluster

        versions = iter(("1.0", "2.0"))
        monkeypatch.setattr(cluster, "version", lambda _: next(versions))
        with pytest.raises(ValueError, match=r"workers must run superposition 1\.0, got 2\.0: install the same"):
            run_sweep(Sweep(moods[:1]), store, RemoteScheduler(scheduler))

    def test_each_worker_has_one_gpu(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert LocalWorkers(2).environments("cuda") == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
        assert LocalWorkers(2).environments("cuda") == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}]
        assert LocalWorkers(3).environments("cpu") == [{}, {}, {}]
        with pytest.raises(ValueError, match="`workers` must be at most one a GPU, 2 here, got 3"):
            LocalWorkers(3).environments("cuda")

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_rows_of_a_gpu_say_so(self, store):
        assert run_sweep(Sweep(MIXED, device="cuda"), store, LocalWorkers(1)).missing == ()
        assert store.get(MIXED[0]).row["device"].startswith("cuda (")

    @pytest.mark.parametrize("count", [0, -1])
    def test_no_workers_are_refused(self, count):
        with pytest.raises(ValueError, match="`workers` must be"):
            LocalWorkers(count)


SBATCH = """#!/bin/sh
cp "$1" {folder}/job.sh
setsid sh {folder}/job.sh > {folder}/job.log 2>&1 &
echo "Submitted batch job $!"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Lets a shell script be sbatch; by default one that starts the job here."""

    def become(sbatch):
        for name, text in {"sbatch": sbatch, "scancel": "#!/bin/sh\nkill -- -$1\n"}.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(stat.S_IRWXU)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    become(SBATCH.format(folder=tmp_path))
    return become


JOBS = SlurmJobs(jobs=1, memory="2GB", walltime="00:10:00", queue="long", interface="lo", directives=("--qos=low",))


@pytest.fixture
def credentials(tmp_path):
    """Files of credentials, as an administrator hands them out."""
    from distributed import Security

    def make(name):
        made, paths = Security.temporary(), []
        for part, text in (("ca", made.tls_ca_file), ("cert", made.tls_client_cert), ("key", made.tls_client_key)):
            paths.append(tmp_path / f"{name}-{part}.pem")
            paths[-1].write_text(text)
        return paths

    return make


class TestTls:
    @pytest.fixture
    def protected(self, credentials):
        """A scheduler with one worker in this process, which speak to those only who hold the credentials."""
        from distributed import LocalCluster, Security

        ca_file, cert, key = map(str, credentials("ours"))
        names = {
            f"tls_{role}_{part}": path
            for role in ("client", "scheduler", "worker")
            for part, path in (("cert", cert), ("key", key))
        }
        options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
        security = Security(require_encryption=True, tls_ca_file=ca_file, **names)
        with LocalCluster(protocol="tls", security=security, **options) as cluster:
            yield cluster.scheduler_address, Credentials(Path(ca_file), Path(cert), Path(key))

    def test_of_a_scheduler(self, store, protected, moods, tmp_path):
        address, ours = protected
        assert run_sweep(Sweep(moods[:1]), store, RemoteScheduler(address, ours)).missing == ()
        assert run_sweep(Sweep(moods[2:]), store, RemoteScheduler(address[6:], ours)).missing == ()
        path = tmp_path / "scheduler.json"
        path.write_text(json.dumps({"address": address}))
        assert run_sweep(Sweep((Moody(3),)), store, RemoteScheduler(path, ours)).missing == ()

    def test_refuses_strangers(self, store, protected, moods, credentials, monkeypatch):
        address, _ = protected
        monkeypatch.setattr(remote, "_SECONDS", 1)
        theirs = Credentials(*credentials("theirs"))
        with pytest.raises(ConnectionError, match=r"a Dask scheduler must be at tls://.*, but none answers"):
            run_sweep(Sweep(moods), store, RemoteScheduler(address, theirs))
        with pytest.raises(ConnectionError, match=r"a Dask scheduler must be at tcp://.*, but none answers"):
            run_sweep(Sweep(moods), store, RemoteScheduler(address.replace("tls", "tcp")))

    def test_needs_credentials(self, credentials, tmp_path, store, moods):
        with pytest.raises(ValueError, match=r"tls://10.0.0.1:8786 needs --tls-ca-file, --tls-cert and --tls-key"):
            RemoteScheduler("tls://10.0.0.1:8786")
        with pytest.raises(ValueError, match=r"must be a tls:// address to go with --tls-ca-file, .* got tcp://10"):
            RemoteScheduler("tcp://10.0.0.1:8786", Credentials(*credentials("ours")))
        path = tmp_path / "scheduler.json"
        path.write_text('{"address": "tls://10.0.0.1:8786"}')
        with pytest.raises(ValueError, match=r"tls://10.0.0.1:8786 needs --tls-ca-file"):
            run_sweep(Sweep(moods), store, RemoteScheduler(path))

    def test_files_that_are_none(self, credentials, tmp_path):
        ca_file, cert, key = credentials("ours")
        with pytest.raises(ValueError, match=r"`tls_cert` must be a readable file, got .*none\.pem: .* is not there"):
            Credentials(ca_file, tmp_path / "none.pem", key)
        (tmp_path / "text.pem").write_text("no certificate")
        for files in ((tmp_path / "text.pem", cert, key), (ca_file, cert, cert), (ca_file, cert, credentials("b")[2])):
            with pytest.raises(
                ValueError, match="must be a certificate authority, a certificate and its key, all in PEM"
            ):
                Credentials(*files)


@pytest.mark.parametrize("text", ["{}", '{"address": "nonsense"}', '{"address": null}'])
def test_scheduler_files_without_an_address(store, moods, tmp_path, text):
    path = tmp_path / "scheduler.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="must hold the address of a scheduler, got"):
        run_sweep(Sweep(moods), store, RemoteScheduler(path))


@pytest.mark.slow
def test_slurm_jobs(tmp_path, embedded, slurm):  # noqa: ARG001
    store = Store(tmp_path / "runs")
    handler = signal.getsignal(signal.SIGINT)
    units = Plan.of(Sweep(MIXED), store).units
    store.root.mkdir()
    with Display() as display:
        for _ in JOBS.run(units, display):  # in the loop the job is still there
            job = next(each for each in psutil.process_iter() if "distributed.cli.dask_worker" in _words(each))
            script = (tmp_path / "job.sh").read_text()
            files = [Path(name) for name in re.findall(r"--tls-\S+ (\S+)", script)]
            assert len(files) == 3
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
            assert {stat.S_IMODE(path.parent.stat().st_mode) for path in files} == {0o700}
            for process in (job, *job.children(recursive=True)):
                for each in process.net_connections(kind="inet"):
                    if each.status == psutil.CONN_LISTEN:
                        assert not answers(each.laddr.port, "tcp")
    assert signal.getsignal(signal.SIGINT) == handler
    for cell in MIXED:
        assert contents(store, cell) == contents(embedded, cell)
    for line in ("#SBATCH -p long", "#SBATCH --qos=low", "#SBATCH --cpus-per-task=1", "--nthreads 1", " tls://"):
        assert line in script
    assert not any(path.exists() for path in files)


def _words(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


class TestSlurm:
    def test_that_refuses_a_job(self, store, moods, slurm):
        slurm("#!/bin/sh\necho 'sbatch: error: invalid account' >&2; exit 1\n")
        with pytest.raises(ClusterLostError, match=r"no job can be submitted \(sbatch: error: invalid account\)"):
            run_sweep(Sweep(moods), store, JOBS)

    def test_folders_that_no_command_can_name(self, moods, slurm, tmp_path):  # noqa: ARG002
        with pytest.raises(
            ValueError, match=r"`shared_temp_directory` must be a path of plain characters, got '.*/a b"
        ):
            run_sweep(Sweep(moods), Store(tmp_path / "a b"), JOBS)

    def test_that_is_not_there(self, store, moods, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(ValueError, match="Slurm needs sbatch on the path"):
            run_sweep(Sweep(moods), store, JOBS)


FULL = """
import resource, sys
from superposition.sweeps import Store, Sweep, run_sweep
from tests.sweeps import napping
row = napping.Nap.row
def fill(self, place):
    found = row(self, place)
    if self.number == 5:  # from now on no file may be longer than this: what a full disk does to a write
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    return found
napping.Nap.row = fill
run_sweep(Sweep(napping.naps(sys.argv[2], 20, 0)), Store(sys.argv[1]))
"""


def test_a_full_disk_stops_the_sweep_and_damages_nothing(store, tmp_path):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(store.root), str(tmp_path / "log")], capture_output=True, text=True, cwd=root
    )
    assert done.returncode != 0
    assert "record.json could not be written (File too large): free space" in done.stderr
    cells = naps(tmp_path / "log", 20, 0)
    assert len(store.missing(cells)) == 15
    assert [store.get(cell).row["square"] for cell in cells[:5]] == [0, 1, 4, 9, 16]
    assert run_sweep(Sweep(cells), store).measured == 15


class TestPlan:
    def test_batches_share_all_but_their_width(self, store):
        plan = Plan.of(Sweep(MIXED, threads=3, device="cuda"), store)
        assert [len(unit.cells) for unit in plan.units] == [2, 1, 1, 1]
        assert {(unit.threads, unit.device) for unit in plan.units} == {(3, "cuda")}
        assert (plan.done, plan.left) == (0, 5)

    def test_leaves_out_what_is_stored_and_counts_repetitions_once(self, store, complete):
        complete(store, MIXED[0])
        plan = Plan.of(Sweep((*MIXED, *MIXED)), store)
        assert (plan.done, plan.left, len(plan.cells)) == (1, 4, 5)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"cells": ()}, "`cells` must hold at least one cell"),
            ({"threads": 0}, "`threads` must be"),
            ({"threads": 1025}, r"in \[1, 1024\]"),
        ],
    )
    def test_refuses_what_is_no_sweep(self, changes, message):
        with pytest.raises(ValueError, match=message):
            Sweep(**{"cells": MIXED, **changes})
