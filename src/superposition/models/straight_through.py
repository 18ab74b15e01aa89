"""Activations that jump, trained straight through: a rectangle stands in the place of the derivative of a jump."""

from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.models.activation import Activation


class StraightThrough(Activation):
    """An activation that jumps.

    Args:
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.
    """

    setting: ClassVar[str | None] = "bandwidth"

    def __init__(self, *, bandwidth: float = 0.1) -> None:
        super().__init__()
        width = _checks.in_interval("bandwidth", bandwidth, 0, float("inf"), open_low=True, open_high=True)
        self.bandwidth = _checks.one("bandwidth", width)

    def settings(self) -> dict[str, Any]:
        """Returns the bandwidth."""
        return {"bandwidth": self.bandwidth}

    def extra_repr(self) -> str:
        """Returns the bandwidth, and parameters that all features share."""
        shared = {name: value.item() for name, value in self.named_parameters() if not value.ndim}
        return ", ".join(f"{name}={value:.5g}" for name, value in {"bandwidth": self.bandwidth, **shared}.items())


class StraightThroughWithParameters(StraightThrough):
    """An activation that jumps and has parameters of its own.

    Args:
        n_features: Number of features, of which each has its own; None for parameters that all share.
        bandwidth: As of any that jumps.
    """

    def __init__(self, n_features: int | None = None, *, bandwidth: float = 0.1) -> None:
        super().__init__(bandwidth=bandwidth)
        self.n_features = None if n_features is None else _checks.whole_number("n_features", n_features)

    def settings(self) -> dict[str, Any]:
        """Returns the bandwidth, and whether all features share the parameters."""
        return super().settings() | ({"shared": True} if self.n_features is None else {})

    @classmethod
    def of(cls, n_features: int | None, settings: dict[str, Any]) -> Self:
        """Returns one of these settings for so many features."""
        others = dict(settings)
        return cls(None if others.pop("shared", False) else n_features, **others)

    def started_at(self, value: float) -> Tensor:
        """Returns the parameters' first values; a shared one in double precision, which a fit needs."""
        if self.n_features is None:
            return torch.tensor(value, dtype=torch.float64)
        return torch.full((self.n_features,), value)


def open_where(value: Float[Tensor, "*some"], t: Float[Tensor, "*some"], width: float) -> Float[Tensor, "*some"]:
    """Returns value 1[t > 0]; the derivative of the jump counts as 1/width for |t| < width/2 and 0 beyond.

    >>> t = torch.tensor([-1.0, 0.1], requires_grad=True)
    >>> open_where(torch.tensor([3.0, 3.0]), t, 0.5).sum().backward()
    >>> t.grad
    tensor([0., 6.])
    """
    return _Open.apply(value, t, width)  # type: ignore[no-any-return, no-untyped-call]


class _Open(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, t: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(value, t)
        ctx.width = width
        # Closed and not open: what is no number has to be seen.
        return value.masked_fill(t <= 0, 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        value, t = ctx.saved_tensors
        gradient = gradients[0]
        return gradient.masked_fill(t <= 0, 0.0), gradient * value * (t.abs() < ctx.width / 2) / ctx.width, None
