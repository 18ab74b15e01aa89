"""Figure 14: signal and noise of two groups of features against the importance of one."""

from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition.figures import style
from superposition.figures.base import LIMIT_FROM, Check, Figure, column, cut_short, judged, provenance, rows
from superposition.figures.groups import GROUPS, alpha_of, group_columns
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure

_GIVEN_UP = 0.5
_KEPT = 1.0
_PAPER_EDGE = 0.25
_AGREES = 0.1


@final
class Figure14(Figure):
    """Means by group against α, beside the optimal allocation."""

    name = "14"
    title = "Unequal importance: signal and noise against α"
    caption = (
        "The less important features are given up all at once, below α ≈ 0.2, and where both groups are kept the noise "
        "follows the optimal allocation of capacity (lines), which gives them up share by share. Mean diagonal entry "
        "and mean standard deviation of the interference by group of features, in trained models in which the second "
        "half of the features counts α in the loss (appendix H). Bars are standard errors over features, smaller than "
        "most markers; features without a code have no interference."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns a model each α."""
        return [preset.importances.cell(alpha, preset.seed) for alpha in preset.importances.relative]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a source, α and group."""
        records = []
        for cell in self.cells(preset):
            stored = store.get(cell)
            found = group_columns(stored)
            group = np.array(found["group"])
            for name in GROUPS:
                here = {key: np.asarray(found[key])[group == name] for key in ("diagonal", "noise_std")}
                ran = {key: stored.row[key] for key in ("stopped", "steps")}
                records.append(_row("trained", cell, name, **here) | ran | provenance(stored.row))
        first = self.cells(preset)[0]
        for alpha in np.unique(np.concatenate([np.linspace(0, 1, 41), preset.importances.relative])):
            cell = preset.importances.cell(float(alpha), preset.seed)
            best = theory.allocate(cell.features(), first.n_hidden)
            half = cell.n_features // 2
            for name, place in zip(GROUPS, (slice(None, half), slice(half, None)), strict=True):
                noise = np.where(np.isfinite(best.noise_std[place]), best.noise_std[place], np.nan)
                records.append(_row("allocation", cell, name, best.scale[place], noise))
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks where the less important group is given up, its noise before that, and the prediction."""
        trained, predicted = rows(table, source="trained"), rows(table, source="allocation")
        alphas = column(trained, "alpha", group="less")
        diagonal, noise = (column(trained, name, group="less") for name in ("diagonal", "noise_std"))
        up, kept = alphas[diagonal < _GIVEN_UP], alphas[diagonal > _KEPT]
        low, high = up.max(initial=0.0), kept.min(initial=1.0)
        live = (diagonal > _KEPT) & np.isfinite(noise)
        grows = np.diff(noise[live]) < 0
        n, steps = (int(column(trained, name).min()) for name in ("n_features", "steps"))
        is_long = not cut_short(trained).any()
        ran = f" (n = {n}, {steps} steps)"
        deviations = []
        for group in GROUPS:
            for name in ("diagonal", "noise_std"):
                line = column(predicted, name, group=group)
                at = np.searchsorted(column(predicted, "alpha", group=group), alphas)
                mine, its = column(trained, name, group=group), line[at]
                both = live & (column(predicted, "diagonal", group="less")[at] > 0)
                deviations += (mine[both] / its[both] - 1).tolist()
        return [
            Check(
                f"Around α ≈ {_PAPER_EDGE:g} the model gives up on the less important features (here: the values of α "
                "between which it does enclose that).",
                "paper",
                f"their mean diagonal is below {_GIVEN_UP:g} up to α = {low:g} and above {_KEPT:g} from α = {high:g}"
                + ran,
                judged(
                    bool(up.size and kept.size and low <= _PAPER_EDGE < high), tested=n >= LIMIT_FROM, trained=is_long
                ),
            ),
            Check(
                "Before that, the smaller α the larger the noise of the less important features.",
                "paper",
                f"from α = {alphas[live].min(initial=1):g} on it falls in {grows.sum()} of {grows.size} steps to "
                "larger α" + ran,
                judged(bool(grows.size and grows.all()), trained=is_long),
            ),
            Check(
                f"The optimal allocation predicts signal and noise of both groups within {_AGREES:.0%} wherever it "
                "and the model keep both.",
                "superposition",
                f"largest deviation {max(deviations, key=abs):+.1%} of {len(deviations)} values"
                if deviations
                else f"they do at none of {alphas.size} values of α",
                judged(bool(deviations and np.abs(deviations).max() < _AGREES), trained=is_long),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws signal on the left and noise on the right."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.2))
        for axis, name in zip(axes, ("diagonal", "noise_std"), strict=True):
            for group, colour, marker in zip(GROUPS, (style.BLUE, style.RED), "os", strict=True):
                line = rows(table, source="allocation", group=group)
                axis.plot(
                    column(line, "alpha"), column(line, name), color=colour, label=f"{group} important, allocation"
                )
                points = rows(table, source="trained", group=group)
                x, y, error = (column(points, key) for key in ("alpha", name, f"{name}_standard_error"))
                label = f"{group} important, trained"
                axis.errorbar(x, y, error, fmt=marker, color=colour, mfc="none", capsize=2, label=label)
            axis.axvline(_PAPER_EDGE, color="0.5", linestyle=":", linewidth=1, label="paper: given up around 0.25")
            axis.set(xlabel="relative importance α of half of the features")
        axes[0].set_ylabel("mean diagonal $W_{ii}$")
        axes[1].set_ylabel(r"mean std of $\nu_i$ (feature units)")
        axes[0].legend()
        return figure


def _row(source: str, cell: TrainedCell, group: str, diagonal: np.ndarray, noise_std: np.ndarray) -> dict[str, Any]:
    """Returns the means over a group's features, with their standard errors; features without ν are left out."""
    record: dict[str, Any] = {
        "source": source,
        "alpha": alpha_of(cell),
        "group": group,
        "n_features": cell.n_features,
        "n_hidden": cell.n_hidden,
        "probability": cell.probability,
        "protocol": cell.protocol if source == "trained" else None,
        "stopped": None,
        "steps": None,
    }
    for name, values in (("diagonal", diagonal), ("noise_std", noise_std)):
        live = np.asarray(values, dtype=np.float64)
        live = live[np.isfinite(live)]
        record[name] = float(live.mean()) if live.size else float("nan")
        record[f"{name}_standard_error"] = float(live.std() / np.sqrt(live.size)) if live.size else float("nan")
    record["features_with_noise"] = int(np.isfinite(noise_std).sum())
    return record | provenance({})
