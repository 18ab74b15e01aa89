"""What iterative decoders share: samples leave the batch as they settle or diverge."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.decoders.base import Decoded, Decoder
from superposition.features import SparseFeatures
from superposition.models.encoders import Encoder

# A sample diverges when its effective noise exceeds the least so far by this factor.
_RISE = 3.0
# An effective noise below this share of the start, in units of the squared precision, is none.
_ROUNDING = 1e3
_REASONS = (
    "",
    "its noise estimate grew: try more damping, or another decoder",
    "it was still changing at the last step",
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
        _checks.in_interval("damping", self.damping, 0, 1, open_high=True)
        _checks.in_interval("tolerance", self.tolerance, 0, 1, open_low=True, open_high=True)
        if self.noise_variance is not None:
            _checks.finite("noise_variance", self.noise_variance, non_negative=True)


@dataclass
class Progress:
    """Which samples of a batch still change, and the results of those that do not.

    Attributes:
        x: Results, shape (batch, n_features).
        rows: Which samples still change.
        tolerance: As of the decoder.
        floor: Expected loss that is rounding.
    """

    x: Float[Tensor, "batch n_features"]
    tolerance: float
    floor: float
    rows: Tensor = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        count, device = len(self.x), self.x.device
        self.rows = torch.arange(count, device=device)
        self._reason = torch.full((count,), 2, device=device)
        self._iterations = torch.zeros(count, dtype=torch.long, device=device)
        self._loss = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        self._least_noise = torch.full((count,), torch.inf, dtype=torch.float64, device=device)

    def advance(self, x: Tensor, loss: Tensor, noise: Tensor) -> Tensor | None:
        """Notes a step of the samples that still change; returns which of them go on, None for all.

        Args:
            x: Their estimates.
            loss: Their expected loss per feature.
            noise: Their effective noise variance before the step.
        """
        self.steps += 1
        loss, noise = loss.double(), noise.double()
        lost = ~(torch.isfinite(loss) & torch.isfinite(noise)) | (noise > _RISE * self._least_noise)
        settled = ((self._loss - loss).abs() <= self.tolerance * loss) | (loss <= self.floor)
        settled &= ~lost
        self._loss, self._least_noise = loss, torch.minimum(self._least_noise, noise)
        ended = lost | settled
        self._iterations[self.rows] = self.steps
        if not bool(ended.any()):
            return None
        self._reason[self.rows] = torch.where(settled, 0, torch.where(lost, 1, 2))
        self.x[self.rows[ended]] = x[ended]
        on = torch.nonzero(~ended)[:, 0]
        self.rows, self._loss, self._least_noise = self.rows[on], self._loss[on], self._least_noise[on]
        return on

    def result(self, last: Tensor, hidden: Tensor, encoder: Encoder) -> Decoded:
        """Returns the results, with the last estimates of samples that still change."""
        self.x[self.rows] = last
        counts = [int((self._reason == reason).sum()) for reason in range(len(_REASONS))]
        why = "; ".join(
            f"{count} of {len(self.x)} samples: {reason}"
            for count, reason in zip(counts[1:], _REASONS[1:], strict=True)
            if count
        )
        x = torch.nan_to_num(self.x)
        residual = encoder.residual_norm(hidden, x)
        return Decoded(x, self._reason == 0, self._iterations, residual, None, why)


def started(hidden: Tensor, encoder: Encoder, features: SparseFeatures, tolerance: float) -> Progress:
    """Returns the progress of a batch that starts at the prior mean."""
    x = torch.full((len(hidden), encoder.n_features), float(features.mean), dtype=hidden.dtype, device=hidden.device)
    floor = _ROUNDING * torch.finfo(hidden.dtype).eps ** 2 * float(features.second_moment)
    return Progress(x, tolerance, floor)
