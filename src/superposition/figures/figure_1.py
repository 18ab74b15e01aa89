"""Figure 1: the Persian Rug as an image."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.figures.base import Check, Figure, column, judged
from superposition.figures.presets import Preset
from superposition.models import PersianRug
from superposition.sweeps import Store

if TYPE_CHECKING:
    import matplotlib.figure

N_FEATURES, N_HIDDEN = 256, 40
# Of an entry, a sum of integers, at most 1, times a few factors, in float32.
_ROUNDING = 8 * 2.0**-24


@final
class Figure1(Figure):
    """The rug at the paper's size, n_features 256 and n_hidden 40."""

    name = "1"
    title = "The Persian Rug"
    caption = (
        "A rug is a fractal, of which its loss sees nothing but the row sums of squares. The weights R of a Persian "
        "Rug with n_features = 256, n_hidden = 40 and random rows, and its first 64 × 64 entries. Every entry depends "
        "on the exclusive-or of its row and column alone, so that each dyadic block repeats its neighbours' pattern."
    )

    def measure(self, preset: Preset, store: Store) -> pa.Table:  # noqa: ARG002
        """Returns R, one row an entry."""
        R = PersianRug.draw(N_FEATURES, N_HIDDEN, seed=preset.seed).matrix().detach().double().numpy()
        row, col = np.indices(R.shape)
        return pa.table({"row": row.ravel(), "column": col.ravel(), "weight": R.ravel()})

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks appendix F on the stored entries."""
        R = _matrix(table)
        n = len(R)
        interference = (R**2).sum(1) - np.diag(R) ** 2
        least = n / N_HIDDEN - 1
        excess = float(np.abs(interference / least - 1).max())
        projector = float(np.abs(R @ R - n / N_HIDDEN * R).max())
        off = 2 * _ROUNDING * float(np.abs(R).sum(1).max())  # of a sum of products of two entries
        i, j = np.indices(R.shape)
        fractal = float(np.abs(R - R[0][i ^ j]).max())
        return [
            Check(
                "The diagonal is 1 (eq. 35).",
                "paper",
                f"largest deviation {np.abs(np.diag(R) - 1).max():.1e}",
                judged(np.abs(np.diag(R) - 1).max() < _ROUNDING),
            ),
            Check(
                f"Every row has Σ_{{j≠i}} R_ij² = 1/r − 1 = {least:.2f}, the least possible (eq. 6, 41).",
                "paper",
                f"largest relative deviation {excess:.1e}",
                judged(excess < off / least),
            ),
            Check(
                "R is proportional to a projector: R² = R/r (eq. 42–45, with the dropped factor 1/r restored).",
                "paper",
                f"largest deviation of R² − R/r {projector:.1e}",
                judged(projector < off + _ROUNDING * n / N_HIDDEN),
            ),
            Check(
                "The pattern is fractal: R_ij is a function of i xor j, so R is equal on matching dyadic blocks.",
                "superposition",
                f"largest deviation {fractal:.1e}",
                judged(fractal < 2 * _ROUNDING),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws R and its first block."""
        import matplotlib.pyplot as plt

        R = _matrix(table)
        limit = float(np.abs(R - np.eye(len(R))).max())
        figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.5))
        for axis, part, title in (
            (axes[0], R, f"R, {len(R)} × {len(R)}"),
            (axes[1], R[:64, :64], "its first 64 × 64 entries"),
        ):
            image = axis.imshow(part, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
            axis.set(title=title, xlabel="column j", ylabel="row i")
            axis.grid(visible=False)
        figure.colorbar(
            image,
            ax=axes,
            label="weight $R_{ij}$ (the diagonal, 1, is off the scale)",
            shrink=0.9,
            extend="max",
        )
        return figure


def _matrix(table: pa.Table) -> FloatArray:
    values = column(table, "weight")
    n = round(len(values) ** 0.5)
    return values.reshape(n, n)
