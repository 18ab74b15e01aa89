"""Figure A3: the exact loss of a quantised pair against the width of its ramps."""

from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.compression import QuantizedPair, best_levels, linear_loss
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged, rows
from superposition.figures.presets import Preset
from superposition.sweeps import SchemeCell, Store

if TYPE_CHECKING:
    import matplotlib.figure

_LEVELS, _SAMPLED = (2, 3, 5, 8), (0.03, 0.1, 0.3)
_UNITS: tuple[Literal["input", "segment"], ...] = ("input", "segment")
_NARROW = 0.002
_Z = 4.0


@final
class FigureA3(Figure):
    """Which ramps still beat the best linear compression."""

    name = "A3"
    title = "Nonlinear compression: loss against the ramp"
    caption = (
        "Ramps of a tenth still beat the best linear compression, if they lie on the jumps. Exact loss (mean of both "
        "dimensions' mean square errors) of the quantised pair against the width ε of its ramps, up to a full "
        "segment. Points: Monte Carlo, bars of two standard errors. (a) ε in units of the functions' input, (b) in "
        "units of a segment, of which there are Z. Thin lines, Z = 3: ramps before the jumps in place of centred "
        "ones, and a code with gaps that guard the decoder's ramps. The linear optimum is 1/24."
    )

    def cells(self, preset: Preset) -> list[SchemeCell]:
        """Returns the schemes of which samples are drawn."""
        return [
            SchemeCell(2, 1, levels, ramp, units, "centred", preset.n_held_out, preset.seed + levels)
            for units in _UNITS
            for levels in _LEVELS
            for ramp in _SAMPLED
            if ramp <= _widest(units, levels)
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a point: units, alignment, source, levels, ramp, loss, standard error."""
        records: list[dict[str, Any]] = []

        def add(scheme: QuantizedPair, source: str, loss: float, error: float = 0.0) -> None:
            where = {"units": scheme.units, "alignment": scheme.alignment, "levels": scheme.levels, "ramp": scheme.ramp}
            records.append({**where, "source": source, "loss": loss, "standard_error": error})

        for units in _UNITS:
            for levels in _LEVELS:
                for ramp in np.geomspace(_NARROW, _widest(units, levels) * (1 - 1e-9), 40):
                    for alignment in ("centred", "before", "guarded") if levels == 3 else ("centred",):
                        scheme = QuantizedPair(levels, float(ramp), units, alignment)
                        add(scheme, "exact", scheme.expected_loss())
        for cell in self.cells(preset):
            scheme, sampled = QuantizedPair(cell.levels, cell.ramp, cell.units), store.get(cell).estimate("loss")
            add(scheme, "exact", scheme.expected_loss())
            add(scheme, "sampled", sampled.value, sampled.standard_error)
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the appendix's example, the formulas against samples, and what makes the example work."""
        linear = linear_loss()
        example = {units: self._loss(table, units, "centred", 3, 0.1) for units in _UNITS}
        scores = self._scores(table)
        before = self._curve(table, "input", "before", 3)
        wide = before[0][before[1] < linear].max()
        best = best_levels(0.1)
        return [
            Check(
                "With ε as large as 0.1 and Z as small as 3 nonlinear compression outperforms linear compression.",
                "paper",
                f"loss {example['input']:.6f} with ε in units of the input, {example['segment']:.6f} in units of a "
                f"segment, linear {linear:.6f}",
                judged(max(example.values()) < linear),
            ),
            Check(
                "The exact losses are those of samples.",
                "superposition",
                f"{scores.size} points, the largest deviation {np.abs(scores).max():.1f} standard errors",
                judged(np.abs(scores).max() < _Z),
            ),
            Check(
                "It matters where the ramps lie: at Z = 3 ramps of 0.1 before the jumps lose to linear compression.",
                "superposition",
                f"they win up to ε = {wide:.3f} only (units of the input); centred ones up to a full segment",
                judged(bool(wide < 0.1) and bool((self._curve(table, "input", "centred", 3)[1] < linear).all())),
            ),
            Check(
                "Three levels are not the best for ε = 0.1: two are, in units of the input.",
                "superposition",
                f"{best.levels} levels, loss {best.loss:.6f}, three {example['input']:.6f}",
                judged(best.levels == 2 and best.loss < example["input"]),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a panel a reading of ε."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.5), sharey=True)
        looks = ((style.SKY, "-"), (style.BLACK, "--"), (style.ORANGE, "-."), (style.GREEN, ":"))
        for axis, units in zip(axes, _UNITS, strict=True):
            for levels, (colour, dash) in zip(_LEVELS, looks, strict=True):
                axis.plot(*self._curve(table, units, "centred", levels), dash, color=colour, label=f"Z = {levels}")
                where = {"source": "sampled", "units": units, "levels": levels}
                ramp, loss, error = (column(table, name, **where) for name in ("ramp", "loss", "standard_error"))
                axis.errorbar(ramp, loss, 2 * error, fmt="o", color=colour, markersize=3.5)
            for alignment, colour in (("before", style.RED), ("guarded", style.PURPLE)):
                curve = self._curve(table, units, alignment, 3)
                axis.plot(*curve, color=colour, linewidth=0.8, label=f"Z = 3, {alignment}")
            axis.axhline(linear_loss(), color="0.4", linewidth=1, label="linear optimum")
            unit = "input" if units == "input" else "a segment"
            axis.set(
                xscale="log", yscale="log", xlabel=f"ramp width ε (units of {'the ' if units == 'input' else ''}{unit})"
            )
        axes[0].set(title="(a) input units", ylabel="loss (mean square error)", ylim=(4e-4, 0.12))
        axes[1].set(title="(b) segment units")
        axes[1].legend(loc="lower right", ncol=2)
        return figure

    @staticmethod
    def _curve(table: pa.Table, units: str, alignment: str, levels: int) -> tuple[FloatArray, FloatArray]:
        where = {"source": "exact", "units": units, "alignment": alignment, "levels": levels}
        ramp, loss = column(table, "ramp", **where), column(table, "loss", **where)
        order = np.argsort(ramp, kind="stable")
        return ramp[order], loss[order]

    @classmethod
    def _loss(cls, table: pa.Table, units: str, alignment: str, levels: int, ramp: float) -> float:
        ramps, losses = cls._curve(table, units, alignment, levels)
        return float(losses[ramps == ramp][0])

    @classmethod
    def _scores(cls, table: pa.Table) -> FloatArray:
        """Returns by how many standard errors samples lie above the exact losses."""
        sampled = rows(table, source="sampled").to_pylist()
        return np.array(
            [
                (row["loss"] - cls._loss(table, row["units"], "centred", row["levels"], row["ramp"]))
                / row["standard_error"]
                for row in sampled
            ]
        )


def _widest(units: str, levels: int) -> float:
    """Returns the width of a segment."""
    return 1 / levels if units == "input" else 1.0
