"""Figure A1: the code of a quantised pair, with jumps and with ramps."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition.compression import QuantizedPair
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged
from superposition.figures.presets import Preset
from superposition.sweeps import Store

if TYPE_CHECKING:
    import matplotlib.figure

_LEVELS, _RAMP = 3, 0.1
_FORMS = {"jumps": QuantizedPair(_LEVELS), "ramps": QuantizedPair(_LEVELS, _RAMP)}
_GRID = 121
_SLICE = 0.5
# Of a code: some 32 roundings of numbers up to Z in float64.
_ROUNDING = 32 * _LEVELS * 2.0**-53


@final
class FigureA1(Figure):
    """The encoder t(x, y) at the appendix's Z = 3 and ε = 0.1."""

    name = "A1"
    title = "Nonlinear compression: the code"
    caption = (
        "Two dimensions fit into one: x in levels, y within each of them. Code t of x, y in [0, 1] for Z = 3 levels "
        "(Toy Models of Superposition, appendix). (a) With jumps, t = (⌊Zx⌋ + y)/Z. (b) Each jump replaced by a ramp "
        "of width ε = 0.1 centred on it, which a network can compute. White: codes in steps of 1/12. (c) Along x at "
        "y = 1/2."
    )

    def measure(self, preset: Preset, store: Store) -> pa.Table:  # noqa: ARG002
        """Returns one row a grid point and form: form, x, y, t."""
        axis = np.linspace(0, 1, _GRID)
        x, y = (values.ravel() for values in np.meshgrid(axis, axis))
        tables = [
            pa.table({"form": [form] * x.size, "x": x, "y": y, "t": scheme.encode(x, y)})
            for form, scheme in _FORMS.items()
        ]
        return pa.concat_tables(tables)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks where the two forms agree, and how steep the ramps are."""
        x, jumps, ramps = (
            column(table, name, form=form) for name, form in (("x", "jumps"), ("t", "jumps"), ("t", "ramps"))
        )
        away = np.abs(x[:, None] - np.arange(1, _LEVELS) / _LEVELS).min(1) > _RAMP / 2 + _ROUNDING
        apart = float(np.abs(jumps - ramps)[away].max())
        steps = np.diff(ramps.reshape(_GRID, _GRID), axis=1) * (_GRID - 1)
        largest_jump = float(np.abs(np.diff(jumps.reshape(_GRID, _GRID), axis=1)).max())
        return [
            Check(
                "Two dimensions of [0, 1] fit into one of [0, 1].",
                "paper",
                f"codes from {min(jumps.min(), ramps.min()):.4f} to {max(jumps.max(), ramps.max()):.4f}",
                judged(min(jumps.min(), ramps.min()) >= 0 and max(jumps.max(), ramps.max()) <= 1),
            ),
            Check(
                "The discontinuities can be replaced by steep linear segments, only ε wide.",
                "paper",
                f"away from {_LEVELS - 1} ramps of width {_RAMP:g} the forms differ by {apart:.1e} at most; the ramps "
                f"are {1 / (_LEVELS * _RAMP):.3f} steep, the steepest step of the grid {steps.max():.3f}; jumps of "
                f"{largest_jump:.3f}",
                judged(
                    apart < _ROUNDING
                    and steps.max() < 1 / (_LEVELS * _RAMP) + 2 * _GRID * _ROUNDING
                    and largest_jump > 0.9 / _LEVELS
                ),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws both surfaces and a slice."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 3, figsize=(9.8, 3.1), width_ratios=(1, 1, 1.1))
        titles = {"jumps": "(a) jumps", "ramps": f"(b) ramps, ε = {_RAMP:g}"}
        for axis, (form, title) in zip(axes, titles.items(), strict=False):
            t = column(table, "t", form=form).reshape(_GRID, _GRID)
            image = axis.imshow(t, origin="lower", extent=(0, 1, 0, 1), cmap="viridis", vmin=0, vmax=1)
            axis.contour(t, np.arange(1, 12) / 12, extent=(0, 1, 0, 1), colors="w", linewidths=0.5)
            axis.set(title=title, xlabel="x", ylabel="y" if form == "jumps" else "")
            axis.grid(visible=False)
        figure.colorbar(image, ax=axes[1], label="code t", shrink=0.9)
        looks = {"jumps": {"color": style.ORANGE, "linestyle": "none", "marker": "."}, "ramps": {"color": style.BLUE}}
        for form, look in looks.items():
            x, y, t = (column(table, name, form=form) for name in ("x", "y", "t"))
            here = np.isclose(y, _SLICE)
            axes[2].plot(x[here], t[here], label=form, **look)
        axes[2].set(title=f"(c) y = {_SLICE:g}", xlabel="x", ylabel="code t", xlim=(0, 1), ylim=(0, 1))
        axes[2].legend()
        return figure
