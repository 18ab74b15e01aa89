"""Figure D5: what sets the error, the variance of the interference or the coherence of the code."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition.features import SparseFeatures
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, estimated, judged, rows
from superposition.figures.presets import Preset
from superposition.sweeps import FrameCell, Store

if TYPE_CHECKING:
    import matplotlib.figure

_PROBABILITY, _RATIO = 0.05, 1 / 4
# Row variances in units of the least, 1/r − 1; W_ij of the two features of each pair.
_VARIANCES = (1.0, 2.0, 4.0, 8.0)
_MORE_VARIANCES = (1.0, 1.5, 2.0, 4.0, 8.0)
_PARTNERS = (-1.0, -0.7, 0.0, 0.7, 1.0)
_MORE_PARTNERS = (-1.0, -0.85, -0.7, -0.5, -0.3, 0.0, 0.3, 0.5, 0.7, 0.85, 1.0)
# What finite size leaves out of mean field, and the share of a row's variance that one feature may have without notice.
_SAME, _SMALL_SHARE = 0.1, 0.05
_SIGMAS = 4.0


@dataclass(frozen=True)
class _Sizes:
    """How large: two features a pair, in a Hadamard matrix of half as many rows."""

    n_features: int
    variances: tuple[float, ...]
    partners: tuple[float, ...]
    n_samples: int


_SIZES = {
    "quick": _Sizes(1024, _VARIANCES, _PARTNERS, 600),
    "laptop": _Sizes(2048, _MORE_VARIANCES, _MORE_PARTNERS, 2000),
    "reference": _Sizes(4096, _MORE_VARIANCES, _MORE_PARTNERS, 4000),
    "paper": _Sizes(8192, _MORE_VARIANCES, _MORE_PARTNERS, 8000),
}


@final
class FigureD5(Figure):
    """Row variance against coherence, each changed alone."""

    name = "D5"
    title = "Row variance against coherence"
    caption = (
        f"Held-out loss of codes in which the two were set apart, p = {_PROBABILITY:g}, ratio "
        f"{style.fraction(_RATIO)}: features come in pairs of inner product c = W_ij/W_ii, and whatever c is every row "
        "has the same variance V = Σ_j≠i W_ij²/W_ii². The coherence of the code is |c| where that exceeds the products "
        "of features that are no pair (column mutual_coherence of the table). Scale and bias are the best at V; bars "
        "are two standard errors. Line: mean field, which knows V alone. Left: every coherence lies on one line where "
        "V is large. Right: in units of mean field, against c. A partner of opposite sign makes the loss less, one of "
        "the same sign more, the more so the larger its share c²/V of the variance, which is not Gaussian."
    )

    def cells(self, preset: Preset) -> list[FrameCell]:
        """Returns one cell a row variance and inner product."""
        sizes = preset.own(_SIZES)
        n = sizes.n_features
        return [
            FrameCell(
                n,
                round(_RATIO * n),
                _PROBABILITY,
                partner,
                factor * (1 / _RATIO - 1),
                n_held_out=sizes.n_samples,
                seed=preset.seed,
            )
            for factor in sizes.variances
            for partner in sizes.partners
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a code, and the curve of mean field."""
        names = ("mean_field_loss", "row_variance", "mutual_coherence", "welch_bound", "skewness", "distance")
        records = estimated(
            self.cells(preset),
            store,
            "loss",
            names,
            lambda cell: {
                "source": "code", "n_features": cell.n_features, "n_hidden": cell.n_hidden, "partner": cell.partner,
                "variance": cell.variance,
            },
        )  # fmt: skip
        least = 1 / _RATIO - 1
        curve = np.geomspace(least / 1.15, 1.15 * least * max(preset.own(_SIZES).variances), 61)
        sigma = np.sqrt(float(SparseFeatures(1, _PROBABILITY).variance) * curve)
        loss = theory.optimal_relu(sigma, _PROBABILITY).loss
        of_theory = [
            {"source": "theory", "row_variance": float(v), "loss": float(one)}
            for v, one in zip(curve, loss, strict=True)
        ]
        return pa.Table.from_pylist([*records, *of_theory])

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks what the paper says of the two, and where it holds."""
        code = rows(table, source="code")
        variance, partner = column(code, "variance"), column(code, "partner")
        relative = column(code, "loss") / column(code, "mean_field_loss")
        error = column(code, "standard_error") / column(code, "mean_field_loss")
        beyond = np.abs(relative - 1) - _SIGMAS * error
        small = partner**2 / column(code, "row_variance") <= _SMALL_SHARE
        by_coherence = {
            value: _largest_factor(column(code, "loss", variance=value)) for value in distinct(code, "variance")
        }
        by_variance = {
            value: _largest_factor(column(code, "loss", partner=value)) for value in distinct(code, "partner")
        }
        least, most = float(variance.min()), float(variance.max())
        same, opposite = partner > 0.5, partner < -0.5
        return [
            Check(
                "The row variance sets the loss, the coherence does not (section 5.1.1): at no variance does the "
                f"coherence change it by more than {_SAME:.0%}.",
                "paper",
                f"by a factor of {by_coherence[least]:.2f} at the least variance {least:g}, of "
                f"{by_coherence[most]:.2f} at {most:g}; at equal coherence the variance changes it by "
                f"{min(by_variance.values()):.2f} to {max(by_variance.values()):.2f}",
                judged(max(by_coherence.values()) <= 1 + _SAME),
            ),
            Check(
                f"Where a partner has at most {_SMALL_SHARE:.0%} of the variance, mean field at the row variance "
                f"predicts the loss within {_SAME:.0%}.",
                "superposition",
                f"largest distance beyond {_SIGMAS:g} standard errors {max(0.0, beyond[small].max()):.1%}, at "
                f"coherences up to {column(code, 'mutual_coherence')[small].max():.4f}",
                judged((beyond[small] < _SAME).all()),
            ),
            Check(
                "At equal variance a partner of the same sign costs and one of opposite sign gains.",
                "superposition",
                f"in units of mean field: {relative[same].min():.2f} to {relative[same].max():.2f} with the same sign, "
                f"{relative[opposite].min():.2f} to {relative[opposite].max():.2f} with the opposite one",
                judged(
                    all(
                        relative[opposite & (variance == value)].max() < relative[same & (variance == value)].min()
                        for value in distinct(code, "variance")
                    )
                ),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws the loss against the row variance, and in units of mean field against the partner's inner product."""
        import matplotlib.pyplot as plt

        code, curve = rows(table, source="code"), rows(table, source="theory")
        first = code.to_pylist()[0]
        figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.6))
        axes[0].plot(column(curve, "row_variance"), column(curve, "loss"), color=style.BLACK, label="mean field")
        looks = {
            -1.0: (style.BLUE, "v"), -0.7: (style.SKY, "<"), 0.0: (style.GREEN, "o"), 0.7: (style.ORANGE, ">"),
            1.0: (style.RED, "^"),
        }  # fmt: skip
        for partner, (colour, marker) in looks.items():
            here = rows(code, partner=partner)
            axes[0].errorbar(
                column(here, "row_variance"), column(here, "loss"), 2 * column(here, "standard_error"),
                fmt=marker, color=colour, label=f"{partner:+g}".replace("-", "−") if partner else "0 (no partner)",
            )  # fmt: skip
        axes[0].set(
            xscale="log",
            yscale="log",
            xlabel="row variance V = Σ_j≠i W_ij² / W_ii²",
            ylabel="loss per feature (feature units²)",
        )
        ticks = distinct(code, "variance")
        axes[0].set_xticks(ticks, [f"{value:g}" for value in ticks])
        low, high = axes[0].get_ylim()
        marks = [value for value in (0.002, 0.004, 0.006, 0.01, 0.015, 0.02) if low < value < high]
        axes[0].set_yticks(marks, [f"{value:g}" for value in marks])
        axes[0].minorticks_off()
        axes[0].set_title(f"n = {first['n_features']}, n_hidden = {first['n_hidden']}")
        axes[0].legend(title="partner c", loc="lower right")
        colours = (style.PURPLE, style.BLUE, style.GREEN, style.ORANGE, style.RED)
        for value, colour, marker in zip(ticks, colours, ("o", "s", "D", "^", "v"), strict=False):
            here = rows(code, variance=value)
            unit = column(here, "mean_field_loss")
            axes[1].errorbar(
                column(here, "partner"), column(here, "loss") / unit, 2 * column(here, "standard_error") / unit,
                fmt=f"{marker}-", linewidth=0.8, color=colour, label=f"{value:g}",
            )  # fmt: skip
        axes[1].axhline(1, color=style.BLACK, linewidth=1)
        axes[1].set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−½", "0", "½", "1"])
        axes[1].set(xlabel="inner product c within a pair, W_ij / W_ii", ylabel="loss / mean field at the row variance")
        axes[1].legend(title="row variance V", loc="upper left")
        return figure


def _largest_factor(loss: np.ndarray) -> float:
    """Returns the largest loss over the least."""
    return float(loss.max() / loss.min())
