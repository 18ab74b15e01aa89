"""Figure D3: autoencoders trained with other activations, against the ReLU."""

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._checks import FloatArray
from superposition.estimate import Estimate
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, judged, rows, tabulated
from superposition.figures.elementwise import is_bounded, rare_features
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure

# Widths of the rectangle of a jump, and kept entries in units of the expected number of active ones, to choose from.
_BANDWIDTHS = (0.03, 0.1, 0.3)
_KEPT = (1.0, 1.7, 3.0)
_Setting = tuple[str, float | None]  # of a cell: activation and setting


@dataclass(frozen=True)
class _Sizes:
    """How large: a panel each (n_features, n_hidden, p), and how many seeds beside the one that chooses the setting."""

    panels: tuple[tuple[int, int, float], ...]
    n_steps: int
    batch_size: int
    seeds: int


_PANELS = (64, 16, 0.05), (256, 64, 0.05), (256, 64, 0.01)
_SIZES = {
    "quick": _Sizes(_PANELS[:1], 500, 512, 3),
    "laptop": _Sizes(_PANELS[:2], 1000, 512, 3),
    "reference": _Sizes(_PANELS, 1500, 512, 5),
    "paper": _Sizes((*_PANELS, (1024, 256, 0.01)), 2000, 1024, 8),
}


