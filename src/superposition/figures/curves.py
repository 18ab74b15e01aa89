"""Curves of any table of losses over ratio and probability."""

from pathlib import Path
from typing import Any

import numpy as np

from superposition import _files
from superposition.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, settle_layout, styled

_LOOKS = tuple(
    zip((BLACK, BLUE, ORANGE, GREEN, RED, PURPLE, SKY), ("-", "--", "-.", ":", "-", "--", "-."), strict=True)
)


def draw_curves(columns: dict[str, Any], path: Path) -> None:
    """Draws the losses among the columns against the axis with more values, a panel a value of the other.

    Args:
        columns: "ratio", "p" and named columns of equal length; those whose name ends in "loss" are drawn.
        path: PNG, SVG or PDF file.

    Raises:
        ValueError: The file's ending is of no known kind.
        OSError: The file cannot be written.
    """
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"`plot` must end in .png, .svg or .pdf, got {path.name!r}")
    names = [name for name in columns if name.endswith("loss")]
    by_ratio = len(np.unique(columns["ratio"])) >= len(np.unique(columns["p"]))
    along, across = ("ratio", "p") if by_ratio else ("p", "ratio")
    values = np.unique(columns[across])
    with styled():
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, len(values), figsize=(3.2 * len(values) + 0.6, 3.4), sharey=True, squeeze=False)
        for axis, value in zip(axes[0], values, strict=True):
            here = columns[across] == value
            order = np.argsort(columns[along][here])
            for name, (colour, dash) in zip(names, _LOOKS, strict=False):
                x, y = columns[along][here][order], np.asarray(columns[name])[here][order]
                axis.plot(
                    x, np.where(y > 0, y, np.nan), dash, color=colour, label=name, marker="." if len(x) < 12 else ""
                )
            axis.set(xscale="log", yscale="log", title=f"{across} = {value:g}")
            axis.set_xlabel("ratio n_hidden / n_features" if by_ratio else "probability p")
        axes[0, 0].set_ylabel("loss per feature (feature units²)")
        axes[0, 0].legend()
        settle_layout(figure)
        with _files.replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:])
        plt.close(figure)
