"""A path that a variable asks for is taken: what the libraries themselves say."""

import platform
import subprocess
import sys

import pytest

from tests import paths

# One line a library: torch's loops; OpenBLAS, of NumPy and SciPy; NumPy's loops; threads. Then MKL and oneDNN report
# what they do.
PROBE = """
import numpy, scipy.linalg, threadpoolctl, torch
print("aten", torch.backends.cpu.get_cpu_capability())
print("openblas", *sorted({each["architecture"] for each in threadpoolctl.threadpool_info()
                           if each["internal_api"] == "openblas"}))
from numpy._core import _multiarray_umath as loops
print("numpy", *(feature for feature in loops.__cpu_dispatch__ if loops.__cpu_features__[feature]))
print("threads", torch.get_num_threads(), *sorted({each["num_threads"] for each in threadpoolctl.threadpool_info()}))
torch.rand(64, 64) @ torch.rand(64, 64)
torch.rand(64, 64).to_mkldnn()
"""
IS_X86 = platform.machine() in ("x86_64", "AMD64")


def libraries(**variables):
    """What the libraries say of themselves under these variables."""
    environment = paths.environment(**variables) | {"MKL_VERBOSE": "1", "ONEDNN_VERBOSE": "1"}
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True)
    said = dict(line.partition(" ")[::2] for line in done.stdout.splitlines() if line.split(" ")[0] in KEYS)
    for line in done.stdout.splitlines():
        if line.startswith("MKL_VERBOSE SGEMM"):
            said["mkl"] = line.split("CNR:")[1].split()[0]
        if ",cpu,isa:" in line:
            said["onednn"] = line.split(",cpu,isa:")[1]
    return said


KEYS = ("aten", "openblas", "numpy", "threads")
# OpenBLAS calls its kernels of Prescott by the oldest processor that they serve.
EXPECTED = {
    ("ATEN_CPU_CAPABILITY", "default"): ("aten", "DEFAULT"),
    ("ATEN_CPU_CAPABILITY", "avx2"): ("aten", "AVX2"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2"): ("onednn", "Intel AVX2"),
    ("MKL_CBWR", "COMPATIBLE"): ("mkl", "COMPATIBLE"),
    ("OPENBLAS_CORETYPE", "Haswell"): ("openblas", "Haswell"),
    ("OPENBLAS_CORETYPE", "Prescott"): ("openblas", "Katmai"),
    ("OMP_NUM_THREADS", "2"): ("threads", "2 2"),
} | {path: ("numpy", "") for path in paths.PATHS if path[0] == "NPY_DISABLE_CPU_FEATURES"}


@pytest.fixture(scope="module")
def untouched():
    return libraries()


@pytest.mark.parametrize("path", paths.of_this_processor(), ids="=".join)
def test_a_variable_changes_the_path(path, untouched):
    found = libraries(**dict([path]))
    library, expected = EXPECTED[path]
    others = {name: value for name, value in untouched.items() if name != library}
    if IS_X86 or library in ("numpy", "threads"):
        assert found[library] == expected
        assert {name: value for name, value in found.items() if name != library} == others
    else:
        assert found == untouched


def test_every_failure_is_told_and_no_path_left_out(monkeypatch, capsys):
    seen = []

    def passes(run, taken, options):
        assert set(taken) <= set(run)
        assert options == ["-x"]
        seen.extend(taken)
        return ("MKL_CBWR", "COMPATIBLE") not in taken

    monkeypatch.setattr(paths, "passes", passes)
    assert paths.main(["-x"]) == 1
    assert seen == paths.of_this_processor()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("paths: failed under ")
    assert "MKL_CBWR=COMPATIBLE" in said
    monkeypatch.setattr(paths, "passes", lambda *_: True)
    assert paths.main([]) == 0
