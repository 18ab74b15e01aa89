"""Figure A4: what nonlinear compression costs, in neurons and in precision."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final, get_args

import numpy as np
import pyarrow as pa

from superposition import _random
from superposition._checks import FloatArray
from superposition.compression import (
    QuantizedPair,
    linear_code_bound,
    linear_loss,
    smallest_network,
)
from superposition.compression.precision import PRECISIONS, Place
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged, rows
from superposition.figures.presets import Preset
from superposition.sweeps import Cell, PrecisionCell, SchemeCell, Store, StoredCell

if TYPE_CHECKING:
    import matplotlib.figure

# The appendix's ramp, and one that costs little.
_WIDE, _NARROW = 0.1, 0.01
_SIZES = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1))
_NESTED_LEVELS = (2, 3, 4, 6, 8, 12, 16)
_FEW = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
_MORE = (*_FEW, 64, 96, 128, 192)
_LEVELS = {"quick": _FEW, "laptop": _MORE, "reference": _MORE, "paper": _MORE}
_PLACES: tuple[Place, ...] = get_args(Place)
_MOST_SAMPLES = 8192


@final
class FigureA4(Figure):
    """Loss against neurons, in two and more dimensions, and against the precision of numbers."""

    name = "A4"
    title = "Nonlinear compression: neurons and precision"
    caption = (
        "Nonlinear compression beats linear from a few neurons on, and needs bits as much as neurons. (a) Two "
        "dimensions in one: loss against the ReLUs of encoder and decoder. The quantised scheme by two neurons a "
        "segment (the appendix's count, 12 a level) and by the fewest, 4Z − 2; ε = 0.1 in units of the input as in "
        "the appendix, or guarded ramps of 0.01 segments. Star: the smallest network that beats linear compression. "
        "Dotted: the least loss of any decoder of a linear code. (b) n dimensions in m by nesting, guarded ramps of "
        "0.01 segments; bars two standard errors. (c) Two dimensions in one where numbers have few bits, each point "
        "with its best ramp: only the code is rounded (lines), or the whole network is computed in that type "
        "(dashed)."
    )

    def cells(self, preset: Preset) -> list[Cell]:
        """Returns the nested schemes, and those of few bits."""
        return [*_nested(preset), *_rounded(preset)]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a point: panel, series, x (neurons or levels), levels, loss over linear and its error."""
        points = _Points()
        for levels in range(1, 10):
            wide = QuantizedPair(levels, min(_WIDE, 1 / levels)).expected_loss() / linear_loss()
            narrow = QuantizedPair(levels, _NARROW, "segment", "guarded").expected_loss() / linear_loss()
            points.add("pair", "12 a level, ε = 0.1", 12 * levels, levels, wide)
            points.add("pair", "12 a level, narrow", 12 * levels, levels, narrow)
            points.add("pair", "fewest, ε = 0.1", 4 * levels - 2, levels, wide)
            points.add("pair", "fewest, narrow", 4 * levels - 2, levels, narrow)
        loss = _smallest_loss(preset)
        points.add("pair", "smallest", smallest_network().n_neurons, 0, *loss)
        for cell in _nested(preset):
            panel, series = "nested", f"{cell.n_features} in {cell.n_hidden}"
            points.add(panel, series, store.get(cell).row["neurons"], cell.levels, *_relative(store.get(cell)))
        for rounded in _rounded(preset):
            levels = rounded.levels
            points.add(rounded.place, rounded.precision, levels, levels, *_relative(store.get(rounded)))
        return pa.Table.from_pylist(points.rows)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the appendix's count, the least number of neurons, nesting, and the split of precision."""
        needed = {name: _first_below(table, name) for name in ("12 a level, ε = 0.1", "fewest, ε = 0.1")}
        smallest = rows(table, series="smallest").to_pylist()[0]
        score = (1 - smallest["loss"]) / smallest["standard_error"]
        levels = column(table, "levels", panel="nested")
        cost = column(table, "x", panel="nested")
        removed = np.array([n - m for n, m in _SIZES for _ in _NESTED_LEVELS])
        gains = {f"{n} in {m}": column(table, "loss", panel="nested", series=f"{n} in {m}").min() for n, m in _SIZES}
        carried = {place: [_best(table, place, precision) for precision in PRECISIONS] for place in _PLACES}
        code, network = carried["code"], carried["network"]
        most = column(table, "levels", panel="code").max()
        return [
            Check(
                "The scheme requires 12 neurons for each of its levels.",
                "paper",
                "12 a level suffice, but the same functions take 4Z − 2: 10 in place of 36 at Z = 3",
                judged(column(table, "x", series="fewest, ε = 0.1", levels=3)[0] >= 36),
            ),
            Check(
                "It only starts to beat linear compression at a combined 36 neurons.",
                "paper",
                f"at ε = 0.1 it does from {needed['12 a level, ε = 0.1']:.0f} on by the appendix's own count, from "
                f"{needed['fewest, ε = 0.1']:.0f} on with the fewest neurons; another network does with "
                f"{smallest['x']:.0f}",
                judged(needed["12 a level, ε = 0.1"] >= 36),
            ),
            Check(
                "The least number of neurons that beats linear compression is 3.",
                "superposition",
                f"loss {smallest['loss']:.4f} ± {smallest['standard_error']:.4f} of linear, {score:.0f} standard "
                "errors below; with fewer, one side is constant or all reconstructions lie on a line",
                # Few samples do not tell so small a gain: only a loss above linear's is against it.
                judged(smallest["x"] == 3 and score > 5, tested=smallest["x"] != 3 or abs(score) > 5),
            ),
            Check(
                "By nesting, n dimensions go into m with 4Z − 2 neurons for each dimension that is removed.",
                "superposition",
                "least loss relative to linear, over Z: "
                + "; ".join(f"{name} {gain:.4f}" for name, gain in gains.items()),
                judged((cost == removed * (4 * levels - 2)).all() and max(gains.values()) < 0.1),
            ),
            Check(
                "The floating-point precision of t is split between x and y.",
                "paper",
                "levels of least loss in " + ", ".join(PRECISIONS) + f": {_listed(code, most)} if the code is rounded, "
                f"{_listed(network, most)} if all is",
                judged(code[0] < code[1] < code[2] and network[0] < network[1] <= network[2]),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws three panels."""
        import matplotlib.pyplot as plt
        from matplotlib.lines import Line2D

        figure, (pair, nested, precision) = plt.subplots(1, 3, figsize=(11.4, 3.8))
        looks = {
            "12 a level, ε = 0.1": (style.ORANGE, "o--"),
            "12 a level, narrow": (style.ORANGE, "o-"),
            "fewest, ε = 0.1": (style.BLUE, "s--"),
            "fewest, narrow": (style.BLUE, "s-"),
        }
        for series, (colour, dash) in looks.items():
            pair.plot(*_curve(table, "pair", series), dash, color=colour, mfc="w", label=series)
        pair.plot(*_curve(table, "pair", "smallest"), "*", color=style.RED, markersize=10, label="smallest network")
        pair.axhline(linear_code_bound() / linear_loss(), color=style.RED, linestyle=":", linewidth=1)
        pair.axvline(36, color="0.6", linewidth=0.8, zorder=0)
        pair.text(37, 0.012, "36", color="0.4")
        pair.set(title="(a) two dimensions in one", ylabel="loss over linear loss", xlabel="neurons")
        colours, markers = (style.BLACK, style.BLUE, style.SKY, style.ORANGE, style.GREEN), "osv^x"
        for (n, m), colour, marker in zip(_SIZES, colours, markers, strict=True):
            series = f"{n} in {m}"
            error = column(table, "standard_error", panel="nested", series=series)
            x, y = _curve(table, "nested", series)
            nested.errorbar(x, y, 2 * error, color=colour, marker=marker, mfc="none", label=series)
        nested.set(title="(b) n dimensions in m", xlabel="neurons")
        for name, colour, marker in zip(PRECISIONS, (style.ORANGE, style.BLUE, style.GREEN), "os^", strict=True):
            precision.plot(*_curve(table, "code", name), f"{marker}-", color=colour, mfc="w", label=name)
            precision.plot(*_curve(table, "network", name), f"{marker}--", color=colour, mfc="w")
        precision.set(title="(c) precision", xlabel="levels Z")
        for axis in (pair, nested, precision):
            axis.axhline(1, color="0.4", linewidth=1)
            axis.set(xscale="log", yscale="log", ylim=(4e-4, 2.5))
        pair.set_xticks([3, 6, 12, 24, 48, 96], ["3", "6", "12", "24", "48", "96"])
        nested.set_xticks([6, 20, 60, 200, 400], ["6", "20", "60", "200", "400"])
        precision.set_ylim(min(4e-4, 0.5 * column(table, "loss", panel="code").min()), 2.5)
        powers = [2**i for i in range(1, 8) if 2**i <= column(table, "levels", panel="code").max()]
        precision.set_xticks(powers, [str(power) for power in powers])
        for axis in (pair, nested, precision):
            axis.minorticks_off()
        pair.legend(loc="lower left")
        nested.legend(loc="lower left", title="n in m")
        places = [Line2D([], [], color="0.3", linestyle=dash) for dash in ("-", "--")]
        handles, labels = precision.get_legend_handles_labels()
        precision.legend([*handles, *places], [*labels, "code rounded", "all rounded"], loc="lower left")
        return figure


@dataclass
class _Points:
    """Rows of the table, added one by one."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, panel: str, series: str, x: int, levels: int, loss: float, error: float = 0.0) -> None:
        self.rows.append(
            {"panel": panel, "series": series, "x": x, "levels": levels, "loss": loss, "standard_error": error}
        )


def _nested(preset: Preset) -> list[SchemeCell]:
    return [
        SchemeCell(n, m, levels, _NARROW, n_samples=preset.n_held_out, seed=preset.seed)
        for n, m in _SIZES
        for levels in _NESTED_LEVELS
    ]


def _rounded(preset: Preset) -> list[PrecisionCell]:
    n_samples = min(preset.n_held_out, _MOST_SAMPLES)
    return [
        PrecisionCell(2, 1, levels, precision, place, n_samples, preset.seed)
        for place in _PLACES
        for precision in PRECISIONS
        for levels in preset.own(_LEVELS)
    ]


def _relative(stored: StoredCell) -> tuple[float, float]:
    """Returns a loss over that of linear compression, and its standard error."""
    loss, linear = stored.estimate("loss"), stored.row["linear_loss"]
    return loss.value / linear, loss.standard_error / linear


def _smallest_loss(preset: Preset) -> tuple[float, float]:
    """Returns the loss of the smallest network over the linear loss, and its standard error."""
    import torch

    z = torch.rand(4 * preset.n_held_out, 2, generator=_random.torch_generator(preset.seed, "smallest network"))
    with torch.no_grad():
        errors = (smallest_network()(z) - z).square().mean(1).double() / linear_loss()
    return float(errors.mean()), float(errors.std() / len(errors) ** 0.5)


def _curve(table: pa.Table, panel: str, series: str) -> tuple[FloatArray, FloatArray]:
    return column(table, "x", panel=panel, series=series), column(table, "loss", panel=panel, series=series)


def _first_below(table: pa.Table, series: str) -> float:
    """Returns the fewest neurons with which a series is below the linear loss."""
    neurons, loss = _curve(table, "pair", series)
    # One level loses what linear does but for rounding, some thousands of 1e-16.
    return float(neurons[loss < 1 - 1e-9].min())


def _best(table: pa.Table, place: str, precision: str) -> float:
    """Returns the levels of least loss."""
    levels, loss = _curve(table, place, precision)
    return float(levels[np.argmin(loss)])


def _listed(levels: list[float], most: float) -> str:
    return ", ".join(f"{each:.0f}{' (the most tried)' if each == most else ''}" for each in levels)
