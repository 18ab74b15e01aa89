"""What training minimises: the loss, with whatever a user adds to it."""

import abc
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.models import Reconstructor


class Objective(abc.ABC):
    """What the gradient of a step is taken of. Subclasses are frozen dataclasses: their fields are their identity."""

    @abc.abstractmethod
    def __call__(
        self,
        loss: Float[Tensor, ""],
        model: Reconstructor,
        x: Float[Tensor, "batch n_features"],
        reconstruction: Float[Tensor, "batch n_features"],
    ) -> Float[Tensor, ""]:
        """Returns what to minimise, differentiable.

        Args:
            loss: Mean square error of the batch per feature, weighted by importance.
            model: In training; its parameters may be penalised.
            x: The batch.
            reconstruction: What the model makes of it.
        """


@final
@dataclass(frozen=True)
class Reconstruction(Objective):
    """The loss, a penalty on the outputs' size and one on the weights.

    Args:
        sparsity: Times the mean of |x̂|, in feature units; of either sign.
        weight_decay: Times half the sum of squares of all parameters but vectors, over n_features; of either sign, as a
            negative one makes weights grow.

    Raises:
        ValueError: A factor is not finite.

    Reference: Toy Models of Superposition uses the loss alone; Cunningham et al. 2023 for the penalty on outputs.
    """

    sparsity: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sparsity", "weight_decay"):
            object.__setattr__(self, name, _checks.one(name, _checks.finite(name, getattr(self, name))))

    def __call__(
        self,
        loss: Float[Tensor, ""],
        model: Reconstructor,
        x: Float[Tensor, "batch n_features"],  # noqa: ARG002
        reconstruction: Float[Tensor, "batch n_features"],
    ) -> Float[Tensor, ""]:
        """Returns the loss with its penalties."""
        if self.sparsity:
            loss = loss + self.sparsity * reconstruction.abs().mean()
        if self.weight_decay:
            squares = [parameter.square().sum() for parameter in model.parameters() if parameter.ndim > 1]
            loss = loss + sum(squares, loss.new_zeros(())) * (self.weight_decay / (2 * model.n_features))
        return loss
