"""The number of threads within a block, of libraries loaded before and in it."""

import os
import re
import subprocess
import sys

import pytest
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


def of_torch():
    """The numbers of torch's own libraries, by what torch says of them."""
    return dict(re.findall(r"(\w+_get_max_threads|::get_num_threads)\(\) : (\d+)", torch.__config__.parallel_info()))


@pytest.mark.parametrize("own", [1, 2, 3])
def test_torchs_own_libraries_have_it_back_too(own):
    """MKL's among them, which nobody but torch sets."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(own)
        given = of_torch()
        assert set(given.values()) == {str(own)}
        for n_threads in (1, 2):
            with limited_threads(n_threads):
                assert set(of_torch().values()) == {str(n_threads)}
            assert of_torch() == given
    finally:
        torch.set_num_threads(before)


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
