"""What advances during training: one model, or many that see the same batches."""

import abc
from collections.abc import Mapping, Sequence
from typing import Protocol, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.diagnostics.loss import placement
from superposition.features import Features
from superposition.features.sampling import SparseBatch
from superposition.models import Autoencoder, Reconstructor
from superposition.training.config import TrainingConfig
from superposition.training.flat_adam import FlatAdam
from superposition.training.hidden_noise import HiddenNoise
from superposition.training.objective import Objective
from superposition.training.ranks import ALONE, Ranks
from superposition.training.step import GradientStep, add_noise, add_slope

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
        seed: int,
        ranks: Ranks,
    ) -> None:
        self._model, self._parameters, self._config, self._ranks = model, parameters, config, ranks
        self._noise = HiddenNoise(model, features, seed, ranks)
        self._asked = _Asked(model)
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
    def release(self) -> None:
        """Leaves parameters without gradients, and asking for them or not as they came."""
        self._asked.restore()


@final
class OneModel(_ByAdam):
    """A ReLU autoencoder, by its step written by hand."""

    def __init__(
        self, model: Autoencoder, features: Features, config: TrainingConfig, seed: int = 0, ranks: Ranks = ALONE
    ) -> None:
        self._gradient_step = GradientStep(model, features, config.precision)
        super().__init__(model, self._gradient_step.parameters, features, config, seed, ranks)

    def _gradients(self, batch: SparseBatch, step: int) -> Float[Tensor, ""]:
        return self._gradient_step(self._ranks.share(batch), self._noise(batch.shape[0], step))


@final
class ByAutograd(_ByAdam):
    """Any one model, and any objective: gradients by autograd."""

    def __init__(
        self,
        model: Reconstructor,
        features: Features,
        config: TrainingConfig,
        objective: Objective,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(model, dict(model.named_parameters()), features, config, seed, ranks)
        self._objective = objective
        device, dtype = placement(model)
        self._importance = torch.tensor(features.per_feature(features.importance)).to(device, dtype)

    def _gradients(self, batch: SparseBatch, step: int) -> Float[Tensor, ""]:
        x = self._ranks.share(batch).to_dense()
        self._optimizer.zero_grad()
        reconstruction = self._model.noisy(x, self._noise(batch.shape[0], step))
        loss: Tensor = ((reconstruction - x).square() * self._importance).mean()
        self._objective(loss, self._model, x, reconstruction).backward()  # type: ignore[no-untyped-call]
        return loss.detach()


@final
class ManyModels:
    """Models of one n_features and any widths on the same batches.

    Their encoders lie one below the other, so that one product encodes a batch for all and one gives all their
    gradients, and no width is padded; all parameters lie in one vector, so that Adam passes over them together.
    """

    def __init__(
        self, models: Sequence[Autoencoder], features: Features, config: TrainingConfig, seed: int = 0
    ) -> None:
        self._models, self._config = models, config
        self._noises = [HiddenNoise(model, features, seed) for model in models]
        self._asked = [_Asked(model) for model in models]
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
        noises = [noise(len(x), step) for noise in self._noises]
        hiddens, parts = (torch.split(tensor, self._widths, dim=1) for tensor in (hidden, slopes))
        for one, its_hidden, its_slopes, noise in zip(self._steps, hiddens, parts, noises, strict=True):
            losses.append(one.decode(x, add_noise(its_hidden, noise), its_slopes))
        torch.mm(slopes.T, x, out=self._W_enc_gradient)
        for its_slopes, noise in zip(parts, noises, strict=True):
            add_slope(noise, its_slopes)
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
        for asked in self._asked:
            asked.restore()


@final
class _Asked:
    """Asks for gradients of all parameters of a model, of which some may come without."""

    def __init__(self, model: Reconstructor) -> None:
        self._model = model
        self._before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        model.requires_grad_(True)

    def restore(self) -> None:
        """Leaves them without gradients, and asking for them or not as they came."""
        for name, parameter in self._model.named_parameters():
            parameter.grad = None
            parameter.requires_grad_(self._before[name])


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
