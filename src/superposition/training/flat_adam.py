"""Adam over parameters of many models that lie in one vector."""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

from superposition.training.config import TrainingConfig


class FlatAdam:
    """Adam that passes over all parameters together, each entry with a rate of its own.

    The parameters are moved: they and their gradients become parts of one vector each, in the given order.

    Args:
        parameters: Of one dtype, on one device.
        config: Its averaging factors, ε and schedule.

    Attributes:
        values: The vector of parameters.
        gradient: That of their gradients.
        rates: Of each parameter the peak rates of its entries, 0 at first, in the parameter's shape.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], config: TrainingConfig) -> None:
        self._config = config
        with torch.no_grad():
            self.values = torch.cat([parameter.flatten() for parameter in parameters])
        self.gradient, self._rate = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self._mean, self._square = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self._work = torch.empty_like(self.values)
        self.rates: list[Tensor] = []
        start = 0
        for parameter in parameters:
            place, start = slice(start, start + parameter.numel()), start + parameter.numel()
            parameter.grad = self.gradient[place].view(parameter.shape)
            parameter.data = self.values[place].view(parameter.shape)
            self.rates.append(self._rate[place].view(parameter.shape))

    @torch.no_grad()
    def step(self, step: int) -> None:
        """Does step 0, 1, … with the gradients as they are."""
        (beta, beta_square), epsilon = self._config.betas, self._config.epsilon
        self._mean.lerp_(self.gradient, 1 - beta)
        self._square.mul_(beta_square).addcmul_(self.gradient, self.gradient, value=1 - beta_square)
        growth = sqrt(1 - beta_square ** (step + 1))
        torch.sqrt(self._square, out=self._work).add_(epsilon * growth)
        torch.div(self._mean, self._work, out=self._work)
        factor = self._config.rate_factor(step) * growth / (1 - beta ** (step + 1))
        self.values.addcmul_(self._work, self._rate, value=-factor)

    def state(self) -> dict[str, Tensor]:
        """Returns parameters, rates and averages by name."""
        return {"parameters": self.values, "rate": self._rate, "mean": self._mean, "square": self._square}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes back to a state."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
