"""Figure D1: the loss of every decoder of a rug against the ratio."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._names import DecoderName
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, estimated, judged, rows, tabulated
from superposition.figures.elementwise import is_bounded, rare_features
from superposition.figures.presets import Preset
from superposition.figures.style import typeset
from superposition.sweeps import DecoderCell, Store

if TYPE_CHECKING:
    import matplotlib.figure

_PROBABILITY = 0.05
# In units of n_features/128.
_WIDTHS = (6, 10, 13, 17, 22, 32, 64)
_MORE_WIDTHS = (4, 6, 8, 10, 11, 13, 15, 17, 19, 22, 26, 32, 44, 64, 88)
# By their names in cells, and in the table.
_DECODERS: dict[DecoderName, str] = {
    "relu": "ReLU", "jumprelu": "JumpReLU", "trec": "TRec", "bayes": "Bayes", "oracle": "OracleSupport",
    "lemma1": "ThresholdLS", "omp": "OMP", "oamp": "OAMP",
}  # fmt: skip
_CURVE = np.geomspace(0.03, 0.7, 121)
_SIGMAS = 4.0
# What finite size leaves out of mean field at this n.
_SAME = 0.04
# A loss below it is exact recovery but for rounding: an error of a few hundred units of 6e-8, float32's. The axis ends
# above.
_NOTHING, _FLOOR = 1e-9, 2e-4
# The number of active features of a sample fluctuates, and with it the ratio that it takes.
_BLURRED = 0.2


@dataclass(frozen=True)
class _Sizes:
    """How large: of greedy pursuit, which takes a hundred times as long, there are few samples."""

    n_features: int
    widths: tuple[int, ...]
    n_samples: int
    few_samples: int
    n_calibration: int


_SIZES = {
    "quick": _Sizes(2048, _WIDTHS, 150, 25, 128),
    "laptop": _Sizes(4096, _MORE_WIDTHS, 300, 25, 256),
    "reference": _Sizes(8192, _MORE_WIDTHS, 600, 25, 256),
    "paper": _Sizes(16384, _MORE_WIDTHS, 1000, 50, 256),
}


@final
class FigureD1(Figure):
    """What a better decoder buys, from the ReLU to message passing."""

    name = "D1"
    title = "Decoders of a Persian Rug"
    caption = (
        "What decodes all entries together recovers features that no elementwise decoder can. Held-out loss of rugs "
        f"against the ratio, p = {_PROBABILITY:g}; bars are two standard errors (column count of the table: samples). "
        "Lines: theory as n grows. Decoders that act on each entry by itself lie above the Bayes loss; the oracle "
        "knows whether its own feature is active. Least squares on the k = np largest entries, greedy pursuit and "
        "message passing use all entries together: the last recovers x from the dotted ratio on. Losses below "
        f"{typeset(f'{_FLOOR:.0e}')} are drawn in the grey strip of the left panel; where greedy pursuit recovers "
        "too, its marker lies under that of message passing."
    )

    def cells(self, preset: Preset) -> list[DecoderCell]:
        """Returns one cell a decoder and width."""
        sizes = preset.own(_SIZES)
        return [
            DecoderCell(
                sizes.n_features,
                width * sizes.n_features // 128,
                _PROBABILITY,
                decoder,
                n_samples=sizes.few_samples if decoder == "omp" else sizes.n_samples,
                n_calibration=sizes.n_calibration,
                seed=preset.seed,
            )
            for width in sizes.widths
            for decoder in _DECODERS
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a decoder and ratio, and the curves of the theory."""
        records = estimated(
            self.cells(preset),
            store,
            "loss",
            ("ratio", "predicted", "converged"),
            lambda cell: {"source": "rug", "n_features": cell.n_features, "decoder": _DECODERS[cell.decoder]},
        )
        return tabulated([*records, *_curves(), *rare_features()])

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the ceilings, the theory, and where message passing recovers."""
        measured = rows(table, source="rug")
        loss = {name: column(measured, "loss", decoder=name) for name in set(measured.column("decoder").to_pylist())}
        error = {name: column(measured, "standard_error", decoder=name) for name in loss}
        ratio = column(measured, "ratio", decoder="OAMP")
        threshold = theory.amp_threshold(_PROBABILITY)
        elementwise = ("ReLU", "JumpReLU", "TRec", "Bayes", "OracleSupport")
        distance = {
            name: np.abs(loss[name] / column(measured, "predicted", decoder=name) - 1)
            - _SIGMAS * error[name] / loss[name]
            for name in elementwise
        }
        worst = max(elementwise, key=lambda name: distance[name].max())
        recovered = loss["OAMP"] < _NOTHING
        away = np.abs(ratio / threshold - 1) > _BLURRED
        gain = loss["JumpReLU"] / loss["ReLU"]
        best = np.minimum.reduce([loss[name] for name in ("ReLU", "JumpReLU", "TRec")])
        beaten = loss["OAMP"] - 2 * error["OAMP"] < best
        bounded, growth = is_bounded(table)
        return [
            Check(
                "No change of the elementwise activation gains more than a constant factor (section 5.1.1).",
                "paper",
                f"at p = {_PROBABILITY:g} the Bayes loss is at least {(loss['Bayes'] / loss['ReLU']).min():.3f} of the "
                f"ReLU's, and JumpReLU reaches {gain.min():.3f}; {growth}",
                judged(bounded and (loss["Bayes"] / loss["ReLU"]).min() > 0.5),
            ),
            Check(
                f"Mean field predicts every elementwise decoder of a rug within {_SAME:.0%}.",
                "superposition",
                f"largest distance beyond {_SIGMAS:g} standard errors {max(0.0, distance[worst].max()):.1%} ({worst})",
                judged(all(bool((values < _SAME).all()) for values in distance.values())),
            ),
            Check(
                f"OAMP recovers x from ratio {threshold:.4f} on ({_BLURRED:.0%} to either side left out).",
                "superposition",
                "recovered at ratios " + ", ".join(f"{r:.3f}" for r in ratio[recovered]) + "; not at "
                + ", ".join(f"{r:.3f}" for r in ratio[~recovered]),
                judged((recovered == (ratio > threshold))[away].all()),
            ),
            Check(
                "Message passing, of which the ReLU is a first step with a poor denoiser, is never above any.",
                "superposition",
                f"at {beaten.sum()} of {beaten.size} ratios it is not, by more than two standard errors",
                judged(beaten.all()),
            ),
        ]  # fmt: skip

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws losses against the ratio, and the same in units of the ReLU's."""
        import matplotlib.pyplot as plt

        looks = {
            "ReLU": (style.BLACK, "o"),
            "TRec": (style.RED, "v"),
            "Bayes": (style.BLUE, "s"),
            "OracleSupport": (style.PURPLE, "D"),
            "ThresholdLS": (style.ORANGE, "^"),
            "OMP": (style.SKY, "x"),
            "OAMP": (style.GREEN, "P"),
        }
        labels = {"TRec": "TRec (ProLU)", "OracleSupport": "own support known", "ThresholdLS": "Lemma 1, k = np"}
        measured, curves = rows(table, source="rug"), rows(table, source="theory")
        figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.8))
        for axis, relative in zip(axes, (False, True), strict=True):
            unit = column(measured, "loss", decoder="ReLU") if relative else 1.0
            base = column(curves, "loss", decoder="ReLU") if relative else 1.0
            for name, (colour, marker) in looks.items():
                ratio, loss, error = (
                    column(measured, key, decoder=name) for key in ("ratio", "loss", "standard_error")
                )
                y = loss / unit if relative else np.maximum(loss, _FLOOR)
                axis.errorbar(
                    ratio, y, 2 * np.where(loss > _FLOOR, error, 0.0) / unit, fmt=marker, color=colour,
                    label=labels.get(name, name),
                )  # fmt: skip
                if name in curves.column("decoder").to_pylist():
                    x, predicted = (column(curves, key, decoder=name) for key in ("ratio", "loss"))
                    axis.plot(x, np.where(predicted > _NOTHING, predicted, np.nan) / base, color=colour, linewidth=1)
            axis.axvline(theory.amp_threshold(_PROBABILITY), color="0.5", linestyle=":")
            axis.set(xscale="log", xlabel="ratio n_hidden / n_features")
            axis.set_xticks([0.05, 0.1, 0.2, 0.5], ["0.05", "0.1", "0.2", "0.5"])
            axis.minorticks_off()
        axes[0].set(yscale="log", ylabel="loss per feature (feature units²)", ylim=(0.8 * _FLOOR, 0.06))
        axes[0].set_title(f"rugs of n = {distinct(measured, 'n_features')[0]}")
        axes[0].axhspan(0.8 * _FLOOR, 1.15 * _FLOOR, color="0.92", linewidth=0)
        axes[0].text(0.015, 0.035, "recovered but for rounding", transform=axes[0].transAxes, fontsize=7)
        axes[1].set(ylabel="loss / loss of the best ReLU", ylim=(-0.05, 1.6))
        axes[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _curves() -> list[dict[str, object]]:
    """Returns the theory along the ratio."""
    best = theory.symmetric_optimum(_CURVE, _PROBABILITY)
    losses = {
        "ReLU": best.loss,
        "Bayes": theory.bayes_loss(best.noise_std, _PROBABILITY),
        "OracleSupport": theory.oracle_support_loss(best.noise_std, _PROBABILITY),
        "OAMP": theory.state_evolution(_CURVE, _PROBABILITY, ensemble="orthogonal").reached_loss,
        "least of any": theory.replica_mmse(_CURVE, _PROBABILITY, ensemble="orthogonal").loss,
    }
    return [
        {"source": "theory", "decoder": name, "ratio": float(r), "loss": float(loss)}
        for name, values in losses.items()
        for r, loss in zip(_CURVE, values, strict=True)
    ]
