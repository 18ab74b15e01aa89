"""The tests of rounding under other code paths: what other processors, or more threads, would compute.

`python -m tests.paths` runs the fast tier of the rooms below in three runs, all of them even if one fails, and says
which did. Options go on to pytest. On processors other than x86-64 the variables do nothing, and the same tests
are run again.
"""

import os
import platform
import subprocess
import sys
import time

import torch
from numpy._core._multiarray_umath import __cpu_dispatch__ as numpy_dispatch

# What computes with torch, and what computes with NumPy and SciPy alone. Other rooms call these.
TORCH = ("features", "decoders", "models", "diagnostics", "compression", "training")
ALL = ("theory", *TORCH)
# Each path is a set of instructions, or an order of sums, of one library: torch's own loops, oneDNN, MKL, NumPy's and
# SciPy's OpenBLAS, NumPy's own loops without all that they choose between; two threads split sums otherwise than one.
# Those of a run are of different libraries, of which none knows the others: they are taken together.
RUNS = {
    (
        ("ATEN_CPU_CAPABILITY", "default"),
        ("MKL_CBWR", "COMPATIBLE"),
        ("OPENBLAS_CORETYPE", "Prescott"),
        ("NPY_DISABLE_CPU_FEATURES", " ".join(numpy_dispatch)),
    ): ALL,
    (("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), ("OPENBLAS_CORETYPE", "Haswell")): ALL,
    (("OMP_NUM_THREADS", "2"),): TORCH,
}
PATHS = [path for run in RUNS for path in run]
# These ask for AVX2 whether the processor has it or not.
NEED_AVX2 = {("ATEN_CPU_CAPABILITY", "avx2"), ("OPENBLAS_CORETYPE", "Haswell")}
# Slow, and bit by bit: they start processes.
LEFT_OUT = ("tests/training/test_resume.py", "tests/training/test_ranks.py")


def of_this_processor():
    """Returns the paths that this processor can take."""
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    return [path for path in PATHS if path not in NEED_AVX2 or torch.cpu._is_avx2_supported() or not is_x86]


def environment(**variables):
    """Returns the environment with these variables and no other that chooses a path; one thread if not told."""
    chosen = {variable for variable, _ in PATHS}
    kept = {name: value for name, value in os.environ.items() if name not in chosen}
    return kept | {"OMP_NUM_THREADS": "1"} | variables


def passes(run, paths, options):
    """Runs the tests of a run's rooms on some of its paths; returns whether they pass."""
    # Workers of one thread each, or one worker of two.
    workers = "0" if "OMP_NUM_THREADS" in dict(paths) else "2"
    arguments = ["-q", "-n", workers, "--dist", "worksteal", "-m", "not slow", "-p", "no:cacheprovider"]
    rooms = [f"tests/{room}" for room in RUNS[run]]
    left_out = [f"--ignore={file}" for file in LEFT_OUT]
    return not subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *left_out, *rooms, *options],
        env=environment(**dict(paths)),
        check=False,
    ).returncode


def time_of_children():
    """Returns the seconds of processors that processes used which have ended."""
    times = os.times()
    return times.children_user + times.children_system


def main(options):
    """Returns the exit code: 0 if the tests pass under all paths."""
    failed, possible = [], of_this_processor()
    for run in RUNS:
        paths = [path for path in run if path in possible]
        if not paths:
            continue
        name = ", ".join(map("=".join, paths))
        started, used = time.monotonic(), time_of_children()
        if not passes(run, paths, options):
            failed.append(name)
        seconds, used = time.monotonic() - started, time_of_children() - used
        print(f"paths: {name}: {seconds:.0f} s, {used:.0f} s of processors", flush=True)
    for name in failed:
        print(f"paths: failed under {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
