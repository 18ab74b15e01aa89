"""What commands would take, by estimate, so that what cannot end is refused before it begins.

Bytes are peaks of resident memory, within a factor of two or three of what was measured (tests/test_costs.py measures
some again). Operations are multiplications with an addition; a machine that does many more of them in a second than
most is taken for granted, so that nothing is refused that somebody may wait for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any

from superposition import _resources

if TYPE_CHECKING:
    from superposition.sweeps import Cell
    from superposition.training import TrainingConfig

# Python, torch and what else is loaded.
_BASE = 0.3e9
# Operations a second: a large processor, and a large GPU; and what nobody waits for.
_RATES = {"cpu": 1e12, "cuda": 1e15}
_MOST_SECONDS = 30 * 86400.0
# Entries of a held-out chunk and of a calibration sample.
_CHUNK, _CALIBRATION = 2**22, 2**21


@dataclass(frozen=True)
class Cost:
    """What work would take.

    Attributes:
        n_bytes: Memory at its peak, beside that of the program itself.
        operations: Multiplications with an addition.
        seconds: Time beside that of the operations.
    """

    n_bytes: float
    operations: float = 0.0
    seconds: float = 0.0

    def refuse(self, *, force: bool, device: str = "cpu") -> None:
        """Raises ValueError if this machine has not the memory, or nobody the time, unless forced."""
        if force:
            return
        kind = device.partition(":")[0]
        needed, there = _BASE + self.n_bytes, _memory(device)
        if needed > there:
            raise ValueError(
                f"this would need about {_resources.readable(needed)} of memory, and there are "
                f"{_resources.readable(there)}: choose smaller sizes, or --force to go on"
            )
        seconds = self.seconds + self.operations / _RATES.get(kind, _RATES["cuda"])
        if seconds > _MOST_SECONDS:
            raise ValueError(
                f"this would take {_days(seconds)} on a fast machine: choose smaller sizes, or --force to go on"
            )


def of_training(n_features: int, n_hidden: int, probability: float, config: "TrainingConfig", n_held_out: int) -> Cost:
    """Returns the cost of a model that is trained and measured."""
    n, m, batch = float(n_features), float(n_hidden), float(config.batch_size)
    # Weights, gradients, Adam's two averages; entries of a batch: features, outputs, errors, which are on, active ones.
    n_bytes = 16 * 2 * n * m + (13 + 16 * probability) * batch * n + 8 * batch * m + 4.0 * config.n_steps + 20 * n
    if config.precision != "float32":
        n_bytes += 8 * n * m + 6 * batch * n
    held_out = 16 * max(_CHUNK, n)
    # Of a stop rule it is not known when it fires, but not before two windows.
    least = config.n_steps if config.stop_window is None else min(config.n_steps, 2 * config.stop_window)
    # One product of a step is dense whatever is active; held-out samples take two.
    return Cost(n_bytes + held_out, float(least) * batch * n * m + 2.0 * n_held_out * n * m + 3 * n * n * m)


def of_diagnosis(n_features: int, n_hidden: int, n_held_out: int) -> Cost:
    """Returns the cost of measuring a model that is in memory already."""
    n, m = float(n_features), float(n_hidden)
    return Cost(16 * max(_CHUNK, n), 4.0 * n_held_out * n * m + 6 * n * n * m)


def of_rug(n_features: int, n_held_out: int, *, is_learned: bool = False) -> Cost:
    """Returns the cost of a rug that is fitted, in closed form or by steps, and measured."""
    n = float(n_features)
    # Five fits of at least two rounds of 200 batches of 512 samples, their transforms kept for the gradients.
    batch, samples = (512, 5 * 2 * 200 * 512 * 4) if is_learned else (0, 0)
    return Cost(40 * max(n, _CHUNK) + 24 * batch * n, 2 * (n_held_out + samples) * n * max(1.0, log2(n)))


def of_cells(groups: "Iterable[Sequence[Cell]]", workers: int) -> Cost:
    """Returns the cost of cells of a sweep that are measured together, so many groups at a time."""
    costs = [[_OF_MEASURE[cell.measure](cell) for cell in group if cell.measure in _OF_MEASURE] for group in groups]
    largest = sorted((sum(cost.n_bytes for cost in group) for group in costs), reverse=True)[:workers]
    return Cost(
        sum(largest) + (workers - 1) * _BASE, sum(cost.operations for group in costs for cost in group) / workers
    )


def of_encoder(n_features: int, n_hidden: int, *, is_dense: bool, seconds: float, is_programme: bool = False) -> Cost:
    """Returns the cost of an encoder and its decoders, of so many seconds in all; a linear programme copies it."""
    n, m = float(n_features), float(n_hidden)
    matrix = (240 if is_programme else 40) * n * m if is_dense or is_programme else 0.0
    return Cost(matrix + 100 * max(_CALIBRATION, 32 * n), 30 * n * m if is_dense else 0.0, seconds)


def of_dictionary(
    n_features: int, n_hidden: int, n_atoms: int, n_steps: int, n_held_out: int, *, is_dense: bool
) -> Cost:
    """Returns the cost of a dictionary that is learned, measured and matched with the planted columns."""
    n, m, atoms, batch = float(n_features), float(n_hidden), float(n_atoms), 512
    # Columns with their gradients and averages; samples, codes and their gradients; cosines of all pairs, matched.
    n_bytes = 32 * m * (atoms + n) + 4 * batch * (2 * n + 6 * atoms) + 24 * n * atoms + 40 * max(_CHUNK, n)
    samples = float(n_steps) * batch + n_held_out
    return Cost(n_bytes, samples * (8 * m * atoms + (m * n if is_dense else n)) + 2 * m**2 * n)


def of_networks(neurons: int, depth: int, runs: int, n_steps: int) -> Cost:
    """Returns the cost of networks that learn to compress."""
    width = neurons / (2 * depth)
    weights = runs * (6 * width + 2 * (depth - 1) * width**2)
    # 65536 samples to measure one network after the other, batches of 256 whose layers are kept for the gradients.
    layers = width * 3 * 65536 + runs * width * 2 * depth * 4 * 256
    # Weights in the networks and side by side, gradients, rates, averages, work; modules; losses of every step.
    n_bytes = 32 * weights + 4 * layers + runs * (2e4 * depth + 4.0 * n_steps)
    return Cost(n_bytes, (3.0 * n_steps * 256 + 65536) * weights, n_steps * depth * 1e-5)


def of_scheme(levels: int) -> Cost:
    """Returns the cost of a network that is built and read."""
    return Cost(4000.0 * levels**2)


def of_table(rows: int, n_features: int = 0) -> Cost:
    """Returns the cost of a table of closed forms."""
    return Cost(3000.0 * rows + 150.0 * n_features, seconds=1e-4 * rows)


def _of_trained(cell: Any) -> Cost:
    return of_training(cell.n_features, cell.n_hidden, cell.features().density, cell.config(), cell.n_held_out)


def _of_rug(cell: Any) -> Cost:
    return of_rug(cell.n_features, cell.n_held_out)


# Of other measures nothing is known.
_OF_MEASURE = {"trained": _of_trained, "rug": _of_rug}


def _memory(device: str) -> float:
    if not device.startswith("cuda"):
        return _resources.memory()
    import torch

    return float(torch.cuda.get_device_properties(device).total_memory)


def _days(seconds: float) -> str:
    days = seconds / 86400
    return f"{days:,.0f} days" if days < 1e4 else f"{days / 365:.2g} years"
