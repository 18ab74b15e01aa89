"""The engine of the training loop for many networks of one depth."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.compression.network import CompressionNetwork
from superposition.compression.stack import NetworkStack
from superposition.features import Features
from superposition.features.sampling import SparseBatch
from superposition.training.config import TrainingConfig
from superposition.training.flat_adam import FlatAdam


@final
class ManyNetworks:
    """Networks of one depth and any widths on the same batches, their layers side by side; gradients by autograd."""

    def __init__(self, networks: Sequence[CompressionNetwork], features: Features, config: TrainingConfig) -> None:
        self._networks, self._stack = networks, NetworkStack.of(networks)
        self._adam = FlatAdam(list(self._stack.parameters()), config)
        for rate in self._adam.rates:
            rate.fill_(config.peak_rate(features.n_features, networks[0].n_hidden, features.density))
        importance = torch.tensor(features.per_feature(features.importance)).to(self._adam.values)
        self._importance = None if bool((importance == 1).all()) else importance

    def advance(self, batch: SparseBatch, step: int) -> Float[Tensor, " models"]:
        """Does a step on a batch; returns each network's loss before it."""
        x = batch.to_dense()
        errors = (self._stack(x) - x).square()
        losses: Tensor = (errors if self._importance is None else errors * self._importance).mean((1, 2))
        self._adam.gradient.zero_()
        # The sum over networks: each has the gradient that it would have alone.
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self._adam.step(step)
        return losses.detach()

    def freeze(self, index: int) -> None:
        """Leaves a network as it is: its rate is 0 from now on."""
        for rate in self._adam.rates:
            rate[index] = 0

    def state(self) -> dict[str, Tensor]:
        """Returns parameters, rates and averages."""
        return self._adam.state()

    def restore(self, state: dict[str, Tensor], step: int) -> None:  # noqa: ARG002  (nothing here counts steps)
        """Goes back to a state."""
        self._adam.restore(state)

    def release(self) -> None:
        """Gives the networks the weights that their copies have learned."""
        self._stack.write_to(self._networks)
