"""Figure A2: the decoders of a quantised pair, and the ReLU network that computes them."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition.compression import QuantizedPair, inspect
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged
from superposition.figures.presets import Preset
from superposition.sweeps import Store

if TYPE_CHECKING:
    import matplotlib.figure

_LEVELS, _RAMP = 3, 0.1
_POINTS, _SHOWN = 2001, 50
_OUTPUTS = ("x_hat", "y_hat")
# What float32 may cost: knots and weights are rounded, and up to 24 neurons of sizes that add up to 20 are summed, for
# each of which the products and the sum round. Running error analysis gives 3.2e-5, in whatever order.
_ROUNDING = 4e-5
# A ramp is the difference of two knots below 1, each rounded to float32.
_ROUNDING_OF_RAMP = 2 * 2**-24


@final
class FigureA2(Figure):
    """Staircase and sawtooth, by formula and by a network of float32."""

    name = "A2"
    title = "Nonlinear compression: the decoders"
    caption = (
        "A ReLU network computes both decoders exactly. Reconstructions along the code for Z = 3 levels: (a) the "
        "staircase x̂, (b) the sawtooth ŷ. Dashed: with jumps. Lines: with ramps of width ε = 0.1. Points: the ReLU "
        "network of two neurons a segment, 36 in all, in float32."
    )

    def measure(self, preset: Preset, store: Store) -> pa.Table:  # noqa: ARG002
        """Returns one row a code and source, and what is read from the weights alone in every row of the network."""
        import torch

        scheme = QuantizedPair(_LEVELS, _RAMP)
        network = scheme.to_network()
        t = np.float32(np.linspace(0, 1, _POINTS)).astype(np.float64)
        with torch.no_grad():
            decoded = network.decoder(torch.from_numpy(t).float()[:, None]).double().numpy().T
        read = inspect(network)
        found = {"neurons": network.n_neurons, "levels": read.levels, "ramp": read.ramp, "pieces": read.n_pieces}
        tables = []
        for source, outputs in (
            ("jumps", QuantizedPair(_LEVELS).decode(t)),
            ("ramps", scheme.decode(t)),
            ("network", decoded),
        ):
            constants = {name: [value] * t.size for name, value in found.items()}
            tables.append(
                pa.table(
                    {"source": [source] * t.size, "t": t, **dict(zip(_OUTPUTS, outputs, strict=True)), **constants}
                )
            )
        return pa.concat_tables(tables)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the network against the formulas, and the reading against what was built."""
        apart = max(
            float(np.abs(column(table, name, source="network") - column(table, name, source="ramps")).max())
            for name in _OUTPUTS
        )
        neurons, levels, ramp, pieces = (column(table, name)[0] for name in ("neurons", "levels", "ramp", "pieces"))
        return [
            Check(
                "Two ReLU neurons for each line segment compute the piecewise-linear functions: 12 neurons a level.",
                "paper",
                f"{neurons:.0f} neurons at {_LEVELS} levels; they differ from the formulas by {apart:.1e} at most",
                judged(neurons == 12 * _LEVELS and apart < _ROUNDING),
            ),
            Check(
                "It is possible to reverse engineer the compression like any other circuit.",
                "paper",
                f"from the weights alone: {levels:.0f} levels, ramps of width {ramp:.6f}, {pieces:.0f} linear pieces; "
                f"built with {_LEVELS}, {_RAMP:g}, {2 * _LEVELS - 1}",
                judged(levels == _LEVELS and abs(ramp - _RAMP) < _ROUNDING_OF_RAMP and pieces == 2 * _LEVELS - 1),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws both decoders."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.0))
        labels = {"jumps": "jumps", "ramps": f"ramps, ε = {_RAMP:g}", "network": "network, float32"}
        for axis, name in zip(axes, _OUTPUTS, strict=True):
            for source, colour in zip(labels, (style.ORANGE, style.BLUE, style.BLACK), strict=True):
                t, value = column(table, "t", source=source), column(table, name, source=source)
                if source == "network":
                    every = slice(None, None, _POINTS // _SHOWN)
                    axis.plot(t[every], value[every], "o", color=colour, markersize=3, label=labels[source])
                elif source == "jumps":
                    # A line across a jump would look like a ramp.
                    broken = np.where(np.abs(np.diff(value, append=value[-1])) > 0.1, np.nan, value)
                    axis.plot(t, broken, "--", color=colour, label=labels[source])
                else:
                    axis.plot(t, value, color=colour, label=labels[source])
        axes[0].set(title="(a) x̂, a staircase", xlabel="code t", ylabel="reconstruction", ylim=(-0.03, 1.03))
        axes[1].set(title="(b) ŷ, a sawtooth", xlabel="code t", ylim=(-0.03, 1.03))
        axes[0].legend(loc="upper left")
        return figure
