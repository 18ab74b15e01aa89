"""Random numbers for sampling: NumPy's on a processor, where they are fast, and torch's on any other device."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from superposition import _checks


class Source(Protocol):
    """Independent random numbers on one device, all decided by the state of a torch.Generator."""

    device: torch.device

    def uniforms(self, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Returns n numbers uniform on [0, 1)."""

    def exponentials(self, n: int) -> Tensor:
        """Returns n exponential numbers of mean 1, float64."""

    def normals(self, n: int) -> Tensor:
        """Returns n standard normal numbers, float64."""

    def gammas(self, shape: float, n: int) -> Tensor:
        """Returns n gamma-distributed numbers of scale 1, float64."""

    def constants(self, value: float, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Returns a value n times."""
        return torch.full((n,), value, device=self.device, dtype=dtype)

    def chosen(self, values: Sequence[float], weights: Sequence[float], n: int) -> Tensor:
        """Returns n of the values, each as often as its weight says, weights of sum 1; float64.

        The last weight is not summed: a sum that rounds to less than 1 leaves no uniform number without a value. The
        uniforms have 53 digits: fewer would cut tails off.
        """
        atoms, shares = (torch.tensor(each, device=self.device, dtype=torch.float64) for each in (values, weights))
        return atoms[torch.searchsorted(shares[:-1].cumsum(0), self.uniforms(n), right=True)]


def source_of(generator: torch.Generator) -> Source:
    """Returns the source that a generator's state decides, on its device."""
    _checks.instance("generator", generator, torch.Generator, "a torch.Generator")
    return _Processor(generator) if generator.device.type == "cpu" else _Device(generator)


class _Processor(Source):
    """NumPy's SFC64, seeded by the generator: two to five times faster than torch's own numbers."""

    device = torch.device("cpu")

    def __init__(self, generator: torch.Generator) -> None:
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        self._random = np.random.Generator(np.random.SFC64(seed))

    def uniforms(self, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
        kind = np.float64 if dtype == torch.float64 else np.float32
        return torch.from_numpy(self._random.random(n, dtype=kind)).to(dtype)

    def exponentials(self, n: int) -> Tensor:
        return torch.from_numpy(self._random.standard_exponential(n))

    def normals(self, n: int) -> Tensor:
        return torch.from_numpy(self._random.standard_normal(n))

    def gammas(self, shape: float, n: int) -> Tensor:
        return torch.from_numpy(self._random.standard_gamma(shape, n))


class _Device(Source):
    """torch's numbers on the generator's device."""

    def __init__(self, generator: torch.Generator) -> None:
        self.device, self._generator = generator.device, generator

    def uniforms(self, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.rand(n, generator=self._generator, device=self.device, dtype=dtype)

    def exponentials(self, n: int) -> Tensor:
        return -torch.log1p(-self.uniforms(n))

    def normals(self, n: int) -> Tensor:
        return torch.randn(n, generator=self._generator, device=self.device, dtype=torch.float64)

    def gammas(self, shape: float, n: int) -> Tensor:
        shapes = torch.full((n,), shape, device=self.device, dtype=torch.float64)
        return torch._standard_gamma(shapes, generator=self._generator)
