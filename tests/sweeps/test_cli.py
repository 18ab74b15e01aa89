"""The commands sweep and query as a user types them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from superposition.cli import main
from superposition.sweeps import Store
from superposition.sweeps.executors import remote

GRID = """
measure = "trained"

[cells]
n_features = 16
ratio = [0.25, 0.5]
probability = [0.1, 0.2]
n_steps = 30
n_held_out = 200
"""


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs the program in a folder with a sweep file; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(GRID)

    def program(*arguments):
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return program


@pytest.fixture
def refused(run):
    """Runs a command that must fail on its input, and returns its one line."""

    def program(*arguments):
        code, out, err = run(*arguments)
        lines = [line for line in err.splitlines() if line.startswith("superposition: ")]
        assert (code, len(lines)) == (2, 1), (code, out, err)
        return lines[0]

    return program


class TestSweep:
    def test_shows_the_plan_measures_and_shows_the_rows(self, run, tmp_path):
        assert run("sweep", "grid.toml", "--dry-run")[:2] == (0, "4 cells: 0 done, 4 left\n")
        assert not (tmp_path / "runs").exists()
        code, out, _ = run("sweep", "grid.toml")
        assert code == 0
        assert out.startswith("4 cells: 0 done, 4 left\n")
        assert "4 of 4 cells are in runs, 4 of them new" in out
        for name in ("n_hidden", "probability", "loss", "mean_field_loss", "stopped", "completed"):
            assert name in out
        assert "n_features" not in out, "what is the same for all cells is left out"
        assert run("sweep", "grid.toml", "--dry-run")[1] == "4 cells: 4 done, 0 left\n"
        assert "0 of them new" in run("sweep", "grid.toml")[1]

    def test_a_missing_cell_is_a_failure(self, run, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr("superposition.training.train_many", lambda *_, **__: 1 / 0)
            code, out, err = run("sweep", "grid.toml")
        assert code == 1
        assert "0 of 4 cells are in runs" in out
        assert "superposition: 4 cells are missing: ZeroDivisionError: division by zero" in err
        assert run("sweep", "grid.toml")[0] == 0

    def test_retries(self, run, monkeypatch):
        from superposition import training

        train_many, calls = training.train_many, []

        def fails_once(*arguments, **options):
            calls.append(arguments)
            if len(calls) == 1:
                raise RuntimeError("once")
            return train_many(*arguments, **options)

        monkeypatch.setattr(training, "train_many", fails_once)
        assert run("sweep", "grid.toml", "--retries", "1")[0] == 0

    def test_interruption_says_how_to_go_on(self, run, interrupted):
        with interrupted(12):
            code, _, err = run("sweep", "grid.toml")
        assert code == 130
        assert "interrupted with 4 cells left; the same command goes on" in err
        assert run("sweep", "grid.toml")[0] == 0

    def test_a_scheduler_that_dies(self, run, monkeypatch):
        from superposition.sweeps import ClusterLostError, RemoteScheduler

        def lost(*_):
            raise ClusterLostError("the scheduler went away with 2 units of work left: the same command goes on")

        monkeypatch.setattr(RemoteScheduler, "run", lost)
        code, _, err = run("sweep", "grid.toml", "--scheduler", "tcp://127.0.0.1:9")
        assert code == 1
        assert "superposition: the scheduler went away with 2 units of work left: the same command goes on\n" in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], "at most one of --workers, --scheduler"),
            (["--workers", "0"], "`workers` must be a whole number of at least 1, got 0"),
            (["--retries", "-1"], "`retries` must be a whole number"),
            (["--retries", "-1", "--dry-run"], "`retries` must be a whole number of at least 0, got -1"),
            (["--scheduler", "nonsense"], "`scheduler` must be an address such as tls://10.0.0.1:8786, got 'nonsense'"),
            (["--scheduler", "tcp://127.0.0.1:9"], "a Dask scheduler must be at tcp://127.0.0.1:9, but none answers"),
            (["--scheduler-file", "none.json"], "a scheduler file must be at none.json"),
            (["--scheduler", "tls://127.0.0.1:9"], "tls://127.0.0.1:9 needs --tls-ca-file, --tls-cert and --tls-key"),
            (
                ["--workers", "1", "--tls-ca-file", "a", "--tls-cert", "b", "--tls-key", "c"],
                "`tls_ca_file` must be a rea",
            ),
            (["--scheduler", "tls://127.0.0.1:9", "--tls-cert", "b"], "and --tls-key must be given together"),
            (["--dashboard"], "--dashboard needs --workers or --slurm"),
            (["--scheduler", "tcp://127.0.0.1:9", "--dashboard"], "--dashboard needs --workers or --slurm"),
            (["--slurm", "none.toml"], "description of Slurm jobs must be in ., but none.toml is not there"),
        ],
    )
    def test_bad_options(self, refused, monkeypatch, tmp_path, arguments, message):
        monkeypatch.setattr(remote, "_SECONDS", 0.2)
        assert message in refused("sweep", "grid.toml", *arguments)
        assert not (tmp_path / "runs").exists()

    @pytest.mark.parametrize(
        "arguments", [("--retries", "-1"), ("--scheduler", "nonsense"), ("--out", "grid.toml"), ("--out", ".")]
    )
    def test_refuses_before_the_plan_is_shown(self, run, arguments):
        assert run("sweep", "grid.toml", *arguments)[:2] == (2, "")

    def test_bad_files(self, refused, tmp_path):
        assert "must be in ., but none.toml is not there: check the path" in refused("sweep", "none.toml")
        (tmp_path / "bad.toml").write_text(GRID.replace("ratio", "ratoi"))
        assert "bad.toml: `cells.ratoi` must be one of" in refused("sweep", "bad.toml")
        (tmp_path / "bad.toml").write_text(GRID.replace("[0.25, 0.5]", "0.001"))
        assert "must leave at least one hidden dimension, got 0.001 of 16" in refused("sweep", "bad.toml")
        assert not (tmp_path / "runs").exists()

    def test_stores_that_are_not_ours(self, refused, tmp_path):
        store = Store(tmp_path / "runs")
        with store.locked():
            assert "runs is in use by another process" in refused("sweep", "grid.toml")
        mark = tmp_path / "runs" / "store.json"
        mark.write_text(json.dumps({"format": 7, "version": "9.0"}))
        assert "must be a store of format 1, got 7, written by superposition 9.0" in refused("sweep", "grid.toml")
        assert "must be a store of format 1, got 7" in refused("query", "SELECT 1")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").write_text("mine")
        for more in ([], ["--dry-run"]):
            assert "mine holds other files and is no store" in refused("sweep", "grid.toml", "--out", "mine", *more)
            assert "is a file, not a folder" in refused("sweep", "grid.toml", "--out", "grid.toml", *more)
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A store with the cells of the file."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "grid.toml").write_text(GRID)
    assert main(["sweep", str(folder / "grid.toml"), "--out", str(folder / "runs")]) == 0
    return folder / "runs"


class TestQuery:
    @pytest.fixture(autouse=True)
    def rows(self, run, swept, tmp_path):  # noqa: ARG002
        """The store is in the folder of the program."""
        shutil.copytree(swept, tmp_path / "runs")

    def test_prints_rows(self, run):
        code, out, _ = run("query", "SELECT ratio, count(*) AS cells FROM trained GROUP BY ratio ORDER BY ratio")
        assert code == 0
        assert [line.split()[1::2] for line in out.splitlines() if line.startswith("│")] == [
            ["0.25", "2"],
            ["0.5", "2"],
        ]

    def test_many_columns_stand_below_one_another(self, run):
        out = run("query", "SELECT * FROM trained")[1]
        assert "mean_field_loss" in out
        assert "noise_variance_mean_square" in out

    def test_turns_rows_into_columns(self, run):
        assert "0.25" in run("query", "PIVOT trained ON ratio USING min(loss) GROUP BY probability")[1]

    @pytest.mark.parametrize("suffix", [".parquet", ".csv"])
    def test_saves_rows(self, run, refused, tmp_path, suffix):
        code, out, _ = run("query", "SELECT ratio, loss FROM trained ORDER BY loss", "--save", f"found{suffix}")
        assert (code, out) == (0, f"4 rows saved in found{suffix}\n")
        if suffix == ".parquet":
            assert pq.read_table(tmp_path / "found.parquet").column_names == ["ratio", "loss"]
        assert "exists already" in refused("query", "SELECT 1", "--save", f"found{suffix}")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["SELEC"], "the query is not valid: Parser Error"),
            (["SELECT * FROM rugs"], "Table with name rugs does not exist"),
            (["SELECT nothing FROM trained"], "(tables: trained)"),
            ([""], "the query must end with a SELECT, got none"),
            (["-- SELECT 1"], "the query must end with a SELECT, got none"),
            (["CREATE TABLE mine AS SELECT 1"], "the query must end with a SELECT, got CREATE"),
            (["COPY trained TO 'mine.csv'"], "the query must end with a SELECT, got COPY"),
            (["COPY trained TO 'mine.csv'; SELECT 1"], "disabled by configuration"),
            (["ATTACH 'mine.db'; SELECT 1"], "disabled"),
            (["SET enable_external_access = true; SELECT 1"], "the configuration has been locked"),
            (["SELECT * FROM read_text('grid.toml')"], "disabled"),
            (["SELECT * FROM tables"], "Table with name tables does not exist"),
            (["SELECT 1", "--out", "none"], "none must hold measured cells, but there are none"),
            (["SELECT 1", "--save", "rows.xlsx"], "`save` must end in .parquet or .csv, got rows.xlsx"),
        ],
    )
    def test_bad_input(self, refused, tmp_path, arguments, message):
        assert message in refused("query", *arguments)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["grid.toml", "runs"]


@pytest.mark.parametrize("command", ["sweep", "query"])
def test_help_loads_nothing_heavy(command):
    heavy = "{'torch', 'dask', 'distributed', 'duckdb', 'pyarrow', 'pydantic', 'numpy'}"
    script = (
        "import sys; from superposition.cli import main\n"
        f"try: main(['{command}', '--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_reaches_workers_and_all_go_on(tmp_path):
    grid = GRID.replace("16", "600").replace("30", "200").replace("[0.25, 0.5]", "0.1")
    (tmp_path / "grid.toml").write_text(grid)
    command = [sys.executable, "-m", "superposition", "sweep", "grid.toml", "--workers", "2"]
    options = {"cwd": tmp_path, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    # A session of its own, as a terminal gives: the signal goes to all of its processes.
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True, **options)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "runs").glob("work/*/*/run/checkpoint-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    # A worker may end the cell that it is at before it is stopped.
    assert re.search(r"interrupted with [012] cells left; the same command goes on", err)
    assert "Traceback" not in err
    assert subprocess.run(command, check=False, **options).returncode == 0
