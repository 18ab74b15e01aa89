"""Figure T2: training by the three protocols, against steps and against time."""

from typing import TYPE_CHECKING, Literal, final

import pyarrow as pa

from superposition import theory
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, judged, provenance
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell, stored_run

if TYPE_CHECKING:
    import matplotlib.figure

_PROBABILITY, _RATIO = 0.045, 0.25
_DASHES: dict[Literal["default", "fast", "paper"], Literal["-", "-.", "--"]] = {
    "default": "-",
    "fast": "-.",
    "paper": "--",
}
_COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE)


@final
class FigureT2(Figure):
    """What the default and the fast protocol gain over the paper's."""

    name = "T2"
    title = "Training by three protocols"
    caption = (
        "The default protocol ends lower than the paper's, in fewer steps. Loss of training batches, in means of 50, "
        "at p = 0.045 and ratio 1/4. Solid: the default protocol (tied initial weights, rate with warm-up and cosine "
        "decay). Dash-dotted: the fast one (400 steps at a high rate, weights kept tied). Dashed: the paper's "
        "(initial weights of torch.nn.Linear, constant rate 3e-3/√n) to where its stop rule ends it. Points: "
        "held-out loss, bars two standard errors (smaller than the points). Both panels show the same runs; times "
        "are of one machine, of equal steps within a run."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns a model a size and protocol."""
        return [
            TrainedCell(n, round(_RATIO * n), _PROBABILITY, protocol=protocol, seed=preset.seed)
            for n in preset.protocol_sizes
            for protocol in _DASHES
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a window of a run's curve."""
        records = []
        for cell in self.cells(preset):
            run = stored_run(store, cell)
            for step, loss in zip(run.curve.step, run.curve.loss, strict=True):
                records.append(
                    {
                        "n_features": cell.n_features,
                        "protocol": cell.protocol,
                        "step": step,
                        **provenance(run.row),
                        "seconds": run.row["seconds"] * step / run.row["steps"],
                        "loss": loss,
                        "held_out": run.loss.value,
                        "standard_error": run.loss.standard_error,
                        "stopped": run.row["stopped"],
                        "mean_field": theory.symmetric_optimum(_RATIO, _PROBABILITY).loss,
                    }
                )
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks that both protocols end lower than the paper's, and sooner."""
        ours, fast, theirs = (
            [self._end(table, n, protocol) for n in distinct(table, "n_features")] for protocol in _DASHES
        )
        lower, quickly = (
            [mine[0] + 2 * mine[1] < its[0] - 2 * its[1] for mine, its in zip(found, theirs, strict=True)]
            for found in (ours, fast)
        )
        sooner = [its[2] / mine[2] for mine, its in zip(ours, theirs, strict=True)]
        sizes = ", ".join(f"{n:.0f}" for n in distinct(table, "n_features"))
        return [
            Check(
                "The default protocol ends at a lower held-out loss than the paper's stop rule, at every size.",
                "superposition",
                f"at n = {sizes}: " + "; ".join(
                    f"{mine[0]:.4e} against {its[0]:.4e}" for mine, its in zip(ours, theirs, strict=True)
                ),
                judged(all(lower)),
            ),
            Check(
                "So does the fast protocol.",
                "superposition",
                f"at n = {sizes}, in {fast[0][2]:.0f} steps: " + "; ".join(
                    f"{mine[0]:.4e} against {its[0]:.4e}" for mine, its in zip(fast, theirs, strict=True)
                ),
                judged(all(quickly)),
            ),
            Check(
                "The default protocol takes fewer steps than the paper's stop rule.",
                "superposition",
                f"at n = {sizes}: " + "; ".join(
                    f"{mine[2]:.0f} against {its[2]:.0f}" for mine, its in zip(ours, theirs, strict=True)
                ),
                judged(min(sooner) > 1),
            ),
        ]  # fmt: skip

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws loss against steps and against seconds."""
        import matplotlib.pyplot as plt
        from matplotlib.lines import Line2D

        sizes = distinct(table, "n_features")
        figure, axes = plt.subplots(1, 2, figsize=(9.8, 3.6), sharey=True)
        for axis, along in zip(axes, ("step", "seconds"), strict=True):
            for n, colour in zip(sizes, _COLOURS, strict=False):
                for protocol, dash in _DASHES.items():
                    x, loss, held_out, error = (
                        column(table, name, n_features=n, protocol=protocol)
                        for name in (along, "loss", "held_out", "standard_error")
                    )
                    axis.plot(x, loss, dash, color=colour, linewidth=1)
                    axis.errorbar(x[-1], held_out[-1], 2 * error[-1], fmt="o", color=colour, markersize=4)
            line = axis.axhline(column(table, "mean_field")[0], color=style.BLACK, linestyle=":")
            axis.set(xscale="log", yscale="log")
        linear = theory.linear_loss(_RATIO, _PROBABILITY)
        lowest = column(table, "loss").min()
        axes[0].set_ylim(0.93 * lowest, 1.3 * linear)
        ticks = [tick for tick in (2e-3, 3e-3, 4e-3, 6e-3, 1e-2) if 0.93 * lowest <= tick <= 1.3 * linear]
        axes[0].set_yticks(ticks, [f"{1000 * tick:g}" for tick in ticks])
        axes[0].minorticks_off()
        axes[0].set(xlabel="steps of 1024 samples", ylabel="loss per feature (10⁻³ feature units²)")
        axes[1].set(xlabel="time (s)")
        entries = [Line2D([], [], color=colour) for _, colour in zip(sizes, _COLOURS, strict=False)]
        entries += [Line2D([], [], color="0.3", linestyle=dash) for dash in _DASHES.values()]
        labels = [f"n = {n:.0f}" for n in sizes] + [
            "default protocol",
            "fast protocol",
            "paper's protocol",
            "mean field",
        ]
        axes[1].legend([*entries, line], labels, loc="upper left", bbox_to_anchor=(1, 1))
        return figure

    @staticmethod
    def _end(table: pa.Table, n: float, protocol: str) -> tuple[float, float, float]:
        """Returns the held-out loss, its standard error and the steps of a run."""
        loss, error, steps = (
            column(table, name, n_features=n, protocol=protocol)[-1] for name in ("held_out", "standard_error", "step")
        )
        return float(loss), float(error), float(steps)
