"""Figure 3: the first 30 × 30 weights of a trained model, its diagonal and its biases, by two protocols."""

from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.diagnostics import interference, predicted_symmetry, symmetry
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged, provenance, rows
from superposition.figures.presets import Preset
from superposition.sweeps import Store, StoredRun, TrainedCell, stored_run
from superposition.theory import symmetric_optimum
from superposition.training import TrainingConfig

if TYPE_CHECKING:
    import matplotlib.figure

RATIO, PROBABILITY, SHOWN = 0.25, 0.045, 30
# The caption of figure 3.
SIZE, PAPER = 512, {"diagonal": 1.29, "bias": -0.18}
PROTOCOLS: tuple[Literal["paper", "default"], ...] = ("paper", "default")


@final
class Figure3(Figure):
    """Trained models at p = 4.5%, ratio 1/4."""

    name = "3"
    title = "Trained weights"
    caption = (
        "A model trained by the paper's protocol has one value on the diagonal, one bias, and off-diagonals of a like "
        "distribution in every row: a statistical permutation symmetry. Left, the first 30 × 30 entries of "
        "W = W_dec W_enc and of the bias at p = 4.5% and ratio 1/4; crosses mark features without a code. Right, all "
        "live features of that model, and of one by the default protocol, which ends at a lower loss and at another "
        "bias. Legends give the mean and standard deviation over live features; dashed, the paper's caption."
    )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the model of each protocol, the paper's first."""
        n, steps = preset.portrait_size, {"paper": None, "default": preset.portrait_steps}
        return [
            TrainedCell(n, round(RATIO * n), PROBABILITY, protocol=protocol, n_steps=steps[protocol], seed=preset.seed)
            for protocol in PROTOCOLS
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns entries of W, the whole diagonal and bias, and scalar results of each model, one row a value."""
        return pa.Table.from_pylist(
            [record for cell in self.cells(preset) for record in _records(cell, stored_run(store, cell))]
        )

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the numbers of the paper's caption on its protocol, and what the default protocol has beside it."""
        theirs, ours = (_Portrait(table, protocol) for protocol in PROTOCOLS)
        off, gain = theirs.off_diagonal, 1 - ours.loss / theirs.loss
        skewness = float(((off - off.mean()) ** 3).mean() / off.std() ** 3)
        share = abs(theirs.mean_interference) / theirs.interference_std
        size = {"tested": theirs.n_features >= SIZE, "trained": theirs.is_whole}
        margin = 3 * float(np.hypot(ours.error, theirs.error))
        beside = f"over {theirs.live} live features, {theirs.dead} dead; default protocol "
        return [
            Check(
                "The diagonal is 1.29 ± 0.01 (caption of figure 3; here: mean within 0.01, spread at most 0.02).",
                "paper",
                f"{theirs.said('diagonal')} {beside}{ours.said('diagonal')}; mean field "
                f"{theirs.mean_field_diagonal:.3f}",
                judged(_agrees(theirs.diagonal, PAPER["diagonal"]), **size),
            ),
            Check(
                "Every bias is negative.",
                "paper",
                f"the largest is {theirs.bias.max():.3f} {beside}{ours.bias.max():.3f}",
                judged(theirs.bias.max() < 0, **size),
            ),
            Check(
                "The bias is −0.18 ± 0.01 (caption of figure 3; here: mean within 0.01, spread at most 0.02).",
                "paper",
                f"{theirs.said('bias')} {beside}{ours.said('bias')}",
                judged(_agrees(theirs.bias, PAPER["bias"]), **size),
            ),
            Check(
                "Off-diagonals are approximately of mean zero (here: mean within a fifth of their spread).",
                "paper",
                f"mean {off.mean():+.4f}, spread {off.std():.3f} over the entries shown; in sum, E ν is "
                f"{theirs.mean_interference:+.3f}, {share:.2f} standard deviations of ν",
                judged(abs(off.mean()) < 0.2 * off.std(), **size),
            ),
            Check(
                "Off-diagonals are skewed: some strong inhibitory entries, no excitatory ones as strong.",
                "superposition",
                f"skewness {skewness:.1f}, from {off.min():.2f} to {off.max():+.2f} over the entries shown",
                judged(skewness < -0.5 and off.max() < -off.min(), **size),
            ),
            Check(
                "The default protocol leaves no feature dead.",
                "superposition",
                f"{ours.dead} dead features of {ours.n_features}; {theirs.dead} by the paper's protocol",
                judged(ours.dead == 0, trained=ours.is_whole),
            ),
            Check(
                "The default protocol ends lower than the paper's.",
                "superposition",
                f"held-out loss {ours.loss:.3e} ± {ours.error:.0e} after {ours.steps} steps against {theirs.loss:.3e} "
                f"after {theirs.steps}: {-gain:+.0%}",
                judged(ours.loss + margin < theirs.loss, trained=ours.is_whole),
            ),
            Check(
                "Both are better than the prediction, which is the loss of the best symmetric Gaussian solution.",
                "superposition",
                f"mean field {ours.mean_field_loss:.3e}: {ours.loss / ours.mean_field_loss - 1:+.0%} by the default "
                f"protocol, {theirs.loss / ours.mean_field_loss - 1:+.0%} by the paper's",
                judged(
                    max(each.loss + 3 * each.error for each in (ours, theirs)) < ours.mean_field_loss,
                    trained=ours.is_whole and theirs.is_whole,
                ),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws the block of W of the paper's protocol, the bias beside it, and two histograms of both."""
        import matplotlib.pyplot as plt

        theirs, ours = (_Portrait(table, protocol) for protocol in PROTOCOLS)
        figure, axes = plt.subplots(1, 4, figsize=(10.4, 3.4), width_ratios=(10, 1, 7, 7))
        look = {"cmap": "RdBu_r", "vmin": -1.4, "vmax": 1.4, "interpolation": "nearest"}
        shown = len(theirs.W)
        image = axes[0].imshow(theirs.W, **look)
        dead = np.flatnonzero(~theirs.alive[:shown])
        axes[0].plot(dead, dead, "x", color="0.3", markersize=4)
        axes[0].set(title=f"W, first {shown} × {shown}", xlabel="column j", ylabel="row i")
        axes[1].imshow(np.tile(theirs.all_bias[:shown, None], (1, 2)), **look)
        axes[1].set(title="b", xticks=[], yticks=[])
        for axis in axes[:2]:
            axis.grid(visible=False)
        figure.colorbar(image, ax=axes[0], label="weight, bias", shrink=0.85, location="left")
        for axis, name, label in ((axes[2], "diagonal", "diagonal $W_{ii}$"), (axes[3], "bias", "bias $b_i$")):
            values = {portrait.protocol: getattr(portrait, name) for portrait in (theirs, ours)}
            both = np.concatenate(list(values.values()))
            bins = np.linspace(both.min(), both.max(), 45).tolist()
            for portrait, colour in ((theirs, style.BLUE), (ours, style.ORANGE)):
                whose = "paper's protocol" if portrait is theirs else "default protocol"
                text = f"{whose},\n{portrait.said(name)}"
                axis.hist(values[portrait.protocol], bins=bins, color=colour, alpha=0.7, label=style.typeset(text))
            caption = style.typeset(f"paper's caption, {PAPER[name]:g}")
            axis.axvline(PAPER[name], color=style.BLACK, linestyle="--", linewidth=1, label=caption)
            axis.set(xlabel=label, ylabel="features")
            axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=7)
        return figure


class _Portrait:
    """One model as the table has it; diagonal and bias are of its live features."""

    def __init__(self, table: pa.Table, protocol: str) -> None:
        here = rows(table, protocol=protocol)
        entries = rows(here, quantity="W")
        size = int(column(entries, "row").max()) + 1
        self.protocol = protocol
        self.W = column(entries, "value").reshape(size, size)
        diagonal = column(here, "value", quantity="diagonal")
        self.n_features = len(diagonal)
        self.alive = column(here, "value", quantity="alive") > 0
        self.all_bias = column(here, "value", quantity="bias")
        self.diagonal, self.bias = diagonal[self.alive], self.all_bias[self.alive]
        self.live, self.dead = int(self.alive.sum()), int((~self.alive).sum())
        among = self.alive[:size]
        self.off_diagonal = self.W[np.outer(among, among) & ~np.eye(size, dtype=bool)]

        def scalar(name: str) -> float:
            return float(column(here, "value", quantity=name)[0])

        self.loss, self.error = scalar("held-out loss"), scalar("held-out loss, standard error")
        self.mean_field_loss, self.mean_field_diagonal = scalar("mean-field loss"), scalar("mean-field diagonal")
        self.mean_interference = scalar("mean interference")
        self.interference_std = scalar("interference standard deviation")
        self.steps, self.is_whole = int(scalar("steps")), scalar("trained to the protocol's end") > 0

    def said(self, name: str) -> str:
        """Returns mean and standard deviation of a statistic of live features."""
        values = getattr(self, name)
        return f"{values.mean():.3f} ± {values.std():.3f}"


def _records(cell: TrainedCell, run: StoredRun) -> list[dict[str, Any]]:
    """Returns the rows of one model."""
    W = run.model.W_rows(0, cell.n_features).double().numpy()
    statistics = symmetry(run.model, cell.features())
    predicted = predicted_symmetry(cell.features(), cell.n_hidden)
    own = cell.protocol != "default" or run.row["steps"] >= TrainingConfig().n_steps
    scalars = {
        "held-out loss": run.loss.value,
        "held-out loss, standard error": run.loss.standard_error,
        "mean-field loss": symmetric_optimum(cell.n_hidden / cell.n_features, PROBABILITY).loss,
        "mean-field diagonal": predicted.diagonal,
        "mean-field effective bias": predicted.effective_bias,
        "mean interference": statistics.noise_mean.mean,
        "interference standard deviation": statistics.noise_variance.mean**0.5,
        "steps": run.row["steps"],
        "trained to the protocol's end": own and run.row["stopped"] in ("completed", "plateau"),
    }
    shown, features = min(SHOWN, len(W)), range(len(W))
    by_feature = {
        "diagonal": np.diag(W),
        "bias": run.model.bias_vector().double().numpy(),
        "alive": ~np.isnan(interference(run.model, cell.features()).mean),
    }
    records: list[dict[str, Any]] = [
        *({"quantity": "W", "row": i, "column": j, "value": W[i, j]} for i in range(shown) for j in range(shown)),
        *({"quantity": name, "row": i, "value": float(v[i])} for name, v in by_feature.items() for i in features),
        *({"quantity": name, "value": float(v)} for name, v in scalars.items()),
    ]
    where = {"protocol": cell.protocol, "row": None, "column": None}
    return [{**where, **record, **provenance(run.row)} for record in records]


def _agrees(values: FloatArray, said: float) -> bool:
    return bool(values.size and abs(values.mean() - said) < 0.01 and values.std() <= 0.02)
