"""docs/extending.md is run as it stands, in one process of its own, as a reader would."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import superposition as sp

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


def test_every_block_of_the_page_runs_in_order(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 7
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sharpness" in done.stdout
    assert "±" in done.stdout


OWN = Path(__file__).parent / "own_code.py"


def superposition(folder, *words):
    """Runs the program in a process of its own, as a user's code needs it: what is registered stays."""
    command = [sys.executable, "-m", "superposition", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_bytes(OWN.read_bytes())
    (tmp_path / "grid.toml").write_text('measure = "strength"\n[cells]\nstrength = [0.1, 1.0, 3.0]\n')
    return tmp_path


@pytest.mark.slow
def test_cells_of_a_users_own_are_measured_by_workers_as_here(folder):
    for where in ([], ["--workers", "2"]):
        out = f"runs{len(where)}"
        done = superposition(folder, "sweep", "--import", "mine.py", "--out", out, *where, "grid.toml")
        assert done.returncode == 0, done.stderr
    stores = [sorted((folder / out).glob("done/strength/*/*/*.safetensors")) for out in ("runs0", "runs2")]
    here, there = ([path.read_bytes() for path in paths] for paths in stores)
    assert len(here) == 3
    assert here == there
    found = superposition(folder, "query", "SELECT strength, loss FROM strength ORDER BY strength", "--out", "runs2")
    assert found.returncode == 0, found.stderr
    assert "0.1" in found.stdout
    assert "±" not in found.stderr


def test_a_users_law_is_trained_saved_and_refused_where_it_is_not_known(folder):
    sizes = ("--n-features", "16", "--ratio", "0.5", "--probability", "zipf:0.1:1", "--n-steps", "5")
    words = (*sizes, "--n-held-out", "50", "--law", "power-law:3")
    refused = superposition(folder, "train", *words, "--out", "run")
    assert refused.returncode == 2
    assert "`law` must be one of uniform" in refused.stderr
    assert not (folder / "run").exists()
    done = superposition(folder, "train", *words, "--import", "mine.py", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "best allocation" in done.stdout
    unknown = superposition(folder, "decode", "--model", "run", "--decoders", "relu", "--n-samples", "5")
    assert unknown.returncode == 2
    assert "`law` must be Uniform" in unknown.stderr
    known = superposition(folder, "decode", "--model", "run", "--decoders", "relu", "--n-samples", "5",
                          "--import", "mine.py")  # fmt: skip
    assert known.returncode == 0, known.stderr


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own_error.py", "1 +", "own_error.py cannot be run: SyntaxError"),
        ("own_import.py", "import nothing_of_that_name", "cannot be run: ModuleNotFoundError"),
        ("numpy.py", "", "must have a name of its own, but there is a module numpy"),
        ("own.txt", "", "must have the name of a module and end in .py, got 'own.txt'"),
        ("my-file.py", "", "must have the name of a module and end in .py, got 'my-file.py'"),
        ("own_none.py", None, "but own_none.py is not there"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        sp.import_file(tmp_path / name)
    assert (Path(name).stem in sys.modules) == (name == "numpy.py")


def test_control_a_file_is_run_once(tmp_path):
    (tmp_path / "counted_once.py").write_text("runs = []\nruns.append(1)\n")
    first = sp.import_file(tmp_path / "counted_once.py")
    assert sp.import_file(tmp_path / "counted_once.py") is first
    assert first.runs == [1]
