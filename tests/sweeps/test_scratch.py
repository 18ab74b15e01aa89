import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from superposition.sweeps.executors.scratch import scratch

KILLED = """
import os, signal
from superposition.sweeps.executors.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_removed_with_its_block(place):
    with scratch() as folder:
        assert Path(folder).parent == place
    assert list(place.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_by_the_next(place):
    environment = {**os.environ, "TMPDIR": str(place)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, check=False
    )
    left = Path(killed.stdout.strip())
    assert left.parent == place
    os.utime(left, (time.time() - 60, time.time() - 60))
    with scratch() as folder:
        assert list(place.iterdir()) == [Path(folder)]


def test_neither_one_in_use_nor_a_fresh_one_nor_a_link_is_touched(place):
    victim = place / "victim"
    victim.mkdir()
    (place / "superposition-workers-link").symlink_to(victim)
    fresh = place / "superposition-workers-fresh"
    fresh.mkdir()
    with scratch() as first:
        os.utime(first, (time.time() - 60, time.time() - 60))
        with scratch() as second:
            assert set(place.iterdir()) == {
                victim,
                place / "superposition-workers-link",
                fresh,
                Path(first),
                Path(second),
            }
    assert list(victim.iterdir()) == []
