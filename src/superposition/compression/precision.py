"""What floating point leaves of a nested scheme: the digits and the rest share the bits of one number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch

from superposition import _checks
from superposition._random import numpy_rng
from superposition.compression.nesting import NestedScheme, mean_over_samples
from superposition.compression.scheme import QuantizedPair
from superposition.estimate import Estimate

Precision = Literal["bfloat16", "float16", "float32"]
Place = Literal["code", "network"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_RAMPS = tuple(2.0**-k for k in range(1, 16))


@dataclass(frozen=True)
class Carried:
    """A scheme with the ramp that suits a precision best.

    Attributes:
        scheme: The scheme; its pair is guarded, its ramp in units of a segment.
        loss: Mean square error per feature at that precision.
    """

    scheme: NestedScheme
    loss: Estimate


def loss_at_precision(
    scheme: NestedScheme, precision: Precision, place: Place = "code", *, n_samples: int = 8192, seed: int = 0
) -> Estimate:
    """Mean square error per feature where numbers have few bits.

    Args:
        scheme: Any scheme for "code"; one with ramps for "network".
        precision: A floating type of torch.
        place: "code" rounds the hidden dimensions alone and computes the rest in float64: what any circuit has to live
            with. "network" computes everything in that type, weights included, by the minimal network.
        n_samples: Samples of uniform features, ≥ 2.
        seed: Of the samples.

    Raises:
        ValueError: An argument is unknown, or the network cannot be built.
    """
    _checks.instance("scheme", scheme, NestedScheme, "a NestedScheme")
    _checks.choice("precision", precision, PRECISIONS)
    _checks.choice("place", place, get_args(Place))
    dtype: torch.dtype = getattr(torch, precision)
    x = numpy_rng(seed, "precision", scheme.n_features).random(
        (_checks.whole_number("n_samples", n_samples, low=2), scheme.n_features)
    )
    if place == "code":
        decoded = scheme.decode(torch.from_numpy(scheme.encode(x)).to(dtype).double().numpy())
    else:
        with torch.no_grad():
            decoded = scheme.to_network().to(dtype)(torch.from_numpy(x).to(dtype)).double().numpy()
    return mean_over_samples(((decoded - x) ** 2).mean(axis=1))


def best_at_precision(
    n_features: int,
    n_hidden: int,
    levels: int,
    precision: Precision,
    place: Place = "code",
    *,
    n_samples: int = 8192,
    seed: int = 0,
) -> Carried:
    """The ramp of least loss for a number of levels: wide ramps lose by themselves, narrow ones by rounding.

    Ramps are powers of 1/2 of a segment from 1/2 to 2⁻¹⁵, guarded; arguments as for `loss_at_precision`.
    """
    scheme = NestedScheme(n_features, n_hidden, QuantizedPair(levels, 0.5, "segment", "guarded"))
    tried = []
    for ramp in _RAMPS:
        each = replace(scheme, pair=replace(scheme.pair, ramp=ramp))
        tried.append(Carried(each, loss_at_precision(each, precision, place, n_samples=n_samples, seed=seed)))
    return min(tried, key=lambda carried: carried.loss.value)


def levels_carried(
    precision: Precision,
    place: Place = "code",
    *,
    levels: Sequence[int] = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64),
    n_features: int = 2,
    n_hidden: int = 1,
    seed: int = 0,
) -> Carried:
    """The number of levels, among those given, and the ramp of least loss at a precision.

    >>> levels_carried("bfloat16").scheme.pair.levels
    6
    """
    levels = _checks.sequence("levels", levels, "numbers of levels")
    if not levels:
        raise ValueError("`levels` must hold at least one number of levels, got none")
    found = [best_at_precision(n_features, n_hidden, each, precision, place, seed=seed) for each in levels]
    return found[int(np.argmin([carried.loss.value for carried in found]))]
