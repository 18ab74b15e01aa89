"""Figure T3: where trained models beat mean field, over (p, r) and by size."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from superposition.figures.base import PROVENANCE, Check, Figure, column, rows
from superposition.figures.maps import at_locations, draw_maps, panels
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure

_SIGMAS = 3.0
_SAME = 0.05
_COLUMNS = (
    *("protocol", "n_features", "ratio", "probability", "loss", "loss_standard_error", "mean_field_loss"),
    *("linear_loss", "dead_features", "stopped", *PROVENANCE),
)


@final
class FigureT3(Figure):
    """Trained loss relative to the prediction for the rug."""

    name = "T3"
    title = "Where training beats the Persian Rug"
    caption = (
        "Held-out loss of trained models relative to the mean-field prediction, which is the loss of the Persian Rug "
        "as n grows, over probability and ratio, one panel a size and protocol. Below 1 (blue) training found weights "
        "better than any statistically symmetric Gaussian solution; above 1 (red) it did not get there in its steps. "
        "Crosses mark models with features without a code. On the right the same against n_features, default protocol."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the models of the grids."""
        return preset.map_cells()

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a model with its loss, the prediction and their ratio."""
        table = store.table(self.cells(preset))
        relative = {
            to: pc.divide(table[name], table["mean_field_loss"])
            for to, name in (("value", "loss"), ("standard_error", "loss_standard_error"))
        }
        return pa.table({**{name: table[name] for name in _COLUMNS}, **relative})

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the paper's equality of trained models and rugs, and what is found instead."""
        default = rows(table, protocol="default")
        sizes = [n for protocol, n in panels(table) if protocol == "default"]
        value, error = (column(default, name, n_features=sizes[-1]) for name in ("value", "standard_error"))
        same = np.abs(value - 1) < _SAME + _SIGMAS * error
        below = value + _SIGMAS * error < 1
        gaps = np.abs(at_locations(default, sizes))
        return [
            Check(
                f"Trained models reach the loss of the Persian Rug, within {_SAME:.0%} (section 4.2.2).",
                "paper",
                f"at n = {sizes[-1]}, default protocol, {same.sum()} of {same.size} do; {below.sum()} are lower by "
                f"more than {_SIGMAS:g} standard errors, the lowest at {np.nanmin(value):.3f} of the prediction",
                bool(same.all()),
            ),
            Check(
                "Trained and predicted losses come closer as n grows.",
                "superposition",
                f"the median distance falls from {10 ** np.median(gaps[0]) - 1:.1%} at n = {sizes[0]} to "
                f"{10 ** np.median(gaps[-1]) - 1:.1%} at n = {sizes[-1]}",
                bool(np.median(gaps[-1]) < np.median(gaps[0])),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a map a protocol and size, and the ratio against size."""
        from matplotlib.colors import LogNorm

        figure, bar = draw_maps(table, LogNorm(1 / 4, 4, clip=True), "RdBu_r", "loss / mean-field prediction")
        bar.set_ticks([0.25, 0.5, 1, 2, 4], labels=["1/4", "1/2", "1", "2", "4"])
        bar.minorticks_off()
        return figure
