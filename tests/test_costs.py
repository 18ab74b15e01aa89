"""What cannot end is refused before it begins; what it would take is estimated well enough for that."""

import subprocess
import sys

import pytest

from superposition import _resources
from superposition.cli import costs, main
from superposition.sweeps import RugCell, TrainedCell
from superposition.training import TrainingConfig

BIG = ["--n-features", "2000000000", "--n-hidden", "1000", "--probability", "0.1"]
LARGE = ["--n-features", "65536", "--n-hidden", "32768", "--probability", "0.1"]
SMALL = ["--n-features", "64", "--n-hidden", "16", "--probability", "0.1"]


def run(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", *BIG),
        ("train", *BIG, "--device", "cpu", "--n-steps", "1"),
        ("train", *SMALL, "--n-steps", "2147483647", "--batch-size", "2147483647"),
        ("train", *SMALL, "--batch-size", "2147483647"),
        ("rug", *BIG, "--n-features", str(2**30)),
        ("decode", *BIG, "--encoder", "gaussian"),
        ("decode", *BIG, "--encoder", "rug", "--n-features", str(2**30)),
        ("compress", "--learn", "--neurons", "2000000"),
        ("compress", "--learn", "--runs", "2000000000"),
        ("compress", "--learn", "--neurons", "2000000000", "--depth", "1000000000"),
        ("theory", "--ratio", *["0.5"] * 4000, "--probability", *["0.1"] * 4000),
        (
            *("theory", "--quantity", "allocate", "--n-features", "2000000000", "--n-hidden", "5", "--importance", "1"),
            *("--probability", "0.1"),
        ),
    ],
)
def test_too_much_memory_is_refused(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("superposition: this would need about ")
    there = _resources.readable(_resources.memory())
    assert f"of memory, and there are {there}: choose smaller sizes, or --force to go on\n" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", *LARGE, "--n-steps", "900000000"),
        ("train", *LARGE, "--n-held-out", "2147483647"),
        ("rug", *LARGE, "--n-features", str(2**27), "--n-held-out", "2147483647"),
        ("decode", *SMALL, "--seconds", "1e9"),
        ("compress", "--learn", "--n-steps", "2147483647", "--neurons", "36000"),
    ],
)
def test_too_much_time_is_refused(capsys, monkeypatch, arguments):
    monkeypatch.setattr(_resources, "memory", lambda: 10**15)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("superposition: this would take ")
    assert err.endswith(" on a fast machine: choose smaller sizes, or --force to go on\n")


@pytest.mark.parametrize("command", ["sweep", "reproduce"])
def test_cells_that_do_not_fit_are_refused(capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(
        'measure = "trained"\n[cells]\nn_features = 8192\nratio = 0.5\nprobability = 0.1'
    )
    monkeypatch.setattr(_resources, "memory", lambda: 10**9)
    arguments = (
        ["sweep", "grid.toml"]
        if command == "sweep"
        else ["reproduce", "--preset", "paper", "--figures", "2", "--out", "runs"]
    )
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "of memory, and there are 1 GB: choose smaller sizes, or --force to go on" in " ".join(err.split())
    assert not (tmp_path / "runs").exists()
    if command == "sweep":
        assert run(capsys, *arguments, "--dry-run")[0] == 0


def test_force_goes_on(capsys, monkeypatch):
    monkeypatch.setattr(_resources, "memory", lambda: 10**6)
    train = ("train", *SMALL, "--n-steps", "5", "--n-held-out", "10")
    assert run(capsys, *train)[0] == 2
    assert "after 5 steps" in run(capsys, *train, "--force")[1]


@pytest.mark.slow
def test_what_the_presets_need_is_not_refused(monkeypatch):
    """Of figures on a laptop of 8 GB, and of the largest on a node of 64 GB."""
    from superposition.figures import FIGURES, PRESETS

    for name, memory in (("quick", 8e9), ("laptop", 8e9), ("paper", 64e9)):
        monkeypatch.setattr(_resources, "memory", lambda memory=memory: memory)
        cells = dict.fromkeys(cell for figure in FIGURES for cell in figure.cells(PRESETS[name]))
        costs.of_cells([[cell] for cell in cells], 1).refuse(force=False)


def test_cells_that_run_at_a_time_add_up_and_their_times_are_shared():
    groups = [
        [TrainedCell(1024, 256, 0.1)],
        [TrainedCell(512, 8, 0.1), TrainedCell(512, 9, 0.1)],
        [RugCell(64, 8, 0.1)],
    ]
    alone = [costs.of_cells([group], 1) for group in groups]
    both = costs.of_cells(groups, 2)
    largest = sorted(cost.n_bytes for cost in alone)[-2:]
    assert both.n_bytes == pytest.approx(sum(largest) + costs._BASE)
    assert both.operations == pytest.approx(sum(cost.operations for cost in alone) / 2)


# Commands whose memory is far above that of the program itself, and their estimates.
_MEASURED = {
    "weights": (
        "train --n-features 8192 --n-hidden 2048 --probability 0.01 --n-steps 1 --n-held-out 1 --batch-size 16",
        lambda: costs.of_training(8192, 2048, 0.01, TrainingConfig(n_steps=1, batch_size=16), 1),
    ),
    "batches": (
        "train --n-features 8192 --n-hidden 64 --probability 0.3 --n-steps 1 --n-held-out 1 --batch-size 4096",
        lambda: costs.of_training(8192, 64, 0.3, TrainingConfig(n_steps=1, batch_size=4096), 1),
    ),
    "rug": (
        "rug --n-features 16777216 --n-hidden 1000 --probability 0.01 --n-held-out 1",
        lambda: costs.of_rug(2**24, 1),
    ),
    "encoder": (
        "decode --n-features 4096 --n-hidden 2048 --probability 0.01 --encoder gaussian --decoders relu --n-samples 9",
        lambda: costs.of_encoder(4096, 2048, is_dense=True, seconds=10.0),
    ),
    "scheme": ("compress --levels 512 --ramp 0.0001", lambda: costs.of_scheme(512)),
}
_SCRIPT = """
import resource, sys
from superposition.cli import main
main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is another elsewhere")
@pytest.mark.parametrize("name", _MEASURED)
def test_estimates_are_within_a_factor_of_three_of_what_is_measured(name):
    command, estimate = _MEASURED[name]
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *command.split()], capture_output=True, text=True, check=True)
    peak = 1024 * int(done.stdout.split()[-1])
    expected = costs._BASE + estimate().n_bytes
    assert expected / 3 < peak < 3 * expected, (peak, expected)


class TestMemory:
    def test_of_a_process_is_what_ulimit_says(self):
        script = "from superposition._resources import memory; print(memory())"
        limited = f"ulimit -v 3000000; exec {sys.executable} -c '{script}'"
        done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=True)
        assert int(done.stdout) == 3_000_000 * 1024

    @pytest.mark.parametrize(("kinds", "file"), [("", "memory.max"), ("memory", "memory.limit_in_bytes")])
    def test_of_a_container_is_its_least_limit(self, tmp_path, monkeypatch, kinds, file):
        monkeypatch.setattr(_resources, "_GROUPS", tmp_path)
        inner = tmp_path / kinds / "outer" / "inner"
        inner.mkdir(parents=True)
        (inner / file).write_text("max\n")
        (inner.parent / file).write_text("12345678\n")
        (tmp_path / kinds / file).write_text("99999999999\n")
        found = list(_resources._of_group(tmp_path / kinds, "outer/inner", file))
        assert sorted(found) == [12345678, 99999999999]
