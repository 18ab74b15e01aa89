"""Torch devices by name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def device_of(name: str) -> "torch.device":
    """Returns a torch device that is there.

    Raises:
        ValueError: It is not.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"`device` must be one that is there, got {name!r}: {str(error).splitlines()[0].split('. ')[0]}"
        ) from None
    return device
