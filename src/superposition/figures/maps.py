"""Maps over (p, r), a panel a size: what figures 4 to 12 and T3 share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.figures import style
from superposition.figures.base import column, distinct, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

# Cells of a map with so few columns have room for their numbers.
_ROOM_FOR_NUMBERS = 6
_MOST_TICKS = 6


def panels(table: pa.Table) -> list[tuple[str, int]]:
    """Returns the protocols and sizes of a table, the default protocol first and sizes increasing."""
    found = {(row["protocol"], row["n_features"]) for row in table.select(["protocol", "n_features"]).to_pylist()}
    return sorted(found)


def draw_maps(table: pa.Table, norm: "Normalize", cmap: str, label: str) -> "tuple[Figure, Colorbar]":
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
                axes[i, j].set(title=f"n_features = {n}, {protocol} protocol", xlabel="ratio n_hidden / n_features")
            else:
                axes[i, j].set_axis_off()
        axes[i, 0].set_ylabel("probability p")
        axes[i, -1].set_axis_off()
    bar = figure.colorbar(image, ax=axes[:, :-1], label=label, shrink=0.9)
    default = [n for protocol, n in places if protocol == "default"]
    axes[0, -1].set_axis_on()
    _draw_scaling(axes[0, -1], default, at_locations(rows(table, protocol="default"), default), label)
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
            text = f"{value:.2f}" if 0.01 <= value < 10 else f"{value:.0e}"
            axis.text(x, y + 0.08, text, ha="center", va="center", fontsize=6, color=ink)
        if row["dead_features"]:
            axis.plot(x, y - 0.25 * has_room, "x", color=ink, markersize=3, markeredgewidth=0.7)
    image = axis.imshow(grid, norm=norm, cmap=cmap, origin="lower", aspect="auto")
    for ticks, labels in ((axis.set_xticks, _labels(ratios)), (axis.set_yticks, [f"{p:.2g}" for p in probabilities])):
        places = range(0, len(labels), -(-len(labels) // _MOST_TICKS))
        ticks(places, [labels[place] for place in places])
    axis.grid(visible=False)
    return image


def _labels(ratios: Sequence[float]) -> list[str]:
    """Returns ratios as fractions if all are short."""
    fractions = [style.fraction(ratio) for ratio in ratios]
    return fractions if max(map(len, fractions)) <= 4 else [f"{ratio:.2g}" for ratio in ratios]


def at_locations(table: pa.Table, sizes: Sequence[int]) -> FloatArray:
    """Returns log10 of `value`, one row a size and one column a location (p, r) of the largest size.

    Sizes differ in the ratios that whole widths give, and may in p: the smaller ones are interpolated in log p and
    log r. Locations outside their range, or without a positive value, are left out.
    """
    largest = rows(table, n_features=sizes[-1])
    places = np.log(np.column_stack([column(largest, "probability"), column(largest, "ratio")]))
    found = np.stack([_interpolated(rows(table, n_features=n), places) for n in sizes])
    return found[:, np.isfinite(found).all(axis=0)]


def _interpolated(table: pa.Table, places: FloatArray) -> FloatArray:
    """Returns log10 of one size's `value` at log (p, r); NaN outside its grid."""
    from scipy.interpolate import interpn

    axes = [np.log(distinct(table, name)) for name in ("probability", "ratio")]
    grid = np.full([len(axis) for axis in axes], np.nan)
    p, r = (
        np.searchsorted(axis, np.log(column(table, name)))
        for axis, name in zip(axes, ("probability", "ratio"), strict=True)
    )
    value = column(table, "value")
    grid[p, r] = np.log10(np.where(value > 0, value, np.nan))
    # Ends of equal grids differ by rounding.
    low, high = (np.array([axis[end] for axis in axes]) for end in (0, -1))
    inside = np.where((places > low - 1e-9) & (places < high + 1e-9), np.clip(places, low, high), np.nan)
    return np.asarray(interpn(axes, grid, inside, bounds_error=False))


def slopes(sizes: Sequence[int], values: FloatArray) -> FloatArray:
    """Returns the least-squares exponent of n at each location, from log10 values of shape (sizes, locations)."""
    x = np.log10(np.asarray(sizes, dtype=np.float64))
    x = x - x.mean()
    return np.asarray(x @ (values - values.mean(axis=0)) / (x @ x))


def _draw_scaling(axis: "Axes", sizes: Sequence[int], values: FloatArray, label: str) -> None:
    """Draws a value against n: each location thin, the median bold, the mean exponent with its standard error."""
    axis.plot(sizes, 10**values, color="0.75", linewidth=0.5)
    middle = 10 ** np.median(values, axis=1)
    found = slopes(sizes, values)
    error = found.std(ddof=1) / np.sqrt(found.size)
    axis.plot(sizes, middle, "o-", color=style.BLUE)
    axis.set(xscale="log", yscale="log", xlabel="n_features", ylabel=label)
    axis.set_title(f"exponent of n {found.mean():+.2f} ± {error:.2f}")
    axis.set_xticks(list(sizes), [str(n) for n in sizes])
    axis.minorticks_off()
    low, high = 10 ** values.min(), 10 ** values.max()
    if high < 100 * low:  # too few powers of ten for the usual ticks
        ticks = [tick for tick in np.outer(10.0 ** np.arange(-9, 3), [1, 2, 5]).flat if low <= tick <= high]
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
