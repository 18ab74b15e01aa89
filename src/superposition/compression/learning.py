"""Gradient descent on networks that compress: many runs as one program."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sqrt

import torch
from torch import Tensor

from superposition import _checks
from superposition._progress import Report, silent
from superposition._random import torch_generator
from superposition.compression.network import CompressionNetwork, linear_layers
from superposition.compression.stack import NetworkStack
from superposition.estimate import Estimate
from superposition.features import SparseFeatures

_CHUNK = 4096
_SECONDS_BETWEEN_REPORTS = 0.2


@dataclass(frozen=True)
class Learning:
    """How to train: Adam on fresh batches that all runs share, the rate warmed up and lowered along a cosine.

    Args:
        n_steps: Number of steps, ≥ 1.
        batch_size: Samples a step, ≥ 1.
        learning_rate: Peak rate of Adam, > 0.
        warm_up: Share of the steps in which the rate rises from 0; in [0, 1).
        n_held_out: Samples of the held-out loss, ≥ 2.

    Raises:
        ValueError: A field is out of its range.
    """

    n_steps: int = 4000
    batch_size: int = 256
    learning_rate: float = 0.03
    warm_up: float = 0.05
    n_held_out: int = 65536

    def __post_init__(self) -> None:
        for name, least in (("n_steps", 1), ("batch_size", 1), ("n_held_out", 2)):
            _checks.whole_number(name, getattr(self, name), low=least)
        rate = _checks.in_interval("learning_rate", self.learning_rate, 0, float("inf"), open_low=True, open_high=True)
        _checks.one("learning_rate", rate)
        _checks.one("warm_up", _checks.in_interval("warm_up", self.warm_up, 0, 1, open_high=True))

    def rate(self, step: int) -> float:
        """Returns the rate of step 0 … n_steps − 1."""
        warm = int(self.warm_up * self.n_steps)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * (1 + cos(pi * (step - warm) / (self.n_steps - warm))) / 2


@dataclass(frozen=True)
class Learned:
    """Trained networks.

    Attributes:
        stack: The networks.
        losses: Held-out loss of each, mean square error per feature.
    """

    stack: NetworkStack
    losses: tuple[Estimate, ...]

    @property
    def best(self) -> int:
        """Index of the run of least loss."""
        return min(range(len(self.losses)), key=lambda run: self.losses[run].value)

    def share_below(self, loss: float, *, z: float = 3.0) -> Estimate:
        """Returns the share of runs whose loss is at least z standard errors below a loss.

        Its standard error is that of one run more of each outcome: not 0 where all runs agree.
        """
        below, runs = sum(each.value + z * each.standard_error < loss for each in self.losses), len(self.losses)
        return Estimate(below / runs, sqrt((below + 1) * (runs - below + 1) / (runs + 2) ** 3), runs)


def learn(
    features: SparseFeatures,
    encoder: Sequence[int],
    decoder: Sequence[int],
    *,
    n_runs: int = 16,
    learning: Learning | None = None,
    seed: int = 0,
    report: Report = silent,
) -> Learned:
    """Trains networks from random initial weights.

    Args:
        features: What the batches are drawn from; SparseFeatures(2, 1.0) are two dense uniform dimensions.
        encoder: Widths from n_features to n_hidden, such as (2, 18, 1).
        decoder: Widths from n_hidden to n_features, such as (1, 18, 2).
        n_runs: Networks of this shape, each with initial weights of its own.
        learning: How; Learning() if not given.
        seed: Seed of the initial weights, the batches and the held-out samples.
        report: Takes the progress.

    Raises:
        ValueError: Widths do not fit the features or each other.

    >>> found = learn(SparseFeatures(2, 1.0), (2, 4, 1), (1, 4, 2), n_runs=2, learning=Learning(n_steps=5))
    >>> found.stack.network(0).n_neurons
    8
    """
    _checks.instance("features", features, SparseFeatures, "a SparseFeatures")
    encoder, decoder = (
        _checks.sequence(name, widths, "widths") for name, widths in (("encoder", encoder), ("decoder", decoder))
    )
    for name, widths in (("encoder", encoder), ("decoder", decoder)):
        for width in widths:
            _checks.whole_number(name, width)
        if len(widths) < 2:
            raise ValueError(f"`{name}` must have at least two widths, its inputs and its outputs, got {widths!r}")
    if not encoder[0] == decoder[-1] == features.n_features:
        raise ValueError(f"`encoder` must begin and `decoder` end with {features.n_features} features, "
                         f"got {encoder[0]} and {decoder[-1]}")  # fmt: skip
    if encoder[-1] != decoder[0]:
        raise ValueError(f"`decoder` must begin with the encoder's {encoder[-1]} hidden dimensions, got {decoder[0]}")
    _checks.whole_number("n_runs", n_runs)
    shape = "-".join(map(str, (*encoder, *decoder)))
    stack = NetworkStack.drawn(encoder, decoder, n_runs, torch_generator(seed, "compression weights", shape))
    return train_stack(stack, features, _given(learning), seed=seed, report=report)


def learn_from(
    networks: Sequence[CompressionNetwork],
    features: SparseFeatures,
    *,
    learning: Learning | None = None,
    seed: int = 0,
    report: Report = silent,
) -> Learned:
    """Trains copies of networks of one depth from where they are; arguments as for `learn`.

    Raises:
        ValueError: The networks differ in depth or do not fit the features.
    """
    _checks.instance("features", features, SparseFeatures, "a SparseFeatures")
    networks = _checks.sequence("networks", networks, "CompressionNetworks")
    if not networks:
        raise ValueError("`networks` must hold at least one network, got none")
    for network in networks:
        _checks.instance("networks", network, CompressionNetwork, "a sequence of CompressionNetworks")
    if (n_features := linear_layers(networks[0].encoder)[0].in_features) != features.n_features:
        raise ValueError(f"`networks` must have {features.n_features} features, got {n_features}")
    return train_stack(NetworkStack.of(networks), features, _given(learning), seed=seed, report=report)


def _given(learning: Learning | None) -> Learning:
    return Learning() if learning is None else _checks.instance("learning", learning, Learning, "a Learning")


def train_stack(
    stack: NetworkStack, features: SparseFeatures, learning: Learning, *, seed: int, report: Report = silent
) -> Learned:
    """Trains a stack in place and measures it."""
    optimizer = torch.optim.Adam(stack.parameters(), betas=(0.9, 0.99), fused=True)
    batches = torch_generator(seed, "compression batches")
    reported = 0.0
    for step in range(learning.n_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning.rate(step)
        x = features.sample(learning.batch_size, batches, dtype=stack.dtype)
        # The sum over runs: each has the gradient that it would have alone.
        losses = (stack(x) - x).square().mean((1, 2))
        optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimizer.step()
        if time.monotonic() - reported > _SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            report(step, learning.n_steps, f"median loss {float(losses.detach().median()):.3g}")
    report(learning.n_steps, learning.n_steps, "")
    return Learned(stack, held_out_losses(stack, features, learning.n_held_out, seed=seed))


@torch.no_grad()
def held_out_losses(
    stack: NetworkStack, features: SparseFeatures, n_samples: int, *, seed: int
) -> tuple[Estimate, ...]:
    """Returns the mean square error per feature of each network on the same fresh samples."""
    samples = torch_generator(seed, "compression held out")
    total = torch.zeros(2, stack.n_runs, dtype=torch.float64)
    for start in range(0, n_samples, _CHUNK):
        x = features.sample(min(_CHUNK, n_samples - start), samples, dtype=stack.dtype)
        errors: Tensor = (stack(x) - x).square().mean(2).double()
        total += torch.stack([errors.sum(1), errors.square().sum(1)])
    return tuple(Estimate.from_sums(float(a), float(b), n_samples) for a, b in total.T)
