"""Whether training leaves a point: the linearised dynamics of Adam there."""

from collections.abc import Callable, Iterator, Sequence
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
# Parts of a product that chooses the mode, and products that tell the size of the largest eigenvalue.
_PARTS, _LARGEST = 4, 6


@dataclass(frozen=True)
class Growth:
    """The small deviation from some weights that grows fastest under Adam at its peak rate.

    Attributes:
        rate: Its growth per step; negative if even that one decays.
        mode: Its direction, one array a parameter, of norm 1 in all.
        gradient: Norm of the expected gradient over that of the noise of a batch's: 0 at a stationary point.
        drift: Distance that the expected gradient moves the weights in a step, in units of their norm.
    """

    rate: Estimate
    mode: dict[str, FloatArray]
    gradient: float
    drift: float


def growth_rate(
    model: Autoencoder,
    features: Features,
    config: TrainingConfig | None = None,
    *,
    n_samples: int = 65_536,
    n_iterations: int = 600,
    seed: int = 0,
    progress: bool | Report = False,
) -> Growth:
    """Returns how fast the fastest small deviation from a model's weights grows in training.

    Adam moves weights by −η m/√s, m and s averages of a batch's gradient g and its square. Where g is mostly noise, s
    is E g² and hardly changes, so that a deviation δ goes as δ' = −η D⁻¹ (E g + H δ), D = √(E g²), H the second
    derivative of the expected loss. −η times the smallest eigenvalue of D^(−1/2) H D^(−1/2) is the largest growth rate.
    It is found by power iteration on I − τ D^(−1/2) H D^(−1/2), each time with fresh samples, so that their noise
    averages out along the way; Lanczos's method on one large set of samples fits the noise of that set (at n = 256 and
    65 536 samples it finds less than half of the rate). H δ is a difference of gradients over common samples: autograd
    would leave out the outputs that cross zero, −2 E[x_i δ(y_i) ∇y_i ∇y_iᵀ], which are the negative part of H. The rate
    is from below: it comes from samples that did not choose the mode.

    Args:
        model: A ReLU autoencoder; left as it is.
        features: What it sees.
        config: Adam's batch size and peak rate; TrainingConfig() if not given.
        n_samples: Samples behind D, and as many others behind the rate, ≥ 2048.
        n_iterations: Products with H that choose the mode, of 4096 samples each, ≥ 2; at n = 128 the rate after 300
            is 4% less than after 600.
        seed: Seed of the samples, ≥ 0.
        progress: True shows a bar on standard error; a function gets (done, total, detail).

    Raises:
        ValueError: A size is not valid, or the model has no step of its own.

    >>> from superposition import PersianRug, SparseFeatures
    >>> features = SparseFeatures(16, 0.1)
    >>> rug = Autoencoder.from_model(PersianRug.fit(features, 4))
    >>> growth_rate(rug, features, n_samples=4096, n_iterations=50).rate.value > 0
    True
    """
    _checks.instance("model", model, Autoencoder, "an Autoencoder")
    if not has_own_step(model):
        raise ValueError(f"`model` must have a ReLU, got {model.activation.kind}")
    config = TrainingConfig() if config is None else config
    check_start(model, features, config)
    _checks.whole_number("n_samples", n_samples, low=2 * _PART)
    _checks.whole_number("n_iterations", n_iterations, low=2)
    ground = _Ground(Autoencoder.from_model(model).cpu(), features)
    eta = config.peak_rate(model.n_features, model.n_hidden, features.density)

    def batches(what: str, n_samples: int, *which: int) -> list[SparseBatch]:
        generators = (torch_generator(seed, what, *which, part) for part in range(n_samples // _PART))
        return [features.sample_sparse(_PART, generator, dtype=model.W_enc.dtype) for generator in generators]

    chosen, others = batches("growth", n_samples), batches("growth rate", n_samples)
    gradient, square = ground.moments(chosen, config.batch_size)
    scale = np.sqrt(square.clip(min=square.max() * 1e-12))  # of weights whose gradient is always 0
    half = np.sqrt(scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        start = gradient / half
        start = start / np.linalg.norm(start)
    if not np.isfinite(start).all():
        size = np.abs(gradient).max()
        raise ValueError(f"`features` must have a gradient at `model` that can be squared and is not 0, got {size:g}")

    def product(samples: Sequence[SparseBatch], vector: FloatArray) -> FloatArray:
        total = sum(ground.slopes(samples, vector / half), np.zeros_like(vector))
        slope: FloatArray = total / len(samples) / half
        return slope

    with reporting(progress, f"linearising n={model.n_features} n_hidden={model.n_hidden}") as report:
        mode = _fastest(
            lambda vector, done: product(batches("growth mode", _PARTS * _PART, done), vector),
            start,
            n_iterations,
            report,
        )
    direction = mode / half
    curvatures = np.array([direction @ slope for slope in ground.slopes(others, direction)])
    # The product of two means, whose noises are independent.
    expected = gradient * ground.moments(others, config.batch_size)[0]
    return Growth(
        rate=Estimate(-eta * curvatures.mean(), eta * curvatures.std(ddof=1) / sqrt(len(curvatures)), n_samples),
        mode=ground.split(direction / np.linalg.norm(direction)),
        gradient=sqrt(max(0.0, float((expected / scale**2).mean()))),
        drift=eta * sqrt(max(0.0, float((expected / scale**2).sum()))) / float(np.linalg.norm(ground.weights)),
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

    def slopes(self, batches: Sequence[SparseBatch], direction: FloatArray) -> Iterator[FloatArray]:
        """Yields H · direction of each batch, a difference of two gradients."""
        size = _STEP * float(np.linalg.norm(self.weights) / np.linalg.norm(direction))
        for batch in batches:
            up, down = (self.gradient(batch, self.weights + sign * size * direction) for sign in (1, -1))
            yield (up - down) / (2 * size)

    def split(self, vector: FloatArray) -> dict[str, FloatArray]:
        """Returns a vector as one array a parameter, in the shapes of the model."""
        found = {name: part.numpy() for name, part in zip(self._parameters, self._parts(vector), strict=True)}
        return {name: value.T if name == "W_enc" else value for name, value in found.items()}

    def _parts(self, vector: FloatArray) -> list[Tensor]:
        sizes = [parameter.numel() for parameter in self._parameters.values()]
        parts = torch.split(torch.from_numpy(vector), sizes)
        return [part.view(p.shape) for part, p in zip(parts, self._parameters.values(), strict=True)]


def _fastest(
    product: Callable[[FloatArray, int], FloatArray], start: FloatArray, n_iterations: int, report: Report
) -> FloatArray:
    """Returns the vector of norm 1 of a symmetric map's smallest eigenvalue, from products that are each noisy."""
    largest = start
    for done in range(_LARGEST):
        largest = product(largest, done)
        size = np.linalg.norm(largest)
        largest = largest / size
    # Below twice the inverse of the largest eigenvalue, which the size is near to, from below.
    step, mode, mean = 1 / (1.3 * size), start, np.zeros_like(start)
    for done in range(n_iterations):
        image = product(mode, _LARGEST + done)
        report(done + 1, n_iterations, f"curvature {mode @ image:.3g}")
        mode = mode - step * image
        mode = mode / np.linalg.norm(mode)
        if done >= n_iterations // 2:  # the first half forgets the start
            mean += mode
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float64)
