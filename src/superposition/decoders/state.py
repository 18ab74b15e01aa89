"""What iterative decoders share: samples leave the batch as they settle or diverge."""

import abc
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded, Decoder, check_noise
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder

# Entries taken together: temporary memory that fits a cache, or makes a matrix product worth its while.
_BLOCK, _DENSE_BLOCK = 2**18, 2**20
# A sample diverges when its effective noise exceeds the least so far by this factor.
_RISE = 3.0
# An effective noise below this share of the start, in units of the squared precision, is none.
_ROUNDING = 1e3
_REASONS = (
    "",
    "its noise estimate grew: try more damping, or another decoder",
    "it was still changing at the last step",
    "its activations left the range of their type: use another unit, or float64",
)


def _check_range(features: SparseFeatures, dtype: torch.dtype) -> None:
    """Raises ValueError if the noise estimates, variances of features and less, would leave the type."""
    least = torch.finfo(dtype).tiny / torch.finfo(dtype).eps
    if (variance := float(np.min(features.variance))) < least:
        raise ValueError(
            f"`features` must have variances of at least {least:.0e} to be decoded in {dtype}, got {variance:.3g}: "
            "take a larger probability, or float64"
        )


@dataclass(frozen=True, eq=False)
class MessagePassing(Decoder):
    """Steps between the encoder's linear constraints and the prior.

    Args:
        n_steps: Most steps, ≥ 1.
        damping: Share of the last estimate that stays in the next, in [0, 1).
        tolerance: A sample has settled when a step changes its expected loss by less than this share, or when nothing
            is left of it but rounding.
        noise_variance: s² ≥ 0 of the noise on the hidden activations, feature units squared; None if it is not known.
    """

    n_steps: int = 100
    damping: float = 0.0
    tolerance: float = 1e-3
    noise_variance: float | None = 0.0

    def __post_init__(self) -> None:
        _checks.whole_number("n_steps", self.n_steps)
        _checks.one("damping", _checks.in_interval("damping", self.damping, 0, 1, open_high=True))
        tolerance = _checks.in_interval("tolerance", self.tolerance, 0, 1, open_low=True, open_high=True)
        _checks.one("tolerance", tolerance)
        if self.noise_variance is not None:
            check_noise(self.noise_variance)

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:
        """Decodes a batch, so many samples at a time as fit a core's cache."""
        self.check(encoder, features)
        _check_range(features, hidden.dtype)
        entries = _BLOCK if encoder.is_tight else _DENSE_BLOCK
        size = max(1, entries // encoder.n_features)
        progress = [self.run(part, encoder, features) for part in torch.split(hidden, size)]
        x = torch.cat([part.x for part in progress])
        reason = torch.cat([part.reason for part in progress])
        counts = torch.bincount(reason, minlength=len(_REASONS)).tolist()
        why = [
            f"{count} of {len(x)} samples: {reason}"
            for count, reason in zip(counts, _REASONS, strict=True)
            if count and reason
        ]
        iterations = torch.cat([part.iterations for part in progress])
        return Decoded(x, reason == 0, iterations, encoder.residual_norm(hidden, x), None, "; ".join(why))

    @abc.abstractmethod
    def check(self, encoder: Encoder, features: SparseFeatures) -> None:
        """Raises ValueError if the decoder cannot work on these."""

    @abc.abstractmethod
    def run(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> "Progress":
        """Iterates on some samples until all have ended."""


@dataclass
class Progress:
    """Which samples of a batch still change, and the results of those that do not.

    Attributes:
        x: Results, shape (batch, n_features).
        tolerance: As of the decoder.
        floor: Expected loss that is rounding.
        rows: Which samples still change.
        reason: Why each ended, 0 if it settled.
        iterations: How many each took.
    """

    x: Float[Tensor, "batch n_features"]
    tolerance: float
    floor: float
    rows: Tensor = field(init=False)
    reason: Tensor = field(init=False)
    iterations: Tensor = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        count, device = len(self.x), self.x.device
        self.rows = torch.arange(count, device=device)
        self.reason = torch.full((count,), 2, device=device)
        self.iterations = torch.zeros(count, dtype=torch.long, device=device)
        self._loss = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        self._least_noise = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        self._within = torch.ones(count, dtype=torch.bool, device=device)

    def observed(self, r: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Returns r and σ as the denoiser takes them: of samples that leave the range of their type, others for them.

        Such samples end with this step, where they started: at the prior mean.
        """
        self._within = noise <= torch.finfo(r.dtype).max  # False for NaN
        if bool(self._within.all()):
            return r, noise.sqrt()
        return r.masked_fill(~self._within[:, None], 0.0), noise.masked_fill(~self._within, 1.0).sqrt()

    def advance(self, x: Tensor, loss: Tensor, noise: Tensor) -> Tensor | None:
        """Notes a step of the samples that still change; returns which of them go on, None for all.

        Args:
            x: Their estimates.
            loss: Their expected loss per feature.
            noise: Their effective noise variance before the step.
        """
        self.steps += 1
        loss, noise = loss.double(), noise.double()
        lost = ~(self._within & torch.isfinite(loss)) | (noise > _RISE * self._least_noise)
        settled = ((self._loss - loss).abs() <= self.tolerance * loss) | (loss <= self.floor)
        settled &= ~lost
        self._loss, self._least_noise = loss, torch.minimum(self._least_noise, noise)
        ended = lost | settled
        self.iterations[self.rows] = self.steps
        if not bool(ended.any()):
            return None
        self.reason[self.rows] = torch.where(settled, 0, torch.where(lost, torch.where(self._within, 1, 3), 2))
        written = ended & self._within
        self.x[self.rows[written]] = x[written]
        on = torch.nonzero(~ended)[:, 0]
        self.rows, self._loss, self._least_noise = self.rows[on], self._loss[on], self._least_noise[on]
        return on

    def ended(self, last: Tensor) -> Self:
        """Returns itself, with the last estimates of samples that still change."""
        self.x[self.rows] = last
        return self


def started(hidden: Tensor, encoder: Encoder, features: SparseFeatures, tolerance: float) -> Progress:
    """Returns the progress of a batch that starts at the prior mean."""
    x = torch.full((len(hidden), encoder.n_features), float(features.mean), dtype=hidden.dtype, device=hidden.device)
    floor = _ROUNDING * torch.finfo(hidden.dtype).eps ** 2 * float(features.second_moment)
    return Progress(x, tolerance, floor)
