"""Sampling of each law, apart from the laws, which need no torch."""

from functools import singledispatch

import torch
from torch import Tensor

from superposition import _checks, _tensors
from superposition.features.laws import Beta, Constant, Empirical, Exponential, HalfNormal, Law, Uniform
from superposition.features.source import Source, source_of


def drawn(law: Law, n: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Returns n independent values of a law on the generator's device.

    Raises:
        ValueError: An argument is of another kind, or the law's values are too large or small for the dtype.
    """
    _checks.instance("generator", generator, torch.Generator, "a torch.Generator")
    dtype = _tensors.floating("dtype", dtype)
    _tensors.moderate("law", law.second_moment, dtype)
    return draw_values(law, _checks.whole_number("n", n, low=0), source_of(generator), dtype)


@singledispatch
def draw_values(law: Law, n: int, source: Source, dtype: torch.dtype) -> Tensor:
    """Returns n independent values of a law on the source's device.

    Raises:
        NotImplementedError: The law is of a kind that is not registered here.
    """
    raise NotImplementedError(f"`law` must be one of the laws of this package to be sampled, got {law!r}")


@draw_values.register
def _(law: Uniform, n: int, source: Source, dtype: torch.dtype) -> Tensor:
    return source.uniforms(n, dtype).mul_(law.high - law.low).add_(law.low)


@draw_values.register
def _(law: Constant, n: int, source: Source, dtype: torch.dtype) -> Tensor:
    return torch.full((n,), law.value, device=source.device, dtype=dtype)


@draw_values.register
def _(law: Exponential, n: int, source: Source, dtype: torch.dtype) -> Tensor:
    return source.exponentials(n).mul_(law.scale).to(dtype)


@draw_values.register
def _(law: HalfNormal, n: int, source: Source, dtype: torch.dtype) -> Tensor:
    return source.normals(n).abs_().mul_(law.scale).to(dtype)


@draw_values.register
def _(law: Beta, n: int, source: Source, dtype: torch.dtype) -> Tensor:
    def log_gamma(shape: float) -> Tensor:
        # G(shape) = G(shape + 1) U^(1/shape): a small shape neither underflows nor ends in 0/0.
        return source.gammas(shape + 1, n).log_() - source.exponentials(n) / shape

    return torch.sigmoid(log_gamma(law.alpha) - log_gamma(law.beta)).to(dtype)


@draw_values.register
def _(law: Empirical, n: int, source: Source, dtype: torch.dtype) -> Tensor:
    values, weights = (
        torch.tensor(atoms, device=source.device, dtype=torch.float64) for atoms in (law.values, law.weights)
    )
    # The last weight is not summed: a sum that rounds to less than 1 leaves no uniform without a value. The
    # uniforms have 53 digits: fewer would cut tails off.
    return values[torch.searchsorted(weights[:-1].cumsum(0), source.uniforms(n), right=True)].to(dtype)
