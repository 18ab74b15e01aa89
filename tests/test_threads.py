"""The number of threads within a block, of libraries loaded before and in it."""

import os
import subprocess
import sys

import torch
from threadpoolctl import threadpool_info

from superposition._threads import limited_threads


def test_libraries_have_the_number_within_the_block_only(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before = [library["num_threads"] for library in threadpool_info()], torch.get_num_threads()
    for n_threads in (1, 2):
        with limited_threads(n_threads):
            assert torch.get_num_threads() == n_threads
            assert {library["num_threads"] for library in threadpool_info()} == {n_threads}
            assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == str(n_threads)
    assert ([library["num_threads"] for library in threadpool_info()], torch.get_num_threads()) == before
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_libraries_that_are_loaded_in_the_block_have_it_too():
    script = (
        "from superposition._threads import limited_threads\n"
        "with limited_threads(1):\n"
        "    import torch, scipy.linalg, threadpoolctl\n"
        "    print(torch.get_num_threads(), *{each['num_threads'] for each in threadpoolctl.threadpool_info()})"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "1"]
