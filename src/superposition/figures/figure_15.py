"""Figure 15: the rug's loss against p²/r, with the bounds."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.figures import style
from superposition.figures.base import PROVENANCE, Check, Figure, column
from superposition.figures.presets import Preset
from superposition.sweeps import RugCell, Store

if TYPE_CHECKING:
    import matplotlib.figure

_SIGMAS = 3.0
_AGREES = 0.02
_BOUNDS = (
    ("upper_bound", "upper bound (appendix E.1)", "--", style.RED),
    ("mean_field_loss", "mean field", "-", style.BLACK),
    ("bayes_loss", "Bayes, elementwise", "-.", style.GREEN),
    ("oracle_support_loss", "support known", ":", style.PURPLE),
    ("lower_bound", "lower bound (appendix E.2)", "--", style.ORANGE),
)
_COLUMNS = ("loss", "loss_standard_error", "linear_loss", *(name for name, *_ in _BOUNDS))


@final
class Figure15(Figure):
    """Loss of Persian Rugs for p ≪ r ≪ 1, with all bounds and the fitted exponent."""

    name = "15"
    title = "The scaling of the loss with p²/r"
    caption = (
        "Held-out loss of Persian Rugs for p, r ≪ 1, p n > 5 and p < r/10, against p²/r; bars are 3 standard errors, "
        "most of them smaller than the markers. Lines join the bounds of one ratio: above, the upper bound; below, "
        "mean field, the best elementwise decoder, one that knows which features are active, and the lower bound, all "
        "at the least noise. On the right the loss in units of p²/r, against 1/p: a straight line if the loss goes as "
        "p² log(1/p)/r."
    )

    def cells(self, preset: Preset) -> list[RugCell]:
        """Returns the rugs."""
        return preset.bounds.cells(preset.seed)

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a rug."""
        names = ("n_features", "n_hidden", "ratio", "probability", "p2_over_r", *_COLUMNS, *PROVENANCE)
        return store.table(self.cells(preset)).select(names)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the bounds, the exponent, the logarithm, and the prediction."""
        loss, error, scale, p = (
            column(table, name) for name in ("loss", "loss_standard_error", "p2_over_r", "probability")
        )
        below, above = column(table, "lower_bound"), column(table, "upper_bound")
        inside = (loss + _SIGMAS * error > below) & (loss - _SIGMAS * error < above)
        slope, slope_error = _line(np.log(scale), np.log(loss))
        growth, growth_error = _line(np.log(1 / p), loss / scale)
        plain, with_log = (_scatter(loss / model) for model in (scale, scale * np.log(1 / p)))
        predicted = column(table, "mean_field_loss")
        deviation, tolerance = loss / predicted - 1, _AGREES + _SIGMAS * error / predicted
        agrees = np.abs(deviation) < tolerance
        worst = int(np.argmax(np.abs(deviation)))
        return [
            Check(
                "The loss lies between the lower and the upper bound.",
                "paper",
                f"{inside.sum()} of {inside.size} rugs do; loss / lower bound from {(loss / below).min():.2f}, loss / "
                f"upper bound up to {(loss / above).max():.2f}",
                bool(inside.all()),
            ),
            Check(
                "The loss is nearly proportional to p²/r: its exponent is close to 1, and a little below it.",
                "paper",
                f"exponent {slope:.4f}, 95% interval {slope - 1.96 * slope_error:.4f} to "
                f"{slope + 1.96 * slope_error:.4f}",
                bool(0.85 < slope < 1 - _SIGMAS * slope_error),
            ),
            Check(
                "The loss goes as p² log(1/p)/r.",
                "paper",
                f"loss·r/p² grows by {growth:.4f} ± {growth_error:.4f} for each factor e in 1/p; the spread of loss·r/"
                f"(p² log(1/p)) is {with_log:.1%} of its mean, that of loss·r/p² {plain:.1%}",
                bool(growth > _SIGMAS * growth_error and with_log < plain),
            ),
            Check(
                f"Every rug has the mean-field loss, within {_AGREES:.0%} plus {_SIGMAS:g} standard errors.",
                "superposition",
                f"{agrees.sum()} of {agrees.size} do; the largest deviation is {deviation[worst]:+.2%} ± "
                f"{error[worst] / predicted[worst]:.2%} (p = {p[worst]:.2g}, r = {column(table, 'ratio')[worst]:.2g})",
                bool(agrees.all()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws the loss against p²/r, and in its units against 1/p."""
        import matplotlib.pyplot as plt
        from matplotlib.ticker import NullFormatter

        loss, error, scale, p, ratio = (
            column(table, name) for name in ("loss", "loss_standard_error", "p2_over_r", "probability", "ratio")
        )
        figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.8))
        for name, label, dash, colour in _BOUNDS:
            for number, r in enumerate(np.unique(ratio)):
                here = np.flatnonzero(ratio == r)
                here = here[np.argsort(p[here])]
                bound = column(table, name)[here]
                look = {"linestyle": dash, "color": colour, "linewidth": 0.9, "alpha": 0.7}
                axes[0].plot(scale[here], bound, label=None if number else label, **look)
                axes[1].plot(1 / p[here], bound / scale[here], **look)
        look = {"fmt": "o", "color": style.BLUE, "markersize": 3, "linestyle": "none", "capsize": 1.5}
        axes[0].errorbar(scale, loss, _SIGMAS * error, label="Persian Rug", **look)
        axes[1].errorbar(1 / p, loss / scale, _SIGMAS * error / scale, **look)
        axes[0].set(xscale="log", yscale="log", xlabel="p² / r", ylabel="loss per feature (feature units²)")
        axes[1].set(xscale="log", xlabel="1 / p", ylabel="loss · r / p²", ylim=(0, None))
        for axis in axes:
            axis.xaxis.set_minor_formatter(NullFormatter())
        axes[0].legend(loc="upper left", fontsize=7)
        return figure


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Returns the slope of the least-squares line and its standard error from the residuals."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residual = y - y.mean() - slope * centred
    return slope, float(np.sqrt(residual @ residual / (x.size - 2) / (centred @ centred)))


def _scatter(values: FloatArray) -> float:
    return float(values.std() / values.mean())
