"""The noise on hidden units in training: one draw a step, whoever takes the step."""

from typing import final

import torch
from torch import Tensor

from superposition._random import torch_generator
from superposition.diagnostics.loss import placement
from superposition.features import Features
from superposition.models import Reconstructor
from superposition.training.ranks import ALONE, Ranks


@final
class HiddenNoise:
    """Draws a model's hidden noise from (seed, step) alone, so that a run that goes on meets the same.

    Args:
        model: Whose; the size of the noise moves with its encoder.
        features: What it sees.
        seed: Of the run.
        ranks: Processes that share out a batch, and what one of them would draw.
    """

    def __init__(self, model: Reconstructor, features: Features, seed: int, ranks: Ranks = ALONE) -> None:
        self._model, self._features, self._seed, self._ranks = model, features, seed, ranks
        self._device = placement(model)[0]

    def __call__(self, n_samples: int, step: int) -> Tensor | None:
        """Returns the noise of this process's share of a step's samples, with its gradient; None if there is none."""
        if self._model.hidden_noise == 0:
            return None
        generator = torch_generator(self._seed, "hidden noise", step, device=self._device)
        with torch.enable_grad():
            noise = self._model.drawn_noise(n_samples, self._features, generator)
            return None if noise is None else noise[slice(*self._ranks.rows(n_samples))]
