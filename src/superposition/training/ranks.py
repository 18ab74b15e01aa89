"""Several processes, a GPU each, that train one model: every batch is shared out, and its gradients summed."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch
from torch import Tensor, distributed

from superposition.features.sampling import SparseBatch


@dataclass(frozen=True)
class Ranks:
    """The processes that train together; one if nobody has set up `torch.distributed`.

    Every process draws the whole batch, which costs as much as it has active entries, and takes its share of the
    samples: a run sees the same samples on any number of processes, and differs by rounding alone.

    Args:
        rank: This process, from 0.
        size: Number of processes.
        device: Torch device on which tensors that are exchanged lie.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @classmethod
    def current(cls, device: torch.device) -> Self:
        """Returns the processes of the default process group, which exchange tensors on a device."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size(), str(device))
        return cls()

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def share(self, batch: SparseBatch) -> SparseBatch:
        """Returns this process's samples of a batch."""
        if self.size == 1:
            return batch
        n_features = batch.shape[1]
        first, last = self.rows(batch.shape[0])
        bounds = torch.tensor([first, last], device=batch.positions.device) * n_features
        here = slice(*torch.searchsorted(batch.positions, bounds).tolist())
        positions = batch.positions[here] - first * n_features
        return SparseBatch(positions, batch.values[here], (last - first, n_features))

    def rows(self, n_samples: int) -> tuple[int, int]:
        """Returns the first of this process's samples of a batch, and the first that is not."""
        return n_samples * self.rank // self.size, n_samples * (self.rank + 1) // self.size

    def average(self, tensors: Sequence[Tensor], n_samples: int, n_all: int) -> None:
        """Replaces means over this process's samples by those over the samples of all."""
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor.mul_(n_samples / n_all))

    def highest(self, number: int) -> int:
        """Returns the highest of the numbers that the processes give."""
        if self.size == 1:
            return number
        found = _number(self.device).fill_(number)
        distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
        return int(found)

    def copy_from_first(self, tensor: Tensor) -> Tensor:
        """Returns the first process's tensor; all give one of its shape."""
        if self.size == 1:
            return tensor
        copy = tensor.detach().to(self.device).contiguous()
        distributed.broadcast(copy, src=0)
        return copy.to(tensor.device)


ALONE = Ranks()


@lru_cache(maxsize=4)
def _number(device: str) -> Tensor:
    """Returns a tensor of one number to exchange.

    It is kept: a thread of torch's that drops the last reference to a tensor needs the interpreter, and aborts the
    process if that has just ended.
    """
    return torch.zeros((), dtype=torch.int64, device=device)


@contextlib.contextmanager
def launched(device: torch.device) -> Iterator[torch.device]:
    """Joins the processes that torchrun has started, if it has; yields this one's device.

    Raises:
        ValueError: There are more processes than GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"`--nproc-per-node` must be at most the number of GPUs, {torch.cuda.device_count()}, "
                f"got a process with local rank {local}"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()