@final
class FigureD3(Figure):
    """What the activation changes when everything is trained with it."""

    name = "D3"
    title = "Trained activations"
    caption = (
        "At these sparsities no activation gains much over the ReLU. Held-out loss of autoencoders trained with each "
        "activation as a share of the ReLU's at equal size, sparsity, batches and steps; bars are two standard "
        "errors over seeds (columns steps and seeds of the table). Of k, or of the width of the rectangle in the "
        "place of a jump's derivative, the best of three is shown, chosen by a seed of its own. Lines: the Bayes and "
        "own-support ceilings at the interference of a Persian Rug, as shares of its best ReLU; trained interference "
        "is not Gaussian, so that they do not bound these models."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns one cell an activation, setting and seed."""
        return [
            cell
            for panel in preset.own(_SIZES).panels
            for settings in _choices(*panel).values()
            for setting in settings.values()
            for cell in _replicates(panel, setting, preset)
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row an activation, at the best of its settings."""
        records = []
        sizes = preset.own(_SIZES)
        for panel in sizes.panels:
            n, m, p = panel
            best = theory.symmetric_optimum(m / n, p)
            found: dict[str, tuple[str, FloatArray]] = {}
            for name, settings in _choices(*panel).items():
                losses = {
                    label: np.array([store.get(cell).row["loss"] for cell in _replicates(panel, setting, preset)])
                    for label, setting in settings.items()
                }
                # The first seed chooses, the others measure.
                chosen = min(losses, key=lambda label: float(losses[label][0]))
                found[name] = chosen, losses[chosen][1:]
            for name, (setting, losses_of_seeds) in found.items():
                # Seed by seed: both saw the same batches from the same weights.
                loss, relative = (
                    Estimate.from_samples(values) for values in (losses_of_seeds, losses_of_seeds / found["ReLU"][1])
                )
                records.append(
                    {
                        "source": "trained",
                        "n_features": n,
                        "n_hidden": m,
                        "probability": p,
                        "steps": sizes.n_steps,
                        "seeds": sizes.seeds,
                        "activation": name,
                        "setting": setting,
                        "loss": loss.value,
                        "standard_error": loss.standard_error,
                        "relative": relative.value,
                        "relative_error": relative.standard_error,
                        "bayes": float(theory.bayes_loss(best.noise_std, p) / best.loss),
                        "oracle": float(theory.oracle_support_loss(best.noise_std, p) / best.loss),
                        "mean_field": best.loss,
                    }
                )
        return tabulated([*records, *rare_features()])

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the paper's constant factor."""
        trained = rows(table, source="trained")
        names = trained.column("activation").to_pylist()
        share, error = column(trained, "relative"), column(trained, "relative_error")
        least, most = int(share.argmin()), int(share.argmax())
        bounded, growth = is_bounded(table)
        jumps = [name in ("JumpReLU", "Gated") for name in names]
        return [
            Check(
                "No change of the activation improves the loss by more than a constant factor (section 5.1.1).",
                "paper",
                f"trained at p = {_listed(trained)}, from {share[least]:.3f} ± {error[least]:.3f} ({names[least]}) to "
                f"{share[most]:.3f} ± {error[most]:.3f} ({names[most]}) of the ReLU's loss; {growth}",
                judged(bounded and share.min() > 0.5),
            ),
            Check(
                "Trained for as many steps, JumpReLU and gated activations gain less than 10% over the ReLU.",
                "superposition",
                "their least share is " + f"{share[jumps].min():.3f}",
                judged(share[jumps].min() + 2 * error[jumps].max() > 0.9),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws shares of the ReLU's loss, a panel a setting."""
        import matplotlib.pyplot as plt

        table = rows(table, source="trained")
        places = dict.fromkeys((row["n_features"], row["probability"]) for row in table.to_pylist())
        panels = [rows(table, n_features=n, probability=p) for n, p in places]
        figure, axes = plt.subplots(1, len(panels), figsize=(1.4 + 5.6 * len(panels), 2.8), squeeze=False)
        for axis, here in zip(axes[0], panels, strict=True):
            # The ReLU first, then from the least loss on.
            order = np.argsort(
                np.where(np.equal(here.column("activation").to_pylist(), "ReLU"), 0, column(here, "loss"))
            )
            here = here.take(order)
            share, error = column(here, "relative"), column(here, "relative_error")
            heights = list(range(len(share)))
            axis.errorbar(share, heights, xerr=2 * error, fmt="o", color=style.BLUE)
            for name, colour, dash in (("bayes", style.GREEN, "--"), ("oracle", style.PURPLE, ":")):
                label = {"bayes": "Bayes ceiling, rug", "oracle": "own support known, rug"}[name]
                axis.axvline(column(here, name)[0], color=colour, linestyle=dash, label=label)
            axis.axvline(1, color="0.7", linewidth=0.8)
            names = [
                f"{row['activation']}{', ' + row['setting'] if row['setting'] else ''}" for row in here.to_pylist()
            ]
            first = here.to_pylist()[0]
            axis.set(
                title=f"n = {first['n_features']}, n_hidden = {first['n_hidden']}, p = {first['probability']:g}",
                xlabel="loss / loss with the ReLU",
                xlim=(0.0, 1.0 + max(0.25, 1.5 * float((share + 2 * error).max() - 1))),
                ylim=(len(share) - 0.4, -0.8),
            )
            axis.set_yticks(heights, names)
        axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _listed(trained: pa.Table) -> str:
    """Returns the probabilities of the panels."""
    return " and ".join(f"{p:g}" for p in reversed(distinct(trained, "probability")))


def _choices(n: int, m: int, p: float) -> dict[str, dict[str, _Setting]]:  # noqa: ARG001
    """Returns the activations by name, each with the settings to choose from."""
    kept = sorted({max(1, min(n, ceil(share * n * p))) for share in _KEPT})
    return {
        "ReLU": {"": ("relu", None)},
        "TopK": {f"k = {k}": ("topk", k) for k in kept},
        "BatchTopK": {f"k = {k}": ("batchtopk", k) for k in kept},
        "JumpReLU": {f"bandwidth {width:g}": ("jumprelu", width) for width in _BANDWIDTHS},
        "Gated": {f"bandwidth {width:g}": ("gated", width) for width in _BANDWIDTHS},
        "TRec (ProLU)": {f"bandwidth {width:g}": ("trec", width) for width in _BANDWIDTHS},
    }


def _replicates(panel: tuple[int, int, float], setting: _Setting, preset: Preset) -> list[TrainedCell]:
    """Returns the cells of one setting: that of the seed that chooses, and those that measure."""
    sizes = preset.own(_SIZES)
    return [
        TrainedCell(
            *panel,
            n_steps=sizes.n_steps,
            batch_size=sizes.batch_size,
            n_held_out=20_000,
            activation=setting[0],
            setting=setting[1],
            seed=preset.seed + offset,
        )
        for offset in range(sizes.seeds + 1)
    ]
