"""Figure 4: the fluctuation of the diagonal of W over (p, r), by size."""

from dataclasses import asdict
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition.diagnostics import symmetry
from superposition.figures import style
from superposition.figures.base import Check, Figure, Preset, column, distinct, rows
from superposition.sweeps import Store, TrainedCell, stored_run

if TYPE_CHECKING:
    import matplotlib.figure

_UNIFORM = 0.05


@final
class Figure4(Figure):
    """Permutation symmetry of the diagonal emerging with size."""

    name = "4"
    title = "Symmetry of the diagonal"
    caption = (
        "Mean-square fluctuation Δ diag(W) of the diagonal of trained models over probability and ratio, one "
        "panel a size (the paper's text calls Δ a root mean square; it is the mean square). A number in "
        "brackets counts features without a code (|W_ii| below 5% of the largest). All models took the same number of "
        "steps: at p = 0.01 and ratios from 1/2 on part of the fluctuation is what training has not settled yet."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the models over sizes, probabilities and ratios; figure 2 uses the same."""
        return preset.trained_cells()

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a model with the spread of its diagonal."""
        records = []
        for cell in self.cells(preset):
            run = stored_run(store, cell)
            found = symmetry(run.model, cell.features())
            records.append(
                {
                    "source": "trained",
                    "n_features": cell.n_features,
                    "n_hidden": cell.n_hidden,
                    "ratio": cell.n_hidden / cell.n_features,
                    "probability": cell.probability,
                    **{f"diagonal_{name}": value for name, value in asdict(found.diagonal).items()},
                    "dead_features": found.dead_features,
                    "protocol": cell.protocol,
                    "stopped": run.row["stopped"],
                    "steps": run.row["steps"],
                }
            )
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks that the fluctuation falls with size at every place."""
        sizes = distinct(table, "n_features")
        small, large = (column(table, "diagonal_mean_square", n_features=n) for n in (sizes[0], sizes[-1]))
        falls = large < small
        alive = column(table, "dead_features", n_features=sizes[-1]) == 0
        relative = np.sqrt(large) / column(table, "diagonal_mean", n_features=sizes[-1])
        return [
            Check(
                "The fluctuation of the diagonal falls as n grows, at all locations of the diagram (figure 4).",
                "paper",
                f"from n = {sizes[0]} to {sizes[-1]} it falls at {falls.sum()} of {falls.size} locations, after "
                f"{min(distinct(table, 'steps')):.0f} steps each",
                bool(falls.all()),
            ),
            Check(
                f"At n = {sizes[-1]} the diagonal is uniform, its spread below {_UNIFORM:.0%} of its mean, wherever "
                "every feature has a code.",
                "superposition",
                f"at {(relative[alive] < _UNIFORM).sum()} of {alive.sum()} such locations; the largest spread is "
                f"{relative[alive].max(initial=0.0):.1%}. Elsewhere some features have no code",
                bool((relative[alive] < _UNIFORM).all()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a heat map a size, with the numbers in the cells."""
        import matplotlib.pyplot as plt
        from matplotlib.colors import LogNorm

        sizes, ratios, probabilities = (distinct(table, name) for name in ("n_features", "ratio", "probability"))
        values = column(table, "diagonal_mean_square")
        norm = LogNorm(values[values > 0].min(), values.max())
        figure, axes = plt.subplots(1, len(sizes), figsize=(3.9 * len(sizes) + 0.8, 3.2), sharey=True, squeeze=False)
        for axis, n in zip(axes[0], sizes, strict=True):
            grid = np.full((len(probabilities), len(ratios)), np.nan)
            for row in rows(table, n_features=n).to_pylist():
                place = probabilities.index(row["probability"]), ratios.index(row["ratio"])
                delta, dead = row["diagonal_mean_square"], row["dead_features"]
                grid[place] = delta
                text = f"{delta:.0e}" + (f"\n[{dead}]" if dead else "")
                dark = norm(delta) < 0.55
                axis.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color="w" if dark else "k")
            image = axis.imshow(grid, norm=norm, cmap="viridis", origin="lower", aspect="auto")
            axis.set_xticks(range(len(ratios)), [style.fraction(r) for r in ratios])
            axis.set_yticks(range(len(probabilities)), [f"{p:g}" for p in probabilities])
            axis.set(title=f"n_features = {n:.0f}", xlabel="ratio n_hidden / n_features")
            axis.grid(visible=False)
        axes[0, 0].set_ylabel("probability p")
        figure.colorbar(image, ax=axes, label="Δ diag(W), mean square")
        return figure
