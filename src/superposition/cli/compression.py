"""The command that builds, reads and trains networks that compress two dimensions into one."""

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import TYPE_CHECKING, Annotated, Literal, final

import tyro

import superposition as sp
from superposition._text import complain, say
from superposition.cli import costs
from superposition.cli.command import Costly, Count, OptionalCount
from superposition.cli.exit_codes import FAILED
from superposition.cli.quantities import option
from superposition.cli.tables import new_table, show

if TYPE_CHECKING:
    from superposition.compression import Learned, QuantizedPair, Reading

# A loss below is zero but for rounding.
_ROUNDING = 1e-25
# Networks of more are not read in seconds.
_MOST_LEVELS = 1024
# Options of learning from random weights, and of all learning.
_OF_RUNS = {"neurons": 36, "depth": 1, "runs": 16}
_OF_LEARNING = ("start", *_OF_RUNS, "n_steps", "learning_rate")


@final
@dataclass(frozen=True, kw_only=True)
class Compress(Costly):
    """Compress two dense dimensions nonlinearly into one: the quantised scheme, its ReLU network, or learn one.

    Losses are mean square errors per dimension of uniform x, y in [0, 1]; the best linear compression loses 1/24.
    """

    levels: Count = 3
    """Levels Z of the quantised dimension, in [1, 1024]."""
    ramp: Annotated[float, tyro.conf.arg(metavar="(0,1]")] = 0.1
    """Width ε of the ramp in the place of each jump, at most a segment."""
    units: Literal["input", "segment"] = "input"
    """What ε is measured in: the function's input, or segments, of which there are Z."""
    alignment: Literal["centred", "before", "after", "guarded"] = "centred"
    """Where ramps lie; guarded: the encoder leaves gaps between levels for the ramps of the decoder."""
    learn: bool = False
    """Train networks 2 → h … → 1 → h … → 2 instead."""
    start: Literal["random", "construction"] | None = None
    """With --learn: initial weights, random if not given; construction: the network of fewest neurons of the scheme
    above."""
    neurons: OptionalCount = None
    """With --learn from random weights: ReLUs of encoder and decoder, a multiple of 2 · depth; 36 if not given."""
    depth: OptionalCount = None
    """With --learn from random weights: hidden layers of the encoder, and of the decoder; 1 if not given."""
    runs: OptionalCount = None
    """With --learn from random weights: number of networks; 16 if not given."""
    n_steps: OptionalCount = None
    """With --learn: training steps of 256 samples; 4000 if not given."""
    learning_rate: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    """With --learn: peak rate of Adam; 0.03 by depth, or 0.001 from the construction, if not given."""
    seed: Count = 0
    """Seed of all randomness, ≥ 0."""

    def run(self) -> int:
        """Builds or trains, and prints."""
        self._refuse_idle()
        sp._checks.whole_number("levels", self.levels, high=_MOST_LEVELS)
        sp._checks.whole_number("seed", self.seed, low=0, high=2**63 - 1)
        costs.of_scheme(self.levels).refuse(force=self.force)
        scheme = sp.compression.QuantizedPair(self.levels, self.ramp, self.units, self.alignment)
        if self.learn:
            return self._learn(scheme)
        _show_scheme(scheme)
        return 0

    def _refuse_idle(self) -> None:
        """Raises ValueError for an option that would have no effect."""
        given = list(self.given(*_OF_LEARNING))
        if given and not self.learn:
            raise ValueError(f"{option(given[0])} must come with --learn: nothing is trained without it")
        idle = [name for name in given if name in _OF_RUNS]
        if idle and self.start == "construction":
            raise ValueError(f"{option(idle[0])} must come without --start construction, which has one network")

    def _learn(self, scheme: "QuantizedPair") -> int:
        pair, constructed = sp.SparseFeatures(2, 1.0), self.start == "construction"
        given = {**_OF_RUNS, **self.given(*_OF_RUNS)}
        neurons, depth, runs = (sp._checks.whole_number(name, value) for name, value in given.items())
        if neurons % (2 * depth):
            raise ValueError(f"`neurons` must be a multiple of {2 * depth}, 2 · depth, got {neurons}")
        config = sp.TrainingConfig.networks().replace(**self.given("n_steps"))
        costs.of_networks(neurons, depth, runs, config.n_steps).refuse(force=self.force)
        rate = self.learning_rate
        if rate is None:
            rate = 1e-3 if constructed else 0.03 / depth
        sp._checks.in_interval("learning_rate", rate, 0, inf, open_low=True, open_high=True)
        config = config.replace(learning_rate=rate * sqrt(pair.n_features))
        if constructed:
            network = scheme.to_network("minimal")
            found = sp.compression.learn_from([network], pair, config=config, seed=self.seed, progress=True)
        else:
            hidden = [neurons // (2 * depth)] * depth
            found = sp.compression.learn(
                pair, (2, *hidden, 1), (1, *hidden, 2), n_runs=runs, config=config, seed=self.seed, progress=True
            )
        if not all(isfinite(loss.value) for loss in found.losses):
            complain(f"superposition: training diverged at learning rate {rate:g}: give a smaller --learning-rate")
            return FAILED
        _show_learned(found, scheme if constructed else None)
        return 0


def _show_scheme(scheme: "QuantizedPair") -> None:
    """Prints the exact losses of a scheme, its networks and what their weights say."""
    linear = sp.compression.linear_loss()
    table = new_table("", "x", "y", "mean", "of linear", title=_title(scheme))
    for name, each in (("with ramps", scheme), ("with jumps", sp.compression.QuantizedPair(scheme.levels))):
        of_x, of_y = each.expected_losses()
        mean = each.expected_loss()
        cells = (f"{0.0 if loss < _ROUNDING else loss:.7g}" for loss in (of_x, of_y, mean))
        table.add_row(name, *cells, f"{mean / linear:.4f}")
    table.add_row("linear optimum", "", "", f"{linear:.7g}", "1")
    assert scheme.ramp is not None
    best = sp.compression.best_levels(scheme.ramp, scheme.units, scheme.alignment)
    table.add_row(f"best levels, {best.levels}", "", "", f"{best.loss:.7g}", f"{best.loss / linear:.4f}")
    show(table)
    networks = new_table(
        "network", "neurons", *(f"loss, {name}" for name in sp.compression.PRECISIONS), title="As ReLU neurons"
    )
    nested = sp.compression.NestedScheme(2, 1, scheme)
    losses = [
        str(sp.compression.loss_at_precision(nested, precision, "network")) for precision in sp.compression.PRECISIONS
    ]
    networks.add_row("two neurons a segment", str(scheme.to_network("segments").n_neurons), *["–"] * len(losses))
    networks.add_row("fewest neurons", str(scheme.to_network("minimal").n_neurons), *losses)
    show(networks)
    _show_reading(sp.compression.inspect(scheme.to_network("segments")))


def _show_learned(found: "Learned", scheme: "QuantizedPair | None") -> None:
    """Prints how networks ended, and reads the best."""
    import numpy as np

    linear, n = sp.compression.linear_loss(), found.networks[0].n_neurons
    losses = np.array([loss.value for loss in found.losses])
    table = new_table("", "loss", "of linear", title=f"Trained networks of {n} neurons, {len(losses)} runs")
    table.add_row("best", str(found.losses[found.best]), f"{losses.min() / linear:.4f}")
    if scheme is not None:
        table.add_row("before training", f"{scheme.expected_loss():.7g}", f"{scheme.expected_loss() / linear:.4f}")
    else:
        table.add_row("median", f"{np.median(losses):.7g}", f"{np.median(losses) / linear:.4f}")
        levels = (n + 2) // 4
        built = sp.compression.QuantizedPair(levels).expected_loss()
        table.add_row(f"{levels} levels, ramps of no width", f"{built:.7g}", f"{built / linear:.4f}")
    table.add_row("linear optimum", f"{linear:.7g}", "1")
    show(table)
    readings = [sp.compression.inspect(found.networks[run]) for run in range(len(losses))]
    if scheme is None:
        share = found.share_below(linear)
        say(f"share of runs that beat linear: {share.value:.2f} ± {share.standard_error:.2f}")
        kinds = [reading.kind for reading in readings]
        say("learned: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))
    _show_reading(readings[found.best])


def _show_reading(reading: "Reading") -> None:
    """Prints what the weights say."""
    table = new_table("", "found", title="Read from the weights")
    table.add_row("kind", reading.kind)
    table.add_row("levels Z", str(reading.levels))
    table.add_row("quantised", reading.coarse)
    table.add_row("width ε of the encoder's ramps, input units", "" if reading.ramp is None else f"{reading.ramp:.5f}")
    table.add_row("linear pieces of the decoder", str(reading.n_pieces))
    scheme = reading.scheme()
    table.add_row("as a scheme", "no sawtooth of equal levels" if scheme is None else _title(scheme))
    show(table)


def _title(scheme: "QuantizedPair") -> str:
    return f"{scheme.levels} levels, ramps of {scheme.ramp:.5g} {scheme.units} units, {scheme.alignment}"
