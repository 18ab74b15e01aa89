"""What advances during training: one model, or many that see the same batches."""

import abc
from collections.abc import Mapping, Sequence
from typing import Protocol, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition._random import torch_generator
from superposition.diagnostics.loss import placement
from superposition.features import Features
from superposition.features.sampling import SparseBatch
from superposition.models import Autoencoder, Reconstructor
from superposition.training.config import TrainingConfig
from superposition.training.flat_adam import FlatAdam
from superposition.training.objective import Objective
from superposition.training.ranks import ALONE, Ranks
from superposition.training.step import GradientStep

_AVERAGES = {"mean": "exp_avg", "square": "exp_avg_sq"}


class Engine(Protocol):
    """Models in training and the state of their optimiser."""

    def advance(self, batch: SparseBatch, step: int) -> Float[Tensor, " models"]:
        """Does step 0, 1, … on a batch; returns each model's loss per feature before it."""

    def freeze(self, index: int) -> None:
        """Leaves a model as it is from now on."""

    def state(self) -> dict[str, Tensor]:
        """Returns all that decides what follows, by name."""

    def restore(self, state: dict[str, Tensor], step: int) -> None:
        """Goes back to a state after so many steps."""

    def release(self) -> None:
        """Gives every model memory of its own again."""


class _ByAdam(abc.ABC):
    """One model and torch's fused Adam; each of several processes does its share of a batch."""

    def __init__(
        self,
        model: Reconstructor,
        parameters: Mapping[str, torch.nn.Parameter],
        features: Features,
        config: TrainingConfig,
        ranks: Ranks,
    ) -> None:
        self._model, self._parameters, self._config, self._ranks = model, parameters, config, ranks
        self._peak = _peak_rate(model, features, config)
        self._optimizer = torch.optim.Adam(
            parameters.values(), lr=self._peak, betas=config.betas, eps=config.epsilon, fused=True
        )

    @abc.abstractmethod
    def _gradients(self, batch: SparseBatch, step: int) -> Float[Tensor, ""]:
        """Returns the loss of this process's share of a step's batch, and sets the gradients of the parameters."""

    @final
    def advance(self, batch: SparseBatch, step: int) -> Float[Tensor, " models"]:
        """Does a step on a batch; returns the model's loss before it, without what else the objective asks."""
        self._optimizer.param_groups[0]["lr"] = self._peak * self._config.rate_factor(step)
        loss = self._gradients(batch, step)
        gradients = [parameter.grad for parameter in self._parameters.values() if parameter.grad is not None]
        first, last = self._ranks.rows(batch.shape[0])
        self._ranks.average([loss, *gradients], last - first, batch.shape[0])
        if self._config.tied:
            _tie_gradients(self._model)
        self._optimizer.step()
        self._model.after_step()
        return loss[None]

    @final  # noqa: B027  (it is meant to be empty)
    def freeze(self, index: int) -> None:
        """Nothing: training ends with its only model."""

    @final
    def state(self) -> dict[str, Tensor]:
        """Returns parameters by name, and Adam's averages of each."""
        tensors = {}
        for name, parameter in self._parameters.items():
            averages = self._optimizer.state.get(parameter, {})  # empty before the first step
            tensors[name] = parameter.detach()
            for ours, theirs in _AVERAGES.items():
                tensors[f"{name}.{ours}"] = averages[theirs] if averages else torch.zeros_like(parameter)
        return tensors

    @final
    @torch.no_grad()
    def restore(self, state: dict[str, Tensor], step: int) -> None:
        """Goes back to a state."""
        for name, parameter in self._parameters.items():
            parameter.copy_(state[name])
            # In the order in memory of the parameter: the fused optimiser takes entry by entry as they lie.
            averages = {
                theirs: torch.empty_like(parameter).copy_(state[f"{name}.{ours}"]) for ours, theirs in _AVERAGES.items()
            }
            self._optimizer.state[parameter] = {"step": torch.tensor(float(step)).to(parameter.device), **averages}


@final
class OneModel(_ByAdam):
    """A ReLU autoencoder, by its step written by hand."""

    def __init__(self, model: Autoencoder, features: Features, config: TrainingConfig, ranks: Ranks = ALONE) -> None:
        self._gradient_step = GradientStep(model, features, config.precision)
        super().__init__(model, self._gradient_step.parameters, features, config, ranks)

    def _gradients(self, batch: SparseBatch, step: int) -> Float[Tensor, ""]:  # noqa: ARG002
        return self._gradient_step(self._ranks.share(batch))

    def release(self) -> None:
        """Nothing: the model's memory is its own."""


