"""Random streams derived from (seed, what it is for), never from the order of draws."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from superposition import _checks

if TYPE_CHECKING:
    import torch


def derived_seed(seed: int, *purpose: str | int) -> int:
    """Returns a 32-bit seed for one purpose; equal arguments give equal seeds on every machine.

    32 bits, because that is all that torch's CPU generator keeps of a seed.
    """
    text = "/".join(str(part) for part in (_checks.seed(seed), *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def numpy_rng(seed: int, *purpose: str | int) -> np.random.Generator:
    """Returns NumPy's generator for one purpose."""
    return np.random.default_rng(derived_seed(seed, *purpose))


def torch_generator(seed: int, *purpose: str | int, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """Returns torch's generator for one purpose on a device."""
    import torch

    return torch.Generator(device).manual_seed(derived_seed(seed, *purpose))
