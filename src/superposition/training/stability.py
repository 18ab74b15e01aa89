"""Whether training leaves a point: the linearised dynamics of Adam there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import final

import numpy as np
import torch
from torch import Tensor

from superposition import _checks
from superposition._checks import FloatArray
from superposition._progress import Report, reporting
from superposition._random import torch_generator
from superposition.estimate import Estimate
from superposition.features import Features
from superposition.features.sampling import SparseBatch
from superposition.models import Autoencoder
from superposition.training.config import TrainingConfig
from superposition.training.step import GradientStep
from superposition.training.trainers import check_start, has_own_step

# Samples of one gradient at a time; parts over which standard errors are taken.
_PART = 1024
# Length of a step along a direction, in units of that of all weights. Shorter ones see too few outputs cross zero in a
# finite sample, longer ones higher derivatives: a tenth turns the sign of the curvature at n = 64.
_STEP = 0.02
# What is left of a vector below this share of it is rounding, of float32.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Growth:
    """The deviation that grows fastest among those that training begins with, under Adam at its peak rate.

    Attributes:
        rate: Its growth per step; negative if even that one decays.
        mode: Its direction, one array a parameter, of norm 1 in all.
        gradient: Norm of the expected gradient over that of the noise of a batch's: 0 at a stationary point.
        drift: Distance that the expected gradient moves the weights in a step, in units of their norm.
        dimensions: Of the space in which it is the fastest.
    """

    rate: Estimate
    mode: dict[str, FloatArray]
    gradient: float
    drift: float
    dimensions: int


def growth_rate(
    model: Autoencoder,
    features: Features,
    config: TrainingConfig | None = None,
    *,
    n_samples: int = 65_536,
    dimensions: int = 16,
    seed: int = 0,
    progress: bool | Report = False,
) -> Growth:
    """Returns how fast the fastest small deviation from a model's weights grows in training.

    Adam moves weights by −η m/√s, m and s averages of a batch's gradient g and its square. Where g is mostly noise, s
    is E g² and hardly changes, so that a deviation δ goes as δ' = −η D⁻¹ (E g + H δ), D = √(E g²), H the second
    derivative of the expected loss. What begins at δ = 0 stays in the space of D⁻¹ E g, (D⁻¹ H) D⁻¹ E g, …, of which
    the first few hold what grows fastest: −η times the smallest eigenvalue of D^(−1/2) H D^(−1/2) there. The space is
    found from some samples and the eigenvalue from others, or it would be that of their noise. The rate is from below:
    in more dimensions it is larger, by some 3% from 16 to 24 at n = 128.
    H δ is a difference of gradients over a large common set of samples: autograd's second derivative would leave out
    the outputs that cross zero, −2 E[x_i δ(y_i) ∇y_i ∇y_iᵀ], which are its negative part.

    Args:
        model: A ReLU autoencoder; left as it is.
        features: What it sees.
        config: Adam's batch size and peak rate; TrainingConfig() if not given.
        n_samples: Samples behind the space, and as many others behind the rate, ≥ 2048.
        dimensions: Of the space, ≥ 2; fewer where it ends before.
        seed: Seed of the samples, ≥ 0.
        progress: True shows a bar on standard error; a function gets (done, total, detail).

    Raises:
        ValueError: A size is not valid, or the model has no step of its own.

    >>> from superposition import PersianRug, SparseFeatures
    >>> features = SparseFeatures(16, 0.1)
    >>> rug = Autoencoder.from_model(PersianRug.fit(features, 4))
    >>> growth_rate(rug, features, n_samples=4096).rate.value > 0
    True
    """
    _checks.instance("model", model, Autoencoder, "an Autoencoder")
    if not has_own_step(model):
        raise ValueError(f"`model` must have a ReLU, got {model.activation.kind}")
    config = TrainingConfig() if config is None else config
    check_start(model, features, config)
    _checks.whole_number("n_samples", n_samples, low=2 * _PART)
    _checks.whole_number("dimensions", dimensions, low=2)
    ground = _Ground(Autoencoder.from_model(model).cpu(), features)
    eta = config.peak_rate(model.n_features, model.n_hidden, features.density)
    chosen, others = (
        _batches(features, n_samples, seed, what, model.W_enc.dtype) for what in ("growth", "growth check")
    )
    gradient, square = ground.moments(chosen, config.batch_size)
    scale = np.sqrt(square.clip(min=square.max() * 1e-12))  # of weights whose gradient is always 0
    half = np.sqrt(scale)
    with reporting(progress, f"linearising n={model.n_features} n_hidden={model.n_hidden}") as report:

        def curved(batches: Sequence[SparseBatch], vector: FloatArray, done: int) -> FloatArray:
            report(done, 2 * dimensions + 1, "")
            slope: FloatArray = ground.slopes(batches, vector / half)[0] / half
            return slope

        basis = _powers(lambda vector, done: curved(chosen, vector, done), gradient / half, dimensions)
        images = [curved(others, vector, len(basis) + done) for done, vector in enumerate(basis)]
        products = np.array(images) @ np.array(basis).T
        direction = np.linalg.eigh((products + products.T) / 2)[1][:, 0] @ np.array(basis) / half
        curvatures = ground.slopes(others, direction, along=direction)
        report(2 * dimensions + 1, 2 * dimensions + 1, "")
    # The product of two means, whose noises are independent.
    expected = gradient * ground.moments(others, config.batch_size)[0]
    return Growth(
        rate=Estimate(-eta * curvatures.mean(), eta * curvatures.std(ddof=1) / sqrt(len(curvatures)), n_samples),
        mode=ground.split(direction / np.linalg.norm(direction)),
        gradient=sqrt(max(0.0, float((expected / square).mean()))),
        drift=eta * sqrt(max(0.0, float((expected / square).sum()))) / float(np.linalg.norm(ground.weights)),
        dimensions=len(basis),
    )


@final
class _Ground:
    """The gradient of the loss as a function of one vector of all weights."""

    def __init__(self, model: Autoencoder, features: Features) -> None:
        self._step = GradientStep(model, features)
        self._parameters = self._step.parameters
        self.weights: FloatArray = torch.cat([p.detach().ravel() for p in self._parameters.values()]).double().numpy()

    def gradient(self, batch: SparseBatch, weights: FloatArray) -> FloatArray:
        """Returns the gradient of a batch's loss."""
        with torch.no_grad():
            for parameter, part in zip(self._parameters.values(), self._parts(weights), strict=True):
                parameter.copy_(part)
        self._step(batch)
        parts = [parameter.grad.ravel() for parameter in self._parameters.values() if parameter.grad is not None]
        gradient: FloatArray = torch.cat(parts).double().numpy()
        return gradient

    def moments(self, batches: Sequence[SparseBatch], batch_size: int) -> tuple[FloatArray, FloatArray]:
        """Returns the mean gradient, and the expected square of that of a batch of some size."""
        total, squares = np.zeros_like(self.weights), np.zeros_like(self.weights)
        for batch in batches:
            found = self.gradient(batch, self.weights)
            total += found
            squares += found**2
        mean = total / len(batches)
        variance = (squares / len(batches) - mean**2).clip(min=0) * len(batches) / (len(batches) - 1)
        return mean, mean**2 + variance * _PART / batch_size

    def slopes(
        self, batches: Sequence[SparseBatch], direction: FloatArray, *, along: FloatArray | None = None
    ) -> FloatArray:
        """Returns H · direction, (1, weights), or for each batch its product with a vector, (batches,)."""
        size = _STEP * float(np.linalg.norm(self.weights) / np.linalg.norm(direction))
        total, products = np.zeros_like(self.weights), []
        for batch in batches:
            up, down = (self.gradient(batch, self.weights + sign * size * direction) for sign in (1, -1))
            slope = (up - down) / (2 * size)
            if along is None:
                total += slope
            else:
                products.append(along @ slope)
        return total[None] / len(batches) if along is None else np.array(products)

    def split(self, vector: FloatArray) -> dict[str, FloatArray]:
        """Returns a vector as one array a parameter, in the shapes of the model."""
        found = {name: part.numpy() for name, part in zip(self._parameters, self._parts(vector), strict=True)}
        return {name: value.T if name == "W_enc" else value for name, value in found.items()}

    def _parts(self, vector: FloatArray) -> list[Tensor]:
        sizes = [parameter.numel() for parameter in self._parameters.values()]
        parts = torch.split(torch.from_numpy(vector), sizes)
        return [part.view(p.shape) for part, p in zip(parts, self._parameters.values(), strict=True)]


def _batches(features: Features, n_samples: int, seed: int, what: str, dtype: torch.dtype) -> list[SparseBatch]:
    return [
        features.sample_sparse(_PART, torch_generator(seed, what, part), dtype=dtype)
        for part in range(n_samples // _PART)
    ]


def _powers(product: Callable[[FloatArray, int], FloatArray], start: FloatArray, dimensions: int) -> list[FloatArray]:
    """Returns orthonormal vectors of the space of a symmetric map's powers times a vector: Lanczos's, reorthogonalised.

    Fewer than asked for where the next one would be rounding.
    """
    basis = [start / np.linalg.norm(start)]
    while len(basis) < dimensions:
        image = product(basis[-1], len(basis) - 1)
        before = np.linalg.norm(image)
        for _ in range(2):
            for vector in basis:
                image -= (vector @ image) * vector
        left = np.linalg.norm(image)
        if not left > _ROUNDING * before:
            break
        basis.append(image / left)
    return basis