@final
class ByAutograd(_ByAdam):
    """Any one model, and any objective: gradients by autograd. Hidden noise is drawn from (seed, step) alone."""

    def __init__(
        self,
        model: Reconstructor,
        features: Features,
        config: TrainingConfig,
        objective: Objective,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(model, dict(model.named_parameters()), features, config, ranks)
        self._objective, self._features, self._seed = objective, features, seed
        self._device, dtype = placement(model)
        self._importance = torch.tensor(features.per_feature(features.importance)).to(self._device, dtype)
        self._asked = {name: parameter.requires_grad for name, parameter in self._parameters.items()}
        model.requires_grad_(True)

    def _gradients(self, batch: SparseBatch, step: int) -> Float[Tensor, ""]:
        x = self._ranks.share(batch).to_dense()
        self._optimizer.zero_grad()
        generator = torch_generator(self._seed, "hidden noise", step, device=self._device)
        # Of the whole batch, as one process would see it.
        noise = self._model.drawn_noise(batch.shape[0], self._features, generator)
        if noise is not None:
            noise = noise[slice(*self._ranks.rows(batch.shape[0]))]
        reconstruction = self._model.noisy(x, noise)
        loss: Tensor = ((reconstruction - x).square() * self._importance).mean()
        self._objective(loss, self._model, x, reconstruction).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def release(self) -> None:
        """Leaves parameters without gradients, and asking for them or not as they came."""
        for name, parameter in self._parameters.items():
            parameter.grad = None
            parameter.requires_grad_(self._asked[name])


@final
class ManyModels:
    """Models of one n_features and any widths on the same batches.

    Their encoders lie one below the other, so that one product encodes a batch for all and one gives all their
    gradients, and no width is padded; all parameters lie in one vector, so that Adam passes over them together.
    """

    def __init__(self, models: Sequence[Autoencoder], features: Features, config: TrainingConfig) -> None:
        self._models, self._config = models, config
        n, self._widths = features.n_features, [model.n_hidden for model in models]
        decoders = [parameter for model in models for parameter in (model.W_dec, model.b_dec)]
        self._adam = FlatAdam([*(model.W_enc for model in models), *decoders], config)
        encoders = slice(sum(self._widths) * n)
        self._W_enc, self._W_enc_gradient = (
            vector[encoders].view(-1, n) for vector in (self._adam.values, self._adam.gradient)
        )
        for index, model in enumerate(models):
            for rate in self._rates(index):
                rate.fill_(_peak_rate(model, features, config))
        buffers: dict[str, Tensor] = {}
        self._steps = [GradientStep(model, features, config.precision, buffers) for model in models]

    @torch.no_grad()
    def advance(self, batch: SparseBatch, step: int) -> Float[Tensor, " models"]:
        """Does a step on a batch; returns each model's loss before it."""
        x = batch.to_dense()
        hidden = x @ self._W_enc.T
        slopes, losses = torch.empty_like(hidden), []
        its = (torch.split(tensor, self._widths, dim=1) for tensor in (hidden, slopes))
        for one, its_hidden, its_slopes in zip(self._steps, *its, strict=True):
            losses.append(one.decode(x, its_hidden, its_slopes))
        torch.mm(slopes.T, x, out=self._W_enc_gradient)
        if self._config.tied:
            for model in self._models:
                _tie_gradients(model)
        self._adam.step(step)
        return torch.stack(losses)

    def _rates(self, index: int) -> Sequence[Tensor]:
        """Returns the rates of a model's three parameters."""
        first = len(self._models) + 2 * index
        return self._adam.rates[index], *self._adam.rates[first : first + 2]

    def freeze(self, index: int) -> None:
        """Leaves a model as it is: its rate is 0 from now on."""
        for rate in self._rates(index):
            rate.zero_()

    def state(self) -> dict[str, Tensor]:
        """Returns parameters, rates and averages."""
        return self._adam.state()

    def restore(self, state: dict[str, Tensor], step: int) -> None:  # noqa: ARG002  (nothing here counts steps)
        """Goes back to a state."""
        self._adam.restore(state)

    def release(self) -> None:
        """Gives every model memory of its own again."""
        for model in self._models:
            model.W_enc.data = model.W_enc.detach().T.clone(memory_format=torch.contiguous_format).T
            model.W_dec.data, model.b_dec.data = model.W_dec.detach().clone(), model.b_dec.detach().clone()
            for parameter in model.parameters():
                parameter.grad = None


@torch.no_grad()
def _tie_gradients(model: Reconstructor) -> None:
    """Replaces the gradients of W_encᵀ and W_dec by their mean."""
    assert isinstance(model, Autoencoder)
    encoder, decoder = model.W_enc.grad, model.W_dec.grad
    assert encoder is not None
    assert decoder is not None
    decoder.add_(encoder.T).mul_(0.5)
    encoder.T.copy_(decoder)


def _peak_rate(model: Reconstructor, features: Features, config: TrainingConfig) -> float:
    return config.peak_rate(model.n_features, model.n_hidden, features.density)
