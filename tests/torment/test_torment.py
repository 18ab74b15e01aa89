"""A short run of the kill harness, and whether it would see a loss."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torment.killing import Round, _compared, _of_end
from tests.torment.works import content

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("work", ["train", "sweep", "workers", "reproduce"])
def test_what_is_killed_is_done_in_the_end_as_if_it_had_not_been(tmp_path, work):
    # In a process of its own, which forks: this one may have threads.
    command = [sys.executable, "-m", "tests.torment", "--kills", "2", "--works", work, "--journal", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = [json.loads(line) for line in (tmp_path / "torment-0.jsonl").read_text().splitlines()]
    assert sum(len(each["kills"]) for each in rounds) >= 2


def test_the_comparison_sees_losses_other_bits_and_litter(tmp_path):
    for name in ("straight", "killed"):
        (tmp_path / name / "done").mkdir(parents=True)
        for file in ("weights.safetensors", "done/record.json"):
            (tmp_path / name / file).write_text('{"loss": 1, "seconds": 2}')
    straight, killed = content(tmp_path / "straight"), tmp_path / "killed"
    assert _compared(straight, content(killed), clean=True) == []
    (killed / "done" / "record.json").write_text('{"loss": 1, "seconds": 3}')
    assert _compared(straight, content(killed), clean=True) == []
    (killed / "done" / "record.json").write_text('{"loss": 2, "seconds": 3}')
    (killed / "weights.safetensors").unlink()
    (killed / ".x.part").touch()
    (killed / "work").mkdir()
    (killed / ".lock").touch()
    assert _compared(straight, content(killed), clean=True) == [
        *("lost: weights.safetensors", "litter: .lock", "litter: .x.part", "other bits: done/record.json")
    ]
    assert "litter: work" in _compared(straight, content(killed), clean=False)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("", False),
        ("Traceback (most recent call last):\n  File runpy.py, in _run\nKeyboardInterrupt\n", False),
        ("Traceback (most recent call last):\n  File __init__.py, in main\nKeyboardInterrupt\n", True),
        ("9 of 9 cells are in out\n", True),
    ],
)
def test_only_before_the_program_has_begun_may_python_answer_ctrl_c(tmp_path, text, is_found):
    (tmp_path / "log").write_text(text)
    kills = [("driver", "SIGINT", 0.02)]
    for fresh in (True, False):
        found = _of_end(-2, Round("sweep", fresh=fresh, kills=kills), tmp_path / "log")
        assert bool(found) == (is_found or not fresh)


def test_the_comparison_knows_the_one_exception():
    """Cells of a batch that was killed too often are measured one by one, or in smaller batches, and say so."""

    def cell(together, loss):
        return {"done/m/k/record.json": {"row": {"loss": loss}, "provenance": {"together": together}}}

    assert _compared(cell(3, 1.0), cell(1, 2.0), clean=True) == []
    assert _compared(cell(3, 1.0), cell(2, 2.0), clean=True) == []
    assert _compared(cell(3, 1.0), cell(3, 2.0), clean=True) == ["other bits: done/m/k/record.json"]
    assert _compared(cell(1, 1.0), cell(1, 2.0), clean=True) == ["other bits: done/m/k/record.json"]
