"""Checks of tensor arguments, in the wording of `_checks`."""

from math import isfinite, sqrt
from typing import Any

import torch
from torch import Tensor

from superposition import _checks

# Those that weights may have.
FLOATING = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def real(name: str, value: Any, *shape: int | str) -> Tensor:
    """Returns `value`, checked to be a dense floating tensor of the given shape, a word standing for any length."""
    is_real = isinstance(value, Tensor) and value.is_floating_point() and value.layout == torch.strided
    if not is_real or value.device.type == "meta":
        raise ValueError(f"`{name}` must be a dense tensor of real numbers, got {_named(value)}")
    lengths = tuple(value.shape)
    fits = len(lengths) == len(shape) and all(isinstance(b, str) or a == b for a, b in zip(lengths, shape, strict=True))
    if not fits:
        wanted = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
        raise ValueError(f"`{name}` must have shape ({wanted}), got {lengths}")
    return value  # type: ignore[no-any-return]


def rows(name: str, value: Any, length: int) -> Tensor:
    """Returns `value`, checked to be a floating tensor of so many entries along its last axis, whatever the others."""
    if not (isinstance(value, Tensor) and value.is_floating_point() and value.layout == torch.strided):
        raise ValueError(f"`{name}` must be a dense tensor of real numbers, got {_named(value)}")
    if not value.ndim or value.shape[-1] != length:
        raise ValueError(f"`{name}` must have {length} entries along its last axis, got shape {tuple(value.shape)}")
    return value


def finite(name: str, value: Tensor) -> Tensor:
    """Returns `value`; raises ValueError naming the first entry that is NaN or infinite.

    A sum that is finite has finite terms only: one pass that writes nothing. Only if it is not are the entries looked
    at one by one.
    """
    entries = value.detach()
    if isfinite(float(entries.sum())):
        return value
    bad = ~torch.isfinite(entries)
    if bool(bad.any()):
        index = tuple(torch.nonzero(bad)[0].tolist())
        where = f" at index {index[0] if len(index) == 1 else index}" if index else ""
        raise ValueError(f"`{name}` must be finite, got {float(entries[index]):g}{where}")
    return value


def alike(name: str, value: Tensor, other: str, dtype: torch.dtype | None, device: torch.device | None) -> Tensor:
    """Returns `value`; raises ValueError unless it has the dtype and device of another argument, where it has one."""
    if dtype is not None and value.dtype != dtype:
        raise ValueError(f"`{name}` must have {other}'s dtype {dtype}, got {value.dtype}: convert it with .to({dtype})")
    if device is not None and value.device != device:
        raise ValueError(f"`{name}` must lie on {other}'s device {device}, got {value.device}: move one of them")
    return value


def floating(name: str, value: Any) -> torch.dtype:
    """Returns a dtype; raises ValueError unless it is a floating one that torch draws numbers of."""
    if not any(value is dtype for dtype in FLOATING):
        raise ValueError(f"`{name}` must be a floating dtype of torch, got {_checks.shown(value)}")
    return value  # type: ignore[no-any-return]


def bounds(dtype: torch.dtype) -> tuple[float, float]:
    """Returns the least and largest size of numbers whose squares, and sums of many of these, a dtype resolves.

    Third roots of its own: about 1e∓12 for float32, 1e∓102 for float64.
    """
    kind = torch.finfo(dtype)
    return kind.tiny ** (1 / 3), kind.max ** (1 / 3)


def moderate(name: str, second_moment: float, dtype: torch.dtype) -> None:
    """Raises ValueError unless a root mean square is of a size that a dtype computes with."""
    least, largest = bounds(dtype)
    size = sqrt(second_moment)
    if not least <= size <= largest:
        raise ValueError(
            f"`{name}` must have a root mean square in [{least:.0e}, {largest:.0e}] for {dtype}, got {size:g}: "
            "use another unit"
        )


def _named(value: Any) -> str:
    if not isinstance(value, Tensor):
        return _checks.shown(value)
    place = f" on {value.device}" if value.device.type == "meta" else ""
    layout = f" ({value.layout})" if value.layout != torch.strided else ""
    return f"a tensor of {value.dtype}{layout}{place}"


def check_shapes(
    tensors: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], *, whole: tuple[str, ...] = ()
) -> None:
    """Raises ValueError unless there are tensors of these names and shapes, all of one floating type but the whole."""
    if set(tensors) != set(shapes):
        raise ValueError(f"the tensors must be {', '.join(sorted(shapes))}, got {', '.join(sorted(tensors))}")
    floating = {tensor.dtype for name, tensor in tensors.items() if name not in whole}
    if len(floating) > 1 or not floating <= FLOATING or any(tensors[name].dtype != torch.int64 for name in whole):
        types = ", ".join(f"{name} {tensor.dtype}" for name, tensor in tensors.items())
        raise ValueError(f"the tensors must have one floating type, whole numbers int64, got {types}")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"`{name}` must have shape {shape}, got {tuple(tensors[name].shape)}")
