"""Sampling of each law with torch, apart from the laws, which need none."""

from functools import singledispatch

import torch
from torch import Tensor

from superposition.features.laws import Beta, Constant, Empirical, Exponential, HalfNormal, Law, Uniform


@singledispatch
def draw_values(law: Law, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Returns n independent values of a law on the generator's device.

    Raises:
        NotImplementedError: The law is of a kind that is not registered here.
    """
    raise NotImplementedError(f"`law` must be one of the laws of this package to be sampled, got {law!r}")


@draw_values.register
def _(law: Uniform, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    uniforms = torch.rand(n, generator=generator, device=generator.device, dtype=dtype)
    return law.low + (law.high - law.low) * uniforms


@draw_values.register
def _(law: Constant, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    return torch.full((n,), law.value, device=generator.device, dtype=dtype)


@draw_values.register
def _(law: Exponential, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    return (-law.scale * torch.log1p(-_uniforms(n, generator))).to(dtype)


@draw_values.register
def _(law: HalfNormal, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    gaussians = torch.randn(n, generator=generator, device=generator.device, dtype=torch.float64)
    return (law.scale * gaussians.abs()).to(dtype)


@draw_values.register
def _(law: Beta, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    def log_gamma(shape: float) -> Tensor:
        # G(shape) = G(shape + 1) U^(1/shape): a small shape neither underflows nor ends in 0/0.
        shapes = torch.full((n,), shape + 1, device=generator.device, dtype=torch.float64)
        logs = torch._standard_gamma(shapes, generator=generator).log()
        return logs + torch.log1p(-_uniforms(n, generator)) / shape

    return torch.sigmoid(log_gamma(law.alpha) - log_gamma(law.beta)).to(dtype)


@draw_values.register
def _(law: Empirical, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    values, weights = (
        torch.tensor(atoms, device=generator.device, dtype=torch.float64) for atoms in (law.values, law.weights)
    )
    # The last weight is not summed: a sum that rounds to less than 1 leaves no uniform without a value.
    return values[torch.searchsorted(weights[:-1].cumsum(0), _uniforms(n, generator), right=True)].to(dtype)


def _uniforms(n: int, generator: torch.Generator) -> Tensor:
    """Returns uniforms in float64: those of fewer digits would cut tails off."""
    return torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
