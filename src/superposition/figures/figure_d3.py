"""Figure D3: autoencoders trained with other activations, against the ReLU."""

from typing import TYPE_CHECKING, final

import pyarrow as pa

from superposition import theory
from superposition.features import SparseFeatures
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, rows
from superposition.figures.presets import Preset
from superposition.sweeps import Store
from superposition.training import TrainingConfig
from superposition.training.activated import compare_activations

if TYPE_CHECKING:
    import matplotlib.figure

# (n_features, n_hidden, p), one panel each, and how long each model is trained.
_SETTINGS = ((64, 16, 0.05),)
_CONFIG = TrainingConfig(n_steps=500, batch_size=512)
_SEEDS = 3


@final
class FigureD3(Figure):
    """What the activation changes when everything is trained with it."""

    name = "D3"
    title = "Trained activations"
    caption = (
        "Held-out loss of autoencoders trained with each activation as a share of the ReLU's at equal size, sparsity, "
        f"batches and steps ({_CONFIG.n_steps} of {_CONFIG.batch_size} samples); bars are two standard errors over "
        f"{_SEEDS} seeds. Of k, or of the width of the rectangle in the place of a jump's derivative, the best of "
        "three is shown. Lines: the Bayes and own-support ceilings at the interference of a Persian Rug, as shares of "
        "its best ReLU; trained interference is not Gaussian, so that they do not bound these models."
    )

    def measure(self, preset: Preset, store: Store) -> pa.Table:  # noqa: ARG002
        """Returns one row an activation and setting."""
        records = []
        for n, m, p in _SETTINGS:
            seeds = [preset.seed + offset for offset in range(_SEEDS)]
            best = theory.symmetric_optimum(m / n, p)
            for result in compare_activations(SparseFeatures(n, p), m, _CONFIG, seeds=seeds, n_held_out=20_000):
                records.append(
                    {
                        "n_features": n,
                        "n_hidden": m,
                        "probability": p,
                        "activation": result.name,
                        "setting": result.setting,
                        "loss": result.loss.value,
                        "standard_error": result.loss.standard_error,
                        "relative": result.relative,
                        "relative_error": result.relative_error,
                        "bayes": float(theory.bayes_loss(best.noise_std, p) / best.loss),
                        "oracle": float(theory.oracle_support_loss(best.noise_std, p) / best.loss),
                        "mean_field": best.loss,
                    }
                )
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the paper's constant factor."""
        names = table.column("activation").to_pylist()
        share, error = column(table, "relative"), column(table, "relative_error")
        least, most = int(share.argmin()), int(share.argmax())
        jumps = [name in ("JumpReLU", "Gated") for name in names]
        return [
            Check(
                "No change of the activation improves the loss by more than a constant factor (section 5.1.1).",
                "paper",
                f"from {share[least]:.3f} ± {error[least]:.3f} ({names[least]}) to {share[most]:.3f} ± "
                f"{error[most]:.3f} ({names[most]}) of the ReLU's loss",
                bool(share.min() > 0.5),
            ),
            Check(
                "JumpReLU and gated activations gain less than 10% over the ReLU.",
                "superposition",
                "their least share is " + f"{share[jumps].min():.3f}",
                bool(share[jumps].min() + 2 * error[jumps].max() > 0.9),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws shares of the ReLU's loss, a panel a setting."""
        import matplotlib.pyplot as plt

        panels = [rows(table, probability=p) for p in reversed(distinct(table, "probability"))]
        figure, axes = plt.subplots(1, len(panels), figsize=(1.4 + 5.6 * len(panels), 2.8), squeeze=False)
        for axis, here in zip(axes[0], panels, strict=True):
            share, error = column(here, "relative"), column(here, "relative_error")
            places = list(range(len(share)))
            axis.errorbar(share, places, xerr=2 * error, fmt="o", color=style.BLUE)
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
                ylim=(-0.6, len(share) - 0.2),
            )
            axis.set_yticks(places, names)
        axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure
