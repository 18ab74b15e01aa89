"""What training returns: the model, its curve, its held-out loss, and why it stopped."""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition._provenance import provenance
from superposition.diagnostics.loss import placement
from superposition.estimate import Estimate
from superposition.features import Features
from superposition.models import Reconstructor
from superposition.training.config import TrainingConfig

Stopped = Literal["completed", "plateau", "step limit", "diverged", "collapsed"]


@dataclass(frozen=True)
class Curve:
    """The training loss in windows of consecutive batches.

    Attributes:
        step: Last step of each window.
        loss: Mean loss per feature of the window's batches, each measured before it was trained on.
        standard_error: Its standard error, from the spread within the window.
    """

    step: tuple[int, ...]
    loss: tuple[float, ...]
    standard_error: tuple[float, ...]

    @classmethod
    def of(cls, losses: Float[Tensor, " steps"], window: int = 50) -> "Curve":
        """Returns the curve of a record of batch losses; a last, shorter window is kept."""
        losses = _tensors.real("losses", losses, "steps").detach()
        _checks.whole_number("window", window)
        parts = [losses[start : start + window].double() for start in range(0, losses.numel(), window)]
        ends = torch.tensor([len(part) for part in parts]).cumsum(0).tolist()
        errors = [float(part.std()) / sqrt(len(part)) if len(part) > 1 else float("nan") for part in parts]
        return cls(tuple(ends), tuple(float(part.mean()) for part in parts), tuple(errors))


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes:
        model: The trained model.
        features: What it was trained on.
        config: How.
        seed: Seed of initialisation-independent randomness: batches and held-out samples.
        loss: Held-out loss per feature, squared feature units, on samples never trained on.
        curve: Training loss by window.
        stopped: "completed" (the schedule ended), "plateau" (the stop rule), "step limit" (the rule never
            fired), "diverged" (a loss was not finite) or "collapsed" (no better than half way from the
            constant prediction to the linear optimum).
        steps: Steps done.
        seconds: Wall-clock time of this process's part of the training and of the held-out loss, in seconds; of all
            models together if trained together.
    """

    model: Reconstructor
    features: Features
    config: TrainingConfig
    seed: int
    loss: Estimate
    curve: Curve
    stopped: Stopped
    steps: int
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Whether the run ended as its protocol means it to."""
        return self.stopped in ("completed", "plateau")

    def record(self) -> dict[str, Any]:
        """Returns the run as plain data, without weights and curve."""
        return {
            "stopped": self.stopped,
            "steps": self.steps,
            "loss": self.loss.to_config(),
            "seed": self.seed,
            "config": {**self.config.fields(), "rate_cap": str(self.config.rate_cap)},
            "features": self.features.to_config(),
            "n_hidden": self.model.n_hidden,
            "seconds": self.seconds,
            "threads": torch.get_num_threads(),
            "device": str(placement(self.model)[0]),
            **provenance(),
        }
