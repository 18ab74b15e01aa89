"""What a user might add: a law, an activation, a kind of model, an objective and a cell; tests import a copy."""

from dataclasses import dataclass

import torch

import superposition as sp
from superposition.features import Law, register_law
from superposition.models import Activation, Model, ReLU, register_activation, register_model
from superposition.sweeps import Cell, register_cell
from superposition.training import Objective


@register_law
@dataclass(frozen=True)
class PowerLaw(Law):
    """Density k u^(k − 1) on [0, 1], which is Beta(k, 1)."""

    kind = "PowerLaw"
    k: float = 2.0

    @property
    def mean(self):
        return self.k / (self.k + 1)

    @property
    def second_moment(self):
        return self.k / (self.k + 2)

    @property
    def landmarks(self):
        return sp.Beta(self.k, 1).landmarks

    def sampled(self, n, source, dtype):
        return source.uniforms(n, dtype) ** (1 / self.k)

    def panels(self, kink, width):
        return sp.Beta(self.k, 1).panels(kink, width)

    def tilted(self, z, width):
        return sp.Beta(self.k, 1).tilted(z, width)


@register_activation
class Squared(Activation):
    kind = "squared"

    def forward(self, m, bias):
        return torch.relu(m + bias).square()


@register_model
class Tied(Model):
    kind = "tied"

    def __init__(self, n_features, n_hidden, *, seed=0):
        super().__init__()
        self.n_features, self.n_hidden, self.activation = n_features, n_hidden, ReLU()
        start = torch.randn(n_features, n_hidden, generator=torch.Generator().manual_seed(seed))
        self.W = torch.nn.Parameter(start / n_hidden**0.5)
        self.b = torch.nn.Parameter(torch.zeros(n_features))

    def encode(self, x):
        return x @ self.W

    def read_out(self, hidden):
        return hidden @ self.W.T

    def bias_vector(self):
        return self.b


@dataclass(frozen=True)
class Small(Objective):
    strength: float = 0.1

    def __call__(self, loss, model, x, reconstruction):  # noqa: ARG002
        return loss + self.strength * model.W.square().mean()


@register_cell
@dataclass(frozen=True)
class StrengthCell(Cell):
    """A tied model of a user's law, trained by a user's objective."""

    measure = "strength"
    version = 1
    columns = {"loss": sp.Estimate}  # noqa: RUF012  (as a user would write it)
    headline = ("loss",)

    strength: float
    law: str = "power-law"

    def row(self, place):
        features = sp.SparseFeatures(16, 0.1, sp.features.law_of(self.law))
        config = sp.TrainingConfig(n_steps=20, batch_size=64)
        objective = Small(self.strength)
        run = sp.train(Tied(16, 4), features, config, objective=objective, n_held_out=200, progress=place.report)
        sp.save(run.model, place.folder / "model", features=features)
        return {"loss": run.loss}
