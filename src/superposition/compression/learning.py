"""Gradient descent on networks that compress: many runs in the one training loop."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from superposition import _checks
from superposition._progress import Report
from superposition._random import torch_generator
from superposition.compression.engine import ManyNetworks
from superposition.compression.network import CompressionNetwork, linear_layers
from superposition.compression.stack import NetworkStack
from superposition.estimate import Estimate
from superposition.features import Features
from superposition.training import Run, TrainingConfig
from superposition.training.trainers import train_together

_HELD_OUT = 65536


@dataclass(frozen=True)
class Learned:
    """Trained networks.

    Attributes:
        networks: The networks.
        runs: How each was trained, in the same order: its held-out loss, its curve, why it stopped.
    """

    networks: tuple[CompressionNetwork, ...]
    runs: tuple[Run, ...]

    @property
    def losses(self) -> tuple[Estimate, ...]:
        """Held-out loss of each, mean square error per feature."""
        return tuple(run.loss for run in self.runs)

    @property
    def best(self) -> int:
        """Index of the run of least loss."""
        return min(range(len(self.runs)), key=lambda run: self.losses[run].value)

    def share_below(self, loss: float, *, z: float = 3.0) -> Estimate:
        """Returns the share of runs whose loss is at least z standard errors below a loss.

        Its standard error is that of one run more of each outcome: not 0 where all runs agree.
        """
        below, runs = sum(each.value + z * each.standard_error < loss for each in self.losses), len(self.runs)
        return Estimate(below / runs, sqrt((below + 1) * (runs - below + 1) / (runs + 2) ** 3), runs)


def learn(
    features: Features,
    encoder: Sequence[int],
    decoder: Sequence[int],
    *,
    n_runs: int = 16,
    config: TrainingConfig | None = None,
    seed: int = 0,
    checkpoints: str | Path | None = None,
    progress: bool | Report = False,
    n_held_out: int = _HELD_OUT,
) -> Learned:
    """Trains networks from random initial weights, all on the same batches.

    Args:
        features: What the batches are drawn from; SparseFeatures(2, 1.0) are two dense uniform dimensions.
        encoder: Widths from n_features to n_hidden, such as (2, 18, 1).
        decoder: Widths from n_hidden to n_features, such as (1, 18, 2).
        n_runs: Networks of this shape, each with initial weights of its own.
        config: Protocol; TrainingConfig.networks() if not given.
        seed: Seed of the initial weights, the batches and the held-out samples.
        checkpoints: As in `train_many`: a folder from which the same call goes on.
        progress: True shows a bar on standard error; a function gets (done, total, detail).
        n_held_out: Samples behind each loss, ≥ 1.

    Raises:
        ValueError: Widths do not fit the features or each other, or the protocol asks for what networks have not (tied
            weights, a rounded step).
        KeyboardInterrupt: On SIGINT, after the checkpoint is written.

    >>> from superposition import SparseFeatures
    >>> found = learn(SparseFeatures(2, 1.0), (2, 4, 1), (1, 4, 2), n_runs=2, config=TrainingConfig(n_steps=5))
    >>> found.networks[0].n_neurons
    8
    """
    _checks.instance("features", features, Features, "features such as SparseFeatures")
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
    networks = [stack.network(run) for run in range(n_runs)]
    return _trained(networks, features, config, seed, checkpoints, progress, n_held_out)


def learn_from(
    networks: Sequence[CompressionNetwork],
    features: Features,
    *,
    config: TrainingConfig | None = None,
    seed: int = 0,
    checkpoints: str | Path | None = None,
    progress: bool | Report = False,
    n_held_out: int = _HELD_OUT,
) -> Learned:
    """Trains copies of networks of one depth from where they are; arguments as for `learn`.

    Raises:
        ValueError: The networks differ in depth or do not fit the features.
    """
    networks = _checks.sequence("networks", networks, "CompressionNetworks")
    if not networks:
        raise ValueError("`networks` must hold at least one network, got none")
    for network in networks:
        _checks.instance("networks", network, CompressionNetwork, "a sequence of CompressionNetworks")
    return _trained(
        [copy.deepcopy(network) for network in networks], features, config, seed, checkpoints, progress, n_held_out
    )


def _trained(
    networks: list[CompressionNetwork],
    features: Features,
    config: TrainingConfig | None,
    seed: int,
    checkpoints: str | Path | None,
    progress: bool | Report,
    n_held_out: int,
) -> Learned:
    """Trains networks in place."""
    config = TrainingConfig.networks() if config is None else config
    if isinstance(config, TrainingConfig) and config.precision != "float32":
        raise ValueError(f"`precision` must be float32 for networks that compress, got {config.precision}")
    widths = [
        [layer.out_features for part in (network.encoder, network.decoder) for layer in linear_layers(part)]
        for network in networks
    ]
    runs = train_together(
        ManyNetworks, networks, features, config, seed=seed, checkpoints=checkpoints, progress=progress,
        n_held_out=n_held_out, what="networks", about={"widths": widths},
    )  # fmt: skip
    return Learned(tuple(networks), tuple(runs))
