"""Figure 15: the rug's loss against p²/r, with the bounds."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged, provenance
from superposition.figures.presets import ROW_SETS, Preset
from superposition.figures.row_sets import pooled_rugs
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
_BOUND_NAMES = tuple(name for name, *_ in _BOUNDS)


@final
class Figure15(Figure):
    """Loss of Persian Rugs for p ≪ r ≪ 1, with all bounds and the fitted exponent."""

    name = "15"
    title = "The scaling of the loss with p²/r"
    caption = (
        "The rug's loss is nearly proportional to p²/r, above it by a logarithm and not a power. Left: held-out loss "
        "of Persian Rugs for p, r ≪ 1, p n > 5 and p < r/10; bars are 3 standard errors, most of them smaller than the "
        f"markers, and include the draw of rows ({ROW_SETS} sets each). Lines join the theory of one ratio, all at the "
        "least noise: the upper bound, mean field, the best elementwise decoder, one that knows which features are "
        "active, and the lower bound. Right: the loss in units of p²/r against 1/p, a straight line if it goes as "
        "p² log(1/p)/r; the rugs rise above mean field (lines of their colours) where p n is small, and the upper "
        "bound lies above the panel."
    )

    def cells(self, preset: Preset) -> list[RugCell]:
        """Returns the rugs."""
        return preset.bounds.cells(preset.seed)

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a rug."""
        cells = self.cells(preset)
        names = ("n_features", "n_hidden", "ratio", "probability", "p2_over_r", "linear_loss", *_BOUND_NAMES)
        return pa.Table.from_pylist(
            [
                {name: stored.row[name] for name in names}
                | {"loss": loss.value, "loss_standard_error": loss.standard_error, "row_sets": row_sets}
                | provenance(stored.row)
                for stored, loss, row_sets in pooled_rugs(cells, store)
            ]
        )

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the bounds, the exponent, the logarithm, and the prediction up to the effect of a finite p n."""
        loss, error, scale, p = (
            column(table, name) for name in ("loss", "loss_standard_error", "p2_over_r", "probability")
        )
        below, above = column(table, "lower_bound"), column(table, "upper_bound")
        predicted, active = column(table, "mean_field_loss"), p * column(table, "n_features")
        inside = (loss + _SIGMAS * error > below) & (loss - _SIGMAS * error < above)
        exponent, exponent_error = _slope(np.log(scale), np.log(loss), error / loss)
        of_theory, _ = _slope(np.log(scale), np.log(predicted), error)
        (_, apart, _), (_, apart_error, _) = _fit(
            np.stack([np.ones_like(p), np.log(scale) - np.log(scale).mean(), 1 / active]),
            loss / predicted - 1, error / predicted,
        )  # fmt: skip
        (share,), (share_error,) = _fit(1 / active[None], loss / predicted - 1, error / predicted)
        limit, limit_error = loss / (1 + share / active), error / (1 + share / active)
        growth, growth_error = _slope(np.log(1 / p), limit / scale, limit_error / scale)
        shifted, _ = _slope(np.log(1 / p), loss / (1 + (share + share_error) / active) / scale, error)
        growth_error = float(np.hypot(growth_error, shifted - growth))
        plain, with_log = (_scatter(limit / model) for model in (scale, scale * np.log(1 / p)))
        tolerance = _AGREES + _SIGMAS * error / predicted
        left = limit / predicted - 1
        agrees, at_once = np.abs(left) < tolerance, np.abs(loss / predicted - 1) < tolerance
        worst = int(np.argmax(np.abs(left)))
        return [
            Check(
                "The loss lies between the lower and the upper bound.",
                "paper",
                f"{inside.sum()} of {inside.size} rugs do; loss / lower bound from {(loss / below).min():.2f}, loss / "
                f"upper bound up to {(loss / above).max():.2f}",
                judged(inside.all()),
            ),
            Check(
                "The loss is nearly proportional to p²/r: its exponent is close to 1, and a little below it.",
                "paper",
                f"exponent {exponent:.4f} ± {exponent_error:.4f} by least squares, mean field's over the same points "
                f"{of_theory:.4f}; with a term in 1/(p n), which falls as p grows, they differ by {apart:+.4f} ± "
                f"{apart_error:.4f}. Errors are what other rows and samples would change: the loss is no power law, "
                "and elsewhere its exponent is another",
                judged(0.85 < exponent < 1 - _SIGMAS * exponent_error),
            ),
            Check(
                "The loss goes as p² log(1/p)/r.",
                "paper",
                f"without what finite p n adds, loss·r/p² grows by {growth:.4f} ± {growth_error:.4f} for each factor e "
                f"in 1/p; loss·r/(p² log(1/p)) is spread by {with_log:.1%} of its mean, loss·r/p² by {plain:.1%}",
                judged(growth > _SIGMAS * growth_error and with_log < plain),
            ),
            Check(
                "Every rug has the mean-field loss and a share above it that falls as 1/(p n), within "
                f"{_AGREES:.0%} plus {_SIGMAS:g} standard errors.",
                "superposition",
                f"the share is ({share:.2f} ± {share_error:.2f})/(p n), p n from {active.min():.0f} to "
                f"{active.max():.0f}: with it {agrees.sum()} of {agrees.size} do, without it {at_once.sum()}; the "
                f"largest deviation left is {left[worst]:+.2%} ± {error[worst] / predicted[worst]:.2%} "
                f"(p = {p[worst]:.2g}, r = {column(table, 'ratio')[worst]:.2g})",
                judged(agrees.all()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws the loss against p²/r, and in its units against 1/p."""
        import matplotlib as mpl
        import matplotlib.pyplot as plt
        from matplotlib.colors import LogNorm
        from matplotlib.ticker import NullFormatter

        loss, error, scale, p, ratio = (
            column(table, name) for name in ("loss", "loss_standard_error", "p2_over_r", "probability", "ratio")
        )
        figure, axes = plt.subplots(1, 2, figsize=(9.8, 3.8))
        ratios = np.unique(ratio)
        shades = LogNorm(ratios.min() / 1.05, ratios.max() * 1.05)
        for number, r in enumerate(ratios):
            here = np.flatnonzero(ratio == r)
            here = here[np.argsort(p[here])]
            shade = mpl.colormaps["viridis"](float(shades(r)))
            for name, label, dash, colour in _BOUNDS:
                bound = column(table, name)[here]
                look = {"linestyle": dash, "color": colour, "linewidth": 0.9, "alpha": 0.7}
                axes[0].plot(scale[here], bound, label=None if number else label, **look)
                axes[1].plot(1 / p[here], bound / scale[here], **look | ({"color": shade} if dash == "-" else {}))
            rug = {"fmt": "o", "color": shade, "markersize": 3, "linestyle": "none", "capsize": 1.5}
            legend = None if number else "Persian Rug, by ratio r"
            axes[0].errorbar(scale[here], loss[here], _SIGMAS * error[here], label=legend, **rug)
            axes[1].errorbar(1 / p[here], (loss / scale)[here], _SIGMAS * (error / scale)[here], **rug)
        axes[0].set(xscale="log", yscale="log", xlabel="p² / r", ylabel="loss per feature (feature units²)")
        top = 1.1 * float((loss / scale + _SIGMAS * error / scale).max())
        axes[1].set(xscale="log", xlabel="1 / p", ylabel="loss · r / p²", ylim=(0, top))
        axes[1].set_xticks(*style.plain_ticks(float(1 / p.max()) / 1.01, float(1 / p.min()) * 1.01))
        for axis in axes:
            axis.xaxis.set_minor_formatter(NullFormatter())
        bar = figure.colorbar(mpl.cm.ScalarMappable(shades, "viridis"), ax=axes[1], label="ratio r")
        ticks, labels = style.plain_ticks(float(ratios.min()), float(ratios.max()))
        bar.set_ticks(ticks, labels=labels)
        bar.minorticks_off()
        axes[0].legend(loc="upper left", fontsize=7)
        return figure


def _slope(x: FloatArray, y: FloatArray, error: FloatArray) -> tuple[float, float]:
    """Returns the slope of the least-squares line, and what the errors of y make of it."""
    weights = (x - x.mean()) / ((x - x.mean()) @ (x - x.mean()))
    return float(weights @ y), float(np.sqrt(weights**2 @ error**2))


def _fit(terms: FloatArray, y: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns the coefficients of terms, a row each, by weighted least squares, and their standard errors."""
    weighted = terms / error
    covariance = np.linalg.inv(weighted @ weighted.T)
    return covariance @ (weighted @ (y / error)), np.sqrt(np.diag(covariance))


def _scatter(values: FloatArray) -> float:
    return float(values.std() / values.mean())
