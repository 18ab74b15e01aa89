"""Samples spread over the cores, for solvers that take one at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

Part = TypeVar("Part")


def in_parallel(solve: Callable[[range], Part], count: int) -> list[Part]:
    """Returns solve(range) for consecutive ranges of samples, in their order, on as many threads as torch uses.

    The solvers leave Python's lock while they work.
    """
    workers = min(torch.get_num_threads(), max(1, count))
    edges = [count * index // workers for index in range(workers + 1)]
    parts = [range(low, high) for low, high in pairwise(edges)]
    if workers == 1:
        return [solve(parts[0])]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(solve, parts))
