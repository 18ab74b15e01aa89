"""Figure T3: where trained models beat mean field, over (p, r) and by size."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from superposition._checks import FloatArray
from superposition.figures.base import LIMIT_FROM, PROVENANCE, Check, Figure, column, judged, rows
from superposition.figures.maps import Mask, at_locations, draw_maps, panels
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure

_SIGMAS = 3.0
_SAME = 0.05
_COLUMNS = (
    *("protocol", "n_features", "ratio", "probability", "loss", "loss_standard_error", "mean_field_loss"),
    *("linear_loss", "dead_features", "stopped", "steps", *PROVENANCE),
)


@final
class FigureT3(Figure):
    """Trained loss relative to the prediction for the rug."""

    name = "T3"
    title = "Where training beats the Persian Rug"
    caption = (
        "Small models are better than the Persian Rug, and come up to its loss as they grow. Held-out loss of trained "
        "models relative to the mean-field prediction, the loss of a rug as n grows, over probability and ratio, one "
        "panel a size and protocol. Below 1 (blue) training found weights better than any statistically symmetric "
        "Gaussian solution; above 1 (red) it did not get there in its steps. Both halves of the colours reach to their "
        "farthest value. Crosses mark models that leave features without a code. On the right the same against "
        "n_features for the default protocol, a line a location, and the geometric mean of those where every feature "
        "has a code."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the models of the grids."""
        return preset.map_cells()

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a model with its loss, the prediction and their ratio."""
        table = store.table(self.cells(preset))
        relative = {
            to: pc.divide(table[name], table["mean_field_loss"])
            for to, name in (
                ("value", "loss"), ("relative_loss", "loss"), ("standard_error", "loss_standard_error")
            )
        }  # fmt: skip
        return pa.table({**{name: table[name] for name in _COLUMNS}, **relative})

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the paper's equality of trained models and rugs, and what is found instead.

        Models below the prediction contradict it; those above were not trained for long enough to do so.
        """
        default = rows(table, protocol="default")
        sizes = [n for protocol, n in panels(table) if protocol == "default"]
        value, error = (column(default, name, n_features=sizes[-1]) for name in ("value", "standard_error"))
        same = np.abs(value - 1) < _SAME + _SIGMAS * error
        below, above = value + _SIGMAS * error < 1 - _SAME, value - _SIGMAS * error > 1 + _SAME
        at = at_locations(default, sizes)

        def distances(mask: Mask) -> FloatArray:
            return (
                10 ** np.median(np.abs(at.values[:, mask]), axis=1) - 1 if mask.any() else np.full(len(sizes), np.nan)
            )

        def closer(mask: Mask) -> bool:
            first, *_, last = distances(mask)
            return bool(last < first)

        everywhere = np.ones(at.values.shape[1], dtype=bool)
        first, *_, last = distances(everywhere)
        codeless, is_limit = column(default, "dead_features", n_features=sizes[-1]) > 0, sizes[-1] >= LIMIT_FROM
        return [
            Check(
                f"Trained models reach the loss of the Persian Rug, within {_SAME:.0%} (section 4.2.2).",
                "paper",
                f"at n = {sizes[-1]}, default protocol, {same.sum()} of {same.size} do; {below.sum()} lie lower, "
                f"{above.sum()} higher; from {np.nanmin(value):.3f} to {np.nanmax(value):.3f} of the prediction; "
                f"{codeless.sum()} of the models leave features without a code",
                judged(same.all(), tested=is_limit, trained=below.any()),
            ),
            Check(
                "After equal numbers of steps trained and predicted losses are closer at larger n.",
                "superposition",
                f"the median distance over {everywhere.size} locations goes from {first:.1%} at n = {sizes[0]} to "
                f"{last:.1%} at n = {sizes[-1]}{at.left_out}",
                judged(closer(everywhere), tested=is_limit, trained=at.finished.any() and not closer(at.finished)),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a map a protocol and size, and the ratio against size."""
        from matplotlib.colors import FuncNorm

        values = column(table, "value")
        powers = np.log2(values[np.isfinite(values) & (values > 0)])
        low, high = min(-1, int(np.floor(powers.min()))), max(1, int(np.ceil(powers.max())))

        # Each side of 1 has half of the colours, up to the farthest value, and the root of the logarithm spreads what
        # is near 1: few runs that were not at their end lie a hundred times above.
        def share(value: FloatArray) -> FloatArray:
            power = np.log2(np.maximum(value, 2.0**low))
            return np.asarray(np.where(power < 0, -np.sqrt(np.abs(power / low)), np.sqrt(np.abs(power / high))))

        def value_of(share: FloatArray) -> FloatArray:
            return np.asarray(2.0 ** np.where(share < 0, low * share**2, high * share**2))

        norm = FuncNorm((share, value_of), 2.0**low, 2.0**high)
        label = "loss / mean-field prediction"
        figure, bar = draw_maps(table, norm, "RdBu_r", label, has_exponent=False)
        ticks = [sign * 2**i for sign in (-1, 1) for i in range(4) if low <= sign * 2**i <= high]
        bar.set_ticks(
            [1.0, *(2.0**i for i in ticks)], labels=["1", *(f"1/{2**-i}" if i < 0 else str(2**i) for i in ticks)]
        )
        return figure
