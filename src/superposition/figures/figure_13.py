"""Figure 13: signal and noise of two groups of features of unequal importance."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._checks import FloatArray
from superposition.figures import style
from superposition.figures.base import LIMIT_FROM, Check, Figure, column, cut_short, judged, provenance
from superposition.figures.groups import GROUPS, alpha_of, group_columns
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure

_SIGMAS = 3.0
_SIMILAR = 0.25
_UNIFORM = 0.1
_AGREES = 0.1


@final
class Figure13(Figure):
    """Histograms of the diagonal and of the noise in each group, beside the optimal allocation."""

    name = "13"
    title = "Unequal importance: signal and noise by group"
    caption = (
        "Features that count half as much get more noise, as much as the optimal allocation of capacity gives them, "
        "and nearly the same diagonal. Diagonal entries W_ii and standard deviations of the interference ν_i of a "
        "trained model in which the second half of the features counts α = 1/2 in the loss (appendix H), by group. "
        "Dashed: the allocation's prediction for each group, of the limit of large n."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the one model."""
        return [preset.importances.cell(preset.importances.shown, preset.seed)]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a feature, and what the allocation says of it; dead features have no noise."""
        (cell,) = self.cells(preset)
        best = theory.allocate(cell.features(), cell.n_hidden)
        stored = store.get(cell)
        found = group_columns(stored)
        columns = {**found, "predicted_diagonal": best.scale, "predicted_noise_std": best.noise_std}
        n = cell.n_features
        return pa.table(
            {
                **{name: pa.array(values) for name, values in columns.items()},
                "n_features": np.full(n, n),
                "n_hidden": np.full(n, cell.n_hidden),
                "probability": np.full(n, cell.probability),
                "alpha": np.full(n, alpha_of(cell)),
                "protocol": [cell.protocol] * n,
                "stopped": [stored.row["stopped"]] * n,
                "steps": np.full(n, stored.row["steps"]),
                **{name: [value] * n for name, value in provenance(stored.row).items()},
            }
        )

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the paper's reading of both histograms, and the prediction."""
        more, less = (_Group(table, group) for group in GROUPS)
        apart = more.diagonal.mean() - less.diagonal.mean()
        error = float(np.hypot(more.error(more.diagonal), less.error(less.diagonal)))
        overlap = _overlap(more.diagonal, less.diagonal)
        noise_gap = less.noise.mean() - more.noise.mean()
        noise_error = float(np.hypot(more.error(more.noise), less.error(less.noise)))
        spreads = [float(values.std() / values.mean()) for g in (more, less) for values in (g.diagonal, g.noise)]
        deviations = [
            float(values.mean() / predicted - 1)
            for g in (more, less)
            for values, predicted in ((g.diagonal, g.predicted_diagonal), (g.noise, g.predicted_noise))
        ]
        n, steps = (int(column(table, name)[0]) for name in ("n_features", "steps"))
        is_long = not cut_short(table).any()
        ran = f" (n = {n}, {steps} steps)"
        return [
            Check(
                "The diagonal entries of the two groups are separated, those of important features larger, and similar "
                "in magnitude.",
                "paper",
                f"{more.diagonal.mean():.4f} against {less.diagonal.mean():.4f}, apart by {apart:.4f} ± {error:.4f}; "
                f"a threshold between them puts {overlap:.1%} of the features into the wrong group" + ran,
                # Which diagonal is the larger changes with n: the claim is on the paper's 4096.
                judged(
                    apart > _SIGMAS * error and apart < _SIMILAR * more.diagonal.mean() and overlap < 0.05,
                    tested=n >= LIMIT_FROM,
                    trained=is_long,
                ),
            ),
            Check(
                "The less important features have more noise.",
                "paper",
                f"mean std of ν {less.noise.mean():.4f} against {more.noise.mean():.4f}, apart by {noise_gap:.4f} ± "
                f"{noise_error:.4f}" + ran,
                judged(noise_gap > _SIGMAS * noise_error, trained=is_long),
            ),
            Check(
                f"Diagonal and noise are nearly uniform in each group, spread below {_UNIFORM:.0%} of the mean.",
                "paper",
                "spreads " + ", ".join(f"{spread:.1%}" for spread in spreads),
                judged(max(spreads) < _UNIFORM, trained=is_long),
            ),
            Check(
                f"The optimal allocation predicts all four means within {_AGREES:.0%}.",
                "superposition",
                "deviations " + ", ".join(f"{deviation:+.1%}" for deviation in deviations),
                judged(np.abs(deviations).max() < _AGREES, trained=is_long),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a histogram of each statistic, groups in two colours."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), sharey=True)
        labels = ("diagonal $W_{ii}$", r"standard deviation of $\nu_i$ (feature units)")
        for axis, name, label in zip(axes, ("diagonal", "noise_std"), labels, strict=True):
            values = column(table, name)
            bins = np.linspace(float(np.nanmin(values)), float(np.nanmax(values)), 60).tolist()
            for group, colour in zip(GROUPS, (style.BLUE, style.RED), strict=True):
                here = column(table, name, group=group)
                axis.hist(here[np.isfinite(here)], bins=bins, color=colour, alpha=0.6, label=f"{group} important")
                predicted = column(table, f"predicted_{name}", group=group)[0]
                if np.isfinite(predicted):
                    named = f"its allocation, {predicted:.3f}"
                    axis.axvline(predicted, color=colour, linestyle="--", label=named)
            axis.set(xlabel=label)
            axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2, fontsize=7)
        axes[0].set_ylabel("features")
        return figure


class _Group:
    """The live features of one group."""

    def __init__(self, table: pa.Table, group: str) -> None:
        self.diagonal, noise, predicted_diagonal, predicted_noise = (
            column(table, name, group=group)
            for name in ("diagonal", "noise_std", "predicted_diagonal", "predicted_noise_std")
        )
        self.noise = noise[np.isfinite(noise)]
        self.predicted_diagonal, self.predicted_noise = predicted_diagonal[0], predicted_noise[0]

    @staticmethod
    def error(values: FloatArray) -> float:
        """Standard error of the mean, features taken as independent."""
        return float(values.std(ddof=1) / np.sqrt(values.size))


def _overlap(high: FloatArray, low: FloatArray) -> float:
    """Returns the least share of features that one threshold puts into the wrong group."""
    values = np.concatenate([high, low])
    is_high = np.concatenate([np.ones(high.size), np.zeros(low.size)])[np.argsort(values)]
    wrong = np.cumsum(is_high) + (low.size - np.cumsum(1 - is_high))
    return float(min(wrong.min(), low.size) / values.size)
