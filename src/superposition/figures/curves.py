"""Curves of any table over the outer product of some of its columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from math import ceil, log10
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from superposition import _files
from superposition.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, settle_layout, styled

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.axis

_COLOURS = (BLACK, BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
_DASHES = ("-", "--", "-.", ":")
_PANELS_A_LINE = 4
_TITLE_WIDTH = 32
# Losses that differ by less are all seen on a linear axis.
_LINEAR_FACTOR = 5.0
# A loss below is zero but for rounding, and below every logarithmic axis.
_ZERO = 1e-100


def draw_curves(
    columns: Mapping[str, Any], path: Path, *, x: Mapping[str, str], y: Mapping[str, Sequence[str]]
) -> None:
    """Draws columns against the axis with most values, a panel for each value of the others.

    Where every y axis has one column, the values of the next axis are told apart by colour instead. The x axis is
    logarithmic if its values are positive and spaced so, the y axis if it shows losses.

    Args:
        columns: Named columns of equal length.
        path: PNG, SVG or PDF file.
        x: Label of each column that is an axis.
        y: Columns to draw under the label of their y axis, a row of panels each; an axis, and what is no column, is
            left out.

    Raises:
        OSError: The file cannot be written.
    """
    rows = {label: [name for name in names if name in columns and name not in x] for label, names in y.items()}
    rows = {label: names for label, names in rows.items() if names}
    plan = _Plan.of({name: np.asarray(columns[name]) for name in x}, may_colour=max(map(len, rows.values())) == 1)
    n_panels, width = len(plan.panels), min(len(plan.panels), _PANELS_A_LINE)
    height = ceil(n_panels / width)
    with styled():
        import matplotlib.pyplot as plt

        size = 2.9 * width + 1.6, 2.5 * height * len(rows) + 0.7
        figure, grid = plt.subplots(height * len(rows), width, figsize=size, squeeze=False)
        for row, (label, names) in enumerate(rows.items()):
            block = grid[row * height : (row + 1) * height].ravel()
            panels = list(block[:n_panels])
            for unused in block[n_panels:]:
                unused.remove()
            _draw(panels, plan, {name: np.asarray(columns[name]) for name in names})
            for index, axis in enumerate(panels):
                is_left, is_low = index % width == 0, index + width >= n_panels
                axis.set(ylabel=label if is_left else "", xlabel=x[plan.along] if is_low else "")
                axis.tick_params(labelleft=is_left)
                if row == 0 or height > 1:
                    axis.set_title(plan.title(index))
            if len(names) > 1 or (plan.colour and row == 0):
                panels[width - 1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title=plan.colour)
        settle_layout(figure)
        with _files.replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:])
        plt.close(figure)


@dataclass(frozen=True)
class _Plan:
    """Which axis of a table goes where.

    Attributes:
        axes: Values of each axis, by row of the table.
        along: The axis that is drawn along.
        colour: The axis of whose values each has a colour, if any.
        panels: Values of the other axes, a panel each.
    """

    axes: Mapping[str, Any]
    along: str
    colour: str | None
    panels: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, axes: Mapping[str, Any], *, may_colour: bool) -> Self:
        sizes = {name: len(np.unique(values)) for name, values in axes.items()}
        along = max(axes, key=sizes.__getitem__)
        free = [name for name in axes if name != along and sizes[name] > 1]
        colour = max(free, key=sizes.__getitem__) if free and may_colour else None
        across = [name for name in free if name != colour]
        points = product(*(np.unique(axes[name]) for name in across))
        return cls(axes, along, colour, [dict(zip(across, point, strict=True)) for point in points])

    def title(self, panel: int) -> str:
        """Returns what is constant in a panel."""
        elsewhere = {name: values[0] for name, values in self.axes.items() if name not in (self.along, self.colour)}
        # A line may break between two of them, not within one.
        parts = (
            f"{name} = {value:g}".replace(" ", "\N{NO-BREAK SPACE}")
            for name, value in {**elsewhere, **self.panels[panel]}.items()
        )
        return fill(", ".join(parts), _TITLE_WIDTH)

    def curves(self, panel: int) -> Iterator[tuple[str, Any]]:
        """Yields the colour's value (or nothing) and the rows of each curve in a panel, in the order to draw them."""
        for value in np.unique(self.axes[self.colour]) if self.colour else [None]:
            rows = np.argsort(self.axes[self.along], kind="stable")
            for name, held in [*self.panels[panel].items(), *([(self.colour, value)] if self.colour else [])]:
                rows = rows[self.axes[name][rows] == held]
            yield f"{value:g}" if self.colour else "", rows


def _draw(panels: "Sequence[matplotlib.axes.Axes]", plan: _Plan, columns: Mapping[str, Any]) -> None:
    """Draws a row of panels, which share their y axis."""
    import matplotlib as mpl
    from matplotlib.ticker import MaxNLocator

    x, y = plan.axes[plan.along], np.concatenate(list(columns.values()))
    x_is_log, y_is_log = _is_geometric(np.unique(x)), next(iter(columns)).endswith("loss") and _is_wide(y)
    for index, axis in enumerate(panels):
        if index:
            axis.sharey(panels[0])
        curves = [
            (value or name, x[rows], values[rows])
            for name, values in columns.items()
            for value, rows in plan.curves(index)
        ]
        # Values have an order, and so have their colours; the last ones of the map are too light on white.
        colours = mpl.colormaps["viridis"](np.linspace(0, 0.8, len(curves))) if plan.colour else _COLOURS
        for (label, at, values), colour, dash in zip(curves, cycle(colours), cycle(_DASHES), strict=False):
            shown = np.where(values > _ZERO, values, np.nan) if y_is_log else values
            axis.plot(at, shown, dash, color=colour, label=label, marker="." if len(at) < 12 else "")
        if x_is_log:
            axis.set_xscale("log")
            _set_log_ticks(axis.xaxis, x)
        elif x.dtype.kind == "i":
            axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if y_is_log:
            axis.set_yscale("log")
            _set_log_ticks(axis.yaxis, y[y > _ZERO])


def _set_log_ticks(axis: "matplotlib.axis.Axis", values: Any) -> None:
    """Labels about as many ticks over one decade as over many."""
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

    decades = log10(values.max() / values.min())
    steps = (1, 2, 5) if decades < 1.3 else (1, 3) if decades < 2.5 else (1,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=8))
    axis.set_minor_formatter(NullFormatter())
    if values.min() >= 1e-3 and values.max() < 1e4:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))


def _is_geometric(values: Any) -> bool:
    """Whether increasing values are positive and spaced more evenly on a logarithmic axis than on a linear one."""
    if len(values) < 3 or values[0] <= 0:
        return False
    steps, factors = np.diff(values), np.diff(np.log(values))
    return bool(factors.max() / factors.min() < steps.max() / steps.min())


def _is_wide(values: Any) -> bool:
    """Whether values, none of them negative, span so much that a linear axis would not show the small ones."""
    positive = values[values > _ZERO]
    return bool((values >= 0).all() and positive.size and positive.max() > _LINEAR_FACTOR * positive.min())
