"""Figure 3: the first 30 × 30 weights of a trained model, and its biases."""

from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.diagnostics import predicted_symmetry, symmetry
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, provenance, rows
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell, stored_run
from superposition.theory import symmetric_optimum

if TYPE_CHECKING:
    import matplotlib.figure

RATIO, PROBABILITY, SHOWN = 0.25, 0.045, 30


@final
class Figure3(Figure):
    """One trained model at p = 4.5%, ratio 1/4."""

    name = "3"
    title = "Trained weights"
    caption = (
        "The first 30 × 30 entries of W = W_dec W_enc and of the bias of a model trained at p = 4.5% and ratio "
        "1/4, and the spread of all its diagonal and bias entries. One value on the diagonal, one bias, and "
        "off-diagonals of a like distribution in every row: a statistical permutation symmetry. Titles give the mean "
        "and standard deviation over features."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the one model."""
        n = preset.portrait_size
        return [TrainedCell(n, round(RATIO * n), PROBABILITY, n_steps=preset.portrait_steps, seed=preset.seed)]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns entries of W, the whole diagonal and bias, and scalar results, one row a value."""
        (cell,) = self.cells(preset)
        run = stored_run(store, cell)
        W = run.model.W_rows(0, cell.n_features).double().numpy()
        bias = run.model.bias_vector().double().numpy()
        shown = min(SHOWN, len(W))
        statistics = symmetry(run.model, cell.features())
        predicted = predicted_symmetry(cell.features(), cell.n_hidden)
        scalars = {
            "held-out loss": run.loss.value,
            "held-out loss, standard error": run.loss.standard_error,
            "mean-field loss": symmetric_optimum(cell.n_hidden / cell.n_features, PROBABILITY).loss,
            "mean-field diagonal": predicted.diagonal,
            "mean-field effective bias": predicted.effective_bias,
            "mean interference": statistics.noise_mean.mean,
            "interference standard deviation": statistics.noise_variance.mean**0.5,
            "dead features": statistics.dead_features,
            "steps": run.row["steps"],
        }
        records = [
            *({"quantity": "W", "row": i, "column": j, "value": W[i, j]} for i in range(shown) for j in range(shown)),
            *({"quantity": "diagonal", "row": i, "column": i, "value": v} for i, v in enumerate(np.diag(W))),
            *({"quantity": "bias", "row": i, "column": None, "value": v} for i, v in enumerate(bias)),
            *({"quantity": name, "row": None, "column": None, "value": float(v)} for name, v in scalars.items()),
        ]
        return pa.Table.from_pylist([record | provenance(run.row) for record in records])

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the numbers of the paper's caption, and the loss beside the prediction."""
        diagonal, bias = column(table, "value", quantity="diagonal"), column(table, "value", quantity="bias")
        W = _block(table)
        off = W[~np.eye(len(W), dtype=bool)]
        loss, error = _scalar(table, "held-out loss"), _scalar(table, "held-out loss, standard error")
        predicted = _scalar(table, "mean-field loss")
        dead = _scalar(table, "dead features")
        skewness = float(((off - off.mean()) ** 3).mean() / off.std() ** 3)
        ratio = abs(_scalar(table, "mean interference")) / _scalar(table, "interference standard deviation")
        return [
            Check(
                "The diagonal is 1.29 ± 0.01 (caption of figure 3; here: mean within 0.02, spread at most 0.02).",
                "paper",
                f"{diagonal.mean():.3f} ± {diagonal.std():.3f}; mean field {_scalar(table, 'mean-field diagonal'):.3f}",
                bool(abs(diagonal.mean() - 1.29) < 0.02 and diagonal.std() <= 0.02),
            ),
            Check("Every bias is negative.", "paper", f"the largest is {bias.max():.3f}", bool(bias.max() < 0)),
            Check(
                "The bias is −0.18 ± 0.01 (caption of figure 3; here: mean within 0.02).",
                "paper",
                f"{bias.mean():.3f} ± {bias.std():.3f}",
                bool(abs(bias.mean() + 0.18) < 0.02),
            ),
            Check(
                "The mean bias lies between −0.24 and −0.15.",
                "superposition",
                f"{bias.mean():.3f}",
                bool(-0.24 <= bias.mean() <= -0.15),
            ),
            Check(
                "Off-diagonals are approximately of mean zero (here: mean within a fifth of their spread).",
                "paper",
                f"mean {off.mean():+.4f}, spread {off.std():.3f} over the entries shown; in sum, E ν is "
                f"{_scalar(table, 'mean interference'):+.3f}, {ratio:.2f} standard deviations of ν",
                bool(abs(off.mean()) < 0.2 * off.std()),
            ),
            Check(
                "Off-diagonals are skewed: some strong inhibitory entries, no excitatory ones as strong.",
                "superposition",
                f"skewness {skewness:.1f}, from {off.min():.2f} to {off.max():+.2f} over the entries shown",
                bool(skewness < -0.5),
            ),
            Check("No feature is dead.", "superposition", f"{dead:.0f} dead features", dead == 0),
            Check(
                "The trained model is better than the prediction: below 3.75e-3 in at most 2500 steps.",
                "superposition",
                f"held-out loss {loss:.4e} ± {error:.0e} after {_scalar(table, 'steps'):.0f} steps; "
                f"mean field {predicted:.4e}: {loss / predicted - 1:+.0%}",
                loss + 3 * error < min(predicted, 3.75e-3) and _scalar(table, "steps") <= 2500,
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws the block of W, the bias beside it, and two histograms."""
        import matplotlib.pyplot as plt

        W = _block(table)
        diagonal, bias = column(table, "value", quantity="diagonal"), column(table, "value", quantity="bias")
        figure, axes = plt.subplots(1, 4, figsize=(9.6, 3.4), width_ratios=(10, 1, 6, 6))
        look = {"cmap": "RdBu_r", "vmin": -1.4, "vmax": 1.4, "interpolation": "nearest"}
        image = axes[0].imshow(W, **look)
        axes[0].set(title=f"W, first {len(W)} × {len(W)}", xlabel="column j", ylabel="row i")
        axes[1].imshow(np.tile(bias[: len(W), None], (1, 2)), **look)
        axes[1].set(title="b", xticks=[], yticks=[])
        for axis in axes[:2]:
            axis.grid(visible=False)
        figure.colorbar(image, ax=axes[0], label="weight, bias", shrink=0.85, location="left")
        for axis, values, name, paper in (
            (axes[2], diagonal, "diagonal $W_{ii}$", 1.29),
            (axes[3], bias, "bias $b_i$", -0.18),
        ):
            axis.hist(values, bins=25, color=style.BLUE)
            axis.axvline(paper, color=style.ORANGE, linestyle="--", label=f"paper: {paper:g}".replace("-", "−"))
            axis.set(
                xlabel=name,
                ylabel="features",
                title=f"mean {values.mean():.3f}, std {values.std():.3f}".replace("-", "−"),
            )
            axis.set_ylim(0, axis.get_ylim()[1] * 1.18)
            axis.legend(loc="upper right" if name.startswith("diagonal") else "upper left")
        return figure


def _block(table: pa.Table) -> FloatArray:
    entries = rows(table, quantity="W")
    size = int(column(entries, "row").max()) + 1
    return column(entries, "value").reshape(size, size)


def _scalar(table: pa.Table, name: str) -> float:
    return float(column(table, "value", quantity=name)[0])
