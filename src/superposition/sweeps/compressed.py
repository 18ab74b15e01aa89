"""Nonlinear compression: the cell of networks that are learned, and that of a constructed one that is trained on."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from superposition import _checks, _files, compression, theory, training
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.sweeps.cell import Cell, Row, Workplace
from superposition.sweeps.store import StoredCell

if TYPE_CHECKING:
    import pyarrow as pa

    from superposition.compression import Learned
    from superposition.training import TrainingConfig

# What several runs of a cell are, and the curve that the best of them draws.
_RUNS, _CURVE = "runs.parquet", "curve.parquet"
# Where an interrupted cell goes on from; not stored.
_CHECKPOINTS = "checkpoints"


@final
@dataclass(frozen=True)
class LearnedCell(Cell):
    """Networks that compress n_features into n_hidden, trained from random weights: the best of several runs.

    Args:
        n_features: Number of features.
        n_hidden: Width of the bottleneck, in [1, n_features].
        probability: Probability that a feature is active; 1 for dense ones.
        encoder: Widths of the encoder's hidden layers, such as "18" or "9-9"; empty for a linear encoder.
        decoder: Likewise of the decoder.
        n_runs: Networks, each from initial weights of its own.
        n_steps: Steps of each.
        learning_rate: Peak rate of Adam.
        n_held_out: Samples behind each loss.
        seed: Seed of weights, batches and held-out samples.

    Raises:
        ValueError: A value is out of its range.
    """

    measure: ClassVar[str] = "learned"
    version: ClassVar[int] = 2  # batches of the one loop
    columns: ClassVar[Mapping[str, type]] = {
        "neurons": int, "loss": Estimate, "linear_loss": float, "share_below_linear": Estimate, "kind": str,
        "levels": int,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("neurons", "loss", "loss_standard_error", "linear_loss")

    n_features: int
    n_hidden: int
    probability: float = 1.0
    encoder: str = ""
    decoder: str = ""
    n_runs: int = 16
    n_steps: int = 4000
    learning_rate: float = 0.03
    n_held_out: int = 65536
    seed: int = 0

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "n_runs", "n_steps", n_held_out=2)
        self._settle(
            probability=_checks.one("probability", _checks.probability(self.probability)),
            learning_rate=_rate(self.learning_rate),
        )
        for name in ("encoder", "decoder"):
            _widths(name, getattr(self, name))

    def row(self, place: Workplace) -> Row:
        """Trains the networks, measures each, and reads what they are where two dimensions go into one."""
        found = compression.learn(
            SparseFeatures(self.n_features, self.probability),
            (self.n_features, *_widths("encoder", self.encoder), self.n_hidden),
            (self.n_hidden, *_widths("decoder", self.decoder), self.n_features),
            n_runs=self.n_runs,
            config=_protocol(self.n_features, self.n_steps, self.learning_rate),
            seed=self.seed,
            checkpoints=place.folder / _CHECKPOINTS,
            progress=place.report,
            n_held_out=self.n_held_out,
        )
        shutil.rmtree(place.folder / _CHECKPOINTS)
        network = found.networks[found.best]
        linear = theory.linear_loss(self.n_hidden / self.n_features, self.probability)
        row: Row = {
            "neurons": network.n_neurons,
            "loss": found.losses[found.best],
            "linear_loss": linear,
            "share_below_linear": found.share_below(linear),
        }
        if (self.n_features, self.n_hidden) != (2, 1):
            return row
        read = compression.inspect(network)
        _write(place, _RUNS, _runs(found))
        _write(place, _CURVE, dict(zip("xy", read.decoder.values.T, strict=True)))
        return {**row, "kind": read.kind, "levels": read.levels}


@final
@dataclass(frozen=True)
class RefinedCell(Cell):
    """The quantised pair as a network, two dense dimensions in one, trained on from its construction.

    Args:
        levels: Z of the construction, ≥ 1.
        ramp: Width of its ramps as a share of a segment, in (0, 1).
        n_steps: Steps.
        learning_rate: Peak rate of Adam.
        n_held_out: Samples behind the loss.
        seed: Seed of batches and held-out samples.

    Raises:
        ValueError: A value is out of its range.
    """

    measure: ClassVar[str] = "refined"
    version: ClassVar[int] = 2  # batches of the one loop
    columns: ClassVar[Mapping[str, type]] = {
        "neurons": int, "built_loss": float, "loss": Estimate, "kind": str, "levels_kept": int
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("neurons", "built_loss", "loss", "loss_standard_error")

    levels: int
    ramp: float = 0.2
    n_steps: int = 4000
    learning_rate: float = 1e-3
    n_held_out: int = 65536
    seed: int = 0

    def __post_init__(self) -> None:
        self._settle_counts("levels", "n_steps", n_held_out=2)
        ramp = _checks.in_interval("ramp", self.ramp, 0, 1, open_low=True, open_high=True)
        self._settle(ramp=_checks.one("ramp", ramp), learning_rate=_rate(self.learning_rate))

    def row(self, place: Workplace) -> Row:
        """Builds the network, trains it and reads what it is then."""
        scheme = compression.QuantizedPair(self.levels, self.ramp, "segment", "guarded")
        network = scheme.to_network("minimal")
        found = compression.learn_from(
            [network],
            SparseFeatures(2, 1.0),
            config=_protocol(2, self.n_steps, self.learning_rate),
            seed=self.seed,
            checkpoints=place.folder / _CHECKPOINTS,
            progress=place.report,
            n_held_out=self.n_held_out,
        )
        shutil.rmtree(place.folder / _CHECKPOINTS)
        read = compression.inspect(found.networks[0])
        return {
            "neurons": network.n_neurons,
            "built_loss": scheme.expected_loss(),
            "loss": found.losses[0],
            "kind": read.kind,
            "levels_kept": read.levels,
        }


def stored_runs(stored: StoredCell) -> "pa.Table":
    """Returns a row a run of a stored cell of two dimensions in one: loss, standard_error, neurons, kind, levels.

    Raises:
        ValueError: It is damaged, or the cell has none.
    """
    kinds = {"loss": "double", "standard_error": "double", "neurons": "int64", "kind": "string", "levels": "int64"}
    return _files.read_table(stored.folder / _RUNS, "runs of a cell", kinds)


def stored_curve(stored: StoredCell) -> "pa.Table":
    """Returns the knots x, y of the curve that the decoder of the best run draws; raises as `stored_runs`."""
    return _files.read_table(stored.folder / _CURVE, "curve of a cell", {"x": "double", "y": "double"})


def _runs(found: "Learned") -> dict[str, Any]:
    read = [compression.inspect(network) for network in found.networks]
    return {
        "loss": [loss.value for loss in found.losses],
        "standard_error": [loss.standard_error for loss in found.losses],
        "neurons": [network.n_neurons for network in found.networks],
        "kind": [each.kind for each in read],
        "levels": [each.levels for each in read],
    }


def _protocol(n_features: int, n_steps: int, learning_rate: float) -> "TrainingConfig":
    """Returns the protocol of networks with another peak rate, which is not a size's but Adam's own."""
    return training.TrainingConfig.networks().replace(n_steps=n_steps, learning_rate=learning_rate * sqrt(n_features))


def _write(place: Workplace, name: str, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _files.replacing(place.folder / name) as temporary:
        pq.write_table(pa.table(columns), temporary)


def _widths(name: str, given: Any) -> tuple[int, ...]:
    """Returns the widths that a word such as "9-9" lists; raises ValueError if it lists none."""
    if not isinstance(given, str) or not all(part.isdecimal() and int(part) for part in given.split("-") if given):
        raise ValueError(f"`{name}` must be widths such as '18' or '9-9', or empty, got {_checks.shown(given)}")
    return tuple(_checks.whole_number(name, int(part)) for part in given.split("-")) if given else ()


def _rate(given: float) -> float:
    """Returns a learning rate; raises ValueError unless it is positive."""
    return _checks.one(
        "learning_rate", _checks.in_interval("learning_rate", given, 0, np.inf, open_low=True, open_high=True)
    )
