"""Maps over (p, r), a panel a size: what figures 4 to 12 and T3 share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.figures import style
from superposition.figures.base import column, distinct, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

Mask = npt.NDArray[np.bool_]
# Above the loss of a construction by more, a model was not trained to its end.
_UNFINISHED = 0.05
# Of a model in an interpolated value, from which on it counts that the model has none or that its features have no
# codes: the ratios of two sizes are nearly the same, not equal.
_WEIGHT = 0.05
# Cells of a map with so few columns have room for their numbers.
_ROOM_FOR_NUMBERS = 6
_MOST_TICKS = 6


def panels(table: pa.Table) -> list[tuple[str, int]]:
    """Returns the protocols and sizes of a table, the default protocol first and sizes increasing."""
    found = {(row["protocol"], row["n_features"]) for row in table.select(["protocol", "n_features"]).to_pylist()}
    return sorted(found)


def draw_maps(
    table: pa.Table, norm: "Normalize", cmap: str, label: str, *, has_exponent: bool
) -> "tuple[Figure, Colorbar]":
    """Draws the column `value`: a row of maps a protocol, one a size; on the right the default protocol's by size."""
    import matplotlib.pyplot as plt

    places = panels(table)
    protocols = list(dict.fromkeys(protocol for protocol, _ in places))
    sizes = sorted({n for _, n in places})
    shape, extent = (len(protocols), len(sizes) + 1), (3.1 * len(sizes) + 3.6, 2.9 * len(protocols) + 0.3)
    figure, axes = plt.subplots(*shape, figsize=extent, squeeze=False)
    for i, protocol in enumerate(protocols):
        for j, n in enumerate(sizes):
            if (protocol, n) in places:
                image = _draw_map(axes[i, j], rows(table, protocol=protocol, n_features=n), norm, cmap)
                whose = "paper's" if protocol == "paper" else protocol
                axes[i, j].set(title=f"n_features = {n}, {whose} protocol", xlabel="ratio n_hidden / n_features")
            else:
                axes[i, j].set_axis_off()
        axes[i, 0].set_ylabel("probability p")
        axes[i, -1].set_axis_off()
    bar = figure.colorbar(image, ax=axes[:, :-1], label=label, shrink=0.9, aspect=12 * len(protocols))
    ticks, labels = style.plain_ticks(float(norm.vmin or 0.0), float(norm.vmax or 1.0))
    bar.set_ticks(ticks, labels=labels)
    bar.minorticks_off()
    default = [n for protocol, n in places if protocol == "default"]
    axes[0, -1].set_axis_on()
    _draw_scaling(
        axes[0, -1], default, at_locations(rows(table, protocol="default"), default), label, has_exponent=has_exponent
    )
    return figure, bar


