"""The number of threads of numerical libraries, on which the rounding of sums depends."""

import contextlib
import os
import sys
from collections.abc import Iterator

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """Lets numerical libraries use exactly so many threads within the block, those loaded in it included."""
    from threadpoolctl import ThreadpoolController

    # What is loaded in the block reads the environment.
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, str(n_threads)))
    try:
        # torch's number is also MKL's, which the controller does not know: it is taken before the controller changes
        # the one that they share, and given back after.
        with _torch_threads(n_threads), ThreadpoolController().limit(limits=n_threads):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _torch_threads(n_threads: int) -> Iterator[None]:
    """Sets torch's own number, which is that of the thread that sets it."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
