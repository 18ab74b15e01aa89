"""The command line as a user types it: output, exit codes, one-line errors, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from superposition.cli import main

TRAIN = [
    "train",
    "--n-features",
    "32",
    "--ratio",
    "0.25",
    "--probability",
    "0.05",
    "--n-steps",
    "80",
    "--n-held-out",
    "500",
]


def run(capsys, *arguments):
    try:
        code = main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments):
    """Runs a command that must fail on its input, and returns its one line."""
    code, out, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("superposition: ")]
    assert (code, len(lines)) == (2, 1), (code, out, err)
    return lines[0]


class TestOutput:
    def test_theory_prints_the_papers_numbers(self, capsys):
        code, out, _ = run(capsys, "theory", "--ratio", "0.25", "0.5", "--probability", "0.045")
        assert code == 0
        for number in ("4.855798e-03", "1.28921", "-0.44583", "1.087031e-02", "1.571601e-03"):
            assert number in out

    @pytest.mark.parametrize("quantity", ["optimum", "bounds", "hull", "gradients", "scaling"])
    @pytest.mark.parametrize("law", ["uniform", "constant", "exponential", "half-normal"])
    def test_theory_prints_every_quantity_of_every_law(self, capsys, quantity, law):
        arguments = ("--ratio", "0.1", "0.4", "--probability", "0.05", "--quantity", quantity, "--law", law)
        code, out, _ = run(capsys, "theory", *arguments)
        assert code == 0
        assert f"Mean-field {quantity}, {law} law" in out
        assert "nan" not in out

    def test_theory_writes_and_draws_and_overwrites_nothing(self, capsys, tmp_path):
        import numpy as np
        import pyarrow.parquet as pq

        from superposition.theory import symmetric_optimum

        grid, plot = tmp_path / "grid.parquet", tmp_path / "plot.png"
        arguments = ("theory", "--ratio", "0.1", "0.4", "--probability", "0.05", "0.2", "--quantity", "bounds")
        assert run(capsys, *arguments, "--grid", str(grid), "--plot", str(plot))[0] == 0
        table = pq.read_table(grid)
        r, p, loss = (table.column(name).to_numpy() for name in ("ratio", "p", "loss"))
        np.testing.assert_array_equal(loss, symmetric_optimum(r, p).loss)
        assert plot.read_bytes().startswith(b"\x89PNG")
        for option, path in (("--grid", grid), ("--plot", plot)):
            assert "exists already" in refused(capsys, *arguments, option, str(path))
        assert "must end in .png" in refused(capsys, *arguments, "--plot", str(tmp_path / "plot.bmp"))

    def test_version(self, capsys):
        assert run(capsys, "--version")[1].startswith("superposition 0.")

    def test_train_diagnose_and_load(self, capsys, tmp_path):
        folder = tmp_path / "demo"
        code, out, _ = run(capsys, *TRAIN, "--out", str(folder))
        assert code == 0
        assert "completed after 80 steps" in out
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.json", "curve.parquet", "model.safetensors", "record.json",
        ]  # fmt: skip
        code, out, _ = run(capsys, "diagnose", str(folder), "--n-held-out", "500")
        assert code == 0
        assert "diagonal W_ii" in out
        assert "mean-field prediction" in out

    def test_rug_saves_its_rows(self, capsys, tmp_path):
        import superposition as sp

        arguments = ("--n-features", "256", "--ratio", "0.25", "--probability", "0.045", "--n-held-out", "500")
        code, out, _ = run(capsys, "rug", *arguments, "--out", str(tmp_path / "rug"))
        assert code == 0
        assert "1.28921" in out
        assert sp.load(tmp_path / "rug").rows.tolist() == sp.PersianRug.draw(256, 64).rows.tolist()

    @pytest.mark.slow
    def test_rug_fitted_by_the_papers_protocol(self, capsys):
        arguments = ("--n-features", "64", "--n-hidden", "16", "--probability", "0.1", "--fit", "paper")
        code, out, _ = run(capsys, "rug", *arguments)
        assert code == 0
        assert "scale a" in out

    def test_a_collapsed_run_is_a_failure(self, capsys):
        arguments = [*TRAIN[:-4], "--n-steps", "1", "--n-held-out", "500", "--protocol", "default"]
        code, _, err = run(capsys, *arguments, "--seed", "3", "--batch-size", "1")
        assert code == 1
        assert "the run collapsed" in err


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["theory", "--ratio", "1.5", "--probability", "0.1"], "`ratio` must be in (0, 1], got 1.5"),
            (["theory", "--ratio", "0.5", "--probability", "nan"], "`probability` must be in (0, 1], got nan"),
            (["theory", "--ratio", "0.5", "--probability", "0"], "`probability` must be in (0, 1], got 0"),
            (["train", "--n-features", "8", "--n-hidden", "9", "--probability", "0.1"], "`n_hidden` must be"),
            (["train", "--n-features", "8", "--probability", "0.1"], "exactly one of --ratio and --n-hidden"),
            ([*TRAIN, "--n-hidden", "4"], "exactly one of --ratio and --n-hidden"),
            ([*TRAIN, "--seed", "-1"], "`seed` must be a whole number of at least 0, got -1"),
            ([*TRAIN, "--device", "nowhere"], "`device` must be one that is there, got 'nowhere'"),
            ([*TRAIN, "--resume"], "--resume must come with --out"),
            (
                ["train", "--n-features", "8", "--ratio", "0.01", "--probability", "0.1"],
                "at least one hidden dimension",
            ),
            (["rug", "--n-features", "100", "--ratio", "0.5", "--probability", "0.1"], "use 64 or 128"),
            (["diagnose", "/nowhere"], "config.json is not there"),
            (["reproduce", "--figures", "5"], "`figures` must be among 1, 2, 3, 4, T1, got 5"),
            (["train", "--config", "/nowhere.toml"], "`config` must be a readable file"),
            (["theory", "--ratio", "--probability", "0.1"], "must each have at least one value"),
            (["theory", "--ratio", "x", "--probability", "0.1"], "ratio"),
            ([*TRAIN, "--batch-size", "9" * 20], "`batch_size` must be a whole number in [1, 2147483647]"),
            (["nonsense"], "nonsense"),
        ],
    )
    def test_is_one_line_that_names_the_value(self, capsys, arguments, message):
        assert message in refused(capsys, *arguments)

    def test_finished_run_is_not_overwritten(self, capsys, tmp_path):
        assert run(capsys, *TRAIN, "--out", str(tmp_path))[0] == 0
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        for extra in ([], ["--resume"]):
            assert "already holds a result" in refused(capsys, *TRAIN, "--out", str(tmp_path), *extra)
        rug = ["rug", "--n-features", "32", "--ratio", "0.25", "--probability", "0.05"]
        assert "already holds a result" in refused(capsys, *rug, "--out", str(tmp_path))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_unfinished_run_and_its_place_are_not_overwritten(self, capsys, tmp_path):
        (tmp_path / "checkpoint-000000000.safetensors").write_bytes(b"")
        rug = ["rug", "--n-features", "32", "--ratio", "0.25", "--probability", "0.05"]
        assert "already holds a result" in refused(capsys, *rug, "--out", str(tmp_path))
        assert "unfinished run" in refused(capsys, *TRAIN, "--out", str(tmp_path))

    def test_folder_in_use_is_refused(self, capsys, tmp_path):
        import fcntl

        with (tmp_path / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert "in use by another process" in refused(capsys, *TRAIN, "--out", str(tmp_path))

    def test_file_in_the_folders_place(self, capsys, tmp_path):
        (tmp_path / "taken").write_text("mine")
        assert "is a file, not a folder" in refused(capsys, *TRAIN, "--out", str(tmp_path / "taken"))
        assert (tmp_path / "taken").read_text() == "mine"


class TestConfigFile:
    def write(self, tmp_path, text):
        path = tmp_path / "run.toml"
        path.write_text(text)
        return str(path)

    def test_gives_options_and_the_command_line_wins(self, capsys, tmp_path):
        path = self.write(
            tmp_path, "n_features = 16\nratio = 0.25\nprobability = 0.05\nn_steps = 999\nn_held_out = 100\n"
        )
        code, out, _ = run(capsys, "train", "--config", path, "--n-steps", "40")
        assert code == 0
        assert "n = 16, n_hidden = 4" in out
        assert "after 40 steps" in out

    def test_unknown_key(self, capsys, tmp_path):
        path = self.write(tmp_path, "n_features = 16\nratioo = 0.25\n")
        assert "`ratioo` must be one of" in refused(capsys, "train", "--config", path)

    def test_wrong_type(self, capsys, tmp_path):
        path = self.write(tmp_path, "n_features = 'many'\n")
        assert "`n_features` is not valid, got 'many'" in refused(capsys, "train", "--config", path)

    def test_no_toml(self, capsys, tmp_path):
        assert "is no TOML file" in refused(capsys, "train", "--config", self.write(tmp_path, "n_features: 16"))

    def test_missing_required_option_is_asked_for(self, capsys, tmp_path):
        code, _, err = run(capsys, "train", "--config", self.write(tmp_path, "n_features = 16\n"))
        assert code == 2
        assert "--probability" in err


def program(*arguments, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "superposition", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def finished(*arguments):
    with program(*arguments, stdout=subprocess.DEVNULL) as process:
        process.communicate()
        return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_signal_saves_and_resume_goes_on_to_the_same_weights(tmp_path, kind, code):
    train = [*TRAIN[:-4], "--n-steps", "3000", "--n-held-out", "500", "--out"]
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert finished(*train, str(straight)) == 0
    process = program(*train, str(stopped), stdout=subprocess.DEVNULL)
    while not stopped.exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(kind)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert list(stopped.glob("checkpoint-*.safetensors")), "stopped before it was finished, with a checkpoint"
    assert finished(*train, str(stopped), "--resume") == 0
    assert (stopped / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()
    losses = [json.loads((folder / "record.json").read_text())["loss"] for folder in (stopped, straight)]
    assert losses[0] == losses[1]


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from superposition.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'scipy', 'matplotlib', 'pyarrow', 'pydantic', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