def _draw_map(axis: "Axes", table: pa.Table, norm: "Normalize", cmap: str) -> Any:
    """Draws the column `value` of one panel's rows; crosses mark models with dead features. Returns the image."""
    import matplotlib as mpl

    ratios, probabilities = distinct(table, "ratio"), distinct(table, "probability")
    grid = np.full((len(probabilities), len(ratios)), np.nan)
    has_room, colours = len(ratios) <= _ROOM_FOR_NUMBERS, mpl.colormaps[cmap]
    for row in table.to_pylist():
        y, x = probabilities.index(row["probability"]), ratios.index(row["ratio"])
        grid[y, x] = value = np.nan if row["value"] is None else row["value"]
        if not np.isfinite(value):
            continue
        red, green, blue, _ = colours(float(norm(value)))
        ink = "w" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "k"
        if has_room:
            text = (
                f"{value:.2f}" if 0.01 <= value < 10 else style.typeset(f"{value:.0f}" if value > 1 else f"{value:.0e}")
            )
            axis.text(x, y + 0.08, text, ha="center", va="center", fontsize=6, color=ink)
        if row["dead_features"]:
            axis.plot(x, y - 0.25 * has_room, "x", color=ink, markersize=3, markeredgewidth=0.7)
    image = axis.imshow(grid, norm=norm, cmap=cmap, origin="lower", aspect="auto")
    for ticks, labels in (
        (axis.set_xticks, _labels(ratios)),
        (axis.set_yticks, [style.number(p) for p in probabilities]),
    ):
        places = range(0, len(labels), -(-len(labels) // _MOST_TICKS))
        ticks(places, [labels[place] for place in places])
    axis.grid(visible=False)
    return image


def _labels(ratios: Sequence[float]) -> list[str]:
    """Returns ratios as fractions if all are short."""
    fractions = [style.fraction(ratio) for ratio in ratios]
    return fractions if max(map(len, fractions)) <= 4 else [style.number(ratio) for ratio in ratios]


@dataclass(frozen=True)
class Locations:
    """The column `value` of several sizes at the locations (p, r) of the largest.

    Attributes:
        values: log10 of it, one row a size and one column a location.
        has_codes: Whether every feature has a code in each of the models that a location is read from.
        finished: Whether the largest size's loss is at most 5% above the mean-field prediction, which is what the
            Persian Rug has: where it is not, a construction is better and training was not at its end.
        n_outside: Locations left out because a smaller size has no models around them.
        n_without: Locations left out because a model of theirs has no positive value.
    """

    values: FloatArray
    has_codes: Mask
    finished: Mask
    n_outside: int
    n_without: int

    @property
    def left_out(self) -> str:
        """Says what is left out, for the end of a sentence; nothing if nothing is."""
        parts = (
            f"{count} {'location' if count == 1 else 'locations'} {why}"
            for count, why in (
                (self.n_outside, "outside the range of the smaller sizes"),
                (self.n_without, "without a positive value"),
            )
            if count
        )
        return "".join(f"; left out: {part}" for part in parts)


def at_locations(table: pa.Table, sizes: Sequence[int]) -> Locations:
    """Returns `value` at the locations of the largest size, and what is known of them.

    Sizes differ in the ratios that whole widths give, and may in p: the smaller ones are interpolated in log p and
    log r. A collapsed model has a code for no feature.
    """
    largest = rows(table, n_features=sizes[-1])
    places = np.log(np.column_stack([column(largest, "probability"), column(largest, "ratio")]))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.where((v := column(rows(table, n_features=n), "value")) > 0, np.log10(v), np.nan) for n in sizes]
    found = np.stack(
        [_interpolated(rows(table, n_features=n), log, places) for n, log in zip(sizes, logs, strict=True)]
    )
    codeless = [_codeless(rows(table, n_features=n)) for n in sizes]
    gone = np.stack(
        [_interpolated(rows(table, n_features=n), gap, places) for n, gap in zip(sizes, codeless, strict=True)]
    )
    inside, known = (np.asarray(np.isfinite(values).all(axis=0)) for values in (gone, found))
    has_codes = np.asarray((gone < _WEIGHT).all(axis=0))
    finished = np.asarray(column(largest, "relative_loss") <= 1 + _UNFINISHED)
    return Locations(
        found[:, known], has_codes[known], finished[known], int((~inside).sum()), int((inside & ~known).sum())
    )


def _codeless(table: pa.Table) -> FloatArray:
    """Returns 1 for the models that leave features without a code, 0 for others."""
    collapsed = np.equal(table.column("stopped").to_pylist(), "collapsed")
    return np.asarray((column(table, "dead_features") > 0) | collapsed, dtype=np.float64)


def _interpolated(table: pa.Table, values: FloatArray, places: FloatArray) -> FloatArray:
    """Returns values of one size's models at log (p, r); NaN outside its grid, and where models without one count."""
    axes = [np.log(distinct(table, name)) for name in ("probability", "ratio")]
    grid = np.full([len(axis) for axis in axes], np.nan)
    p, r = (
        np.searchsorted(axis, np.log(column(table, name)))
        for axis, name in zip(axes, ("probability", "ratio"), strict=True)
    )
    grid[p, r] = values
    # Ends of equal grids differ by rounding.
    low, high = (np.array([axis[end] for axis in axes]) for end in (0, -1))
    inside = np.where((places > low - 1e-9) & (places < high + 1e-9), np.clip(places, low, high), np.nan)
    gaps = _linear(axes, np.isnan(grid).astype(float), inside)
    return np.where(gaps < _WEIGHT, _linear(axes, np.nan_to_num(grid), inside) / (1 - np.minimum(gaps, 0.5)), np.nan)


def _linear(axes: Sequence[FloatArray], grid: FloatArray, places: FloatArray) -> FloatArray:
    from scipy.interpolate import interpn

    return np.asarray(interpn(axes, grid, places, bounds_error=False))


def slopes(sizes: Sequence[int], values: FloatArray) -> FloatArray:
    """Returns the least-squares exponent of n at each location, from log10 values of shape (sizes, locations)."""
    x = np.log10(np.asarray(sizes, dtype=np.float64))
    x = x - x.mean()
    return np.asarray(x @ (values - values.mean(axis=0)) / (x @ x))


def mean_slope(sizes: Sequence[int], values: FloatArray) -> tuple[float, float]:
    """Returns the mean exponent over locations and its standard error, NaN for fewer than two."""
    found = slopes(sizes, values)
    if found.size < 2:
        return float("nan"), float("nan")
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(found.size))


def _draw_scaling(axis: "Axes", sizes: Sequence[int], at: Locations, label: str, *, has_exponent: bool) -> None:
    """Draws a value against n: each location thin, and the geometric mean of those where every feature has a code.

    The exponent in the title, if it has one, is the slope of that mean.
    """
    for mask, colour, name in (
        (at.has_codes, "0.7", "every feature has a code"),
        (~at.has_codes, style.ORANGE, "some features have no code"),
    ):
        for number, values in enumerate(at.values[:, mask].T):
            axis.plot(sizes, 10**values, color=colour, linewidth=0.6, label=None if number else name)
    if at.has_codes.any():
        middle = 10 ** at.values[:, at.has_codes].mean(axis=1)
        axis.plot(sizes, middle, "o-", color=style.BLUE, label="geometric mean of the grey")
        exponent, error = mean_slope(sizes, at.values[:, at.has_codes])
        if np.isfinite(error) and has_exponent:
            axis.set_title(style.typeset(f"as n to the power {exponent:+.2f} ± {error:.2f}"))
    axis.set(xscale="log", yscale="log", xlabel="n_features", ylabel=label)
    axis.set_xticks(list(sizes), [str(n) for n in sizes])
    axis.minorticks_off()
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=7)
    if at.values.size == 0:
        return
    low, high = 10 ** at.values.min(), 10 ** at.values.max()
    axis.set_yticks(*style.plain_ticks(float(low) / 1.1, float(high) * 1.1))
