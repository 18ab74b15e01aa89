"""Figure A6: sparse features in few dimensions, by superposition and by nonlinear compression."""

from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._checks import FloatArray
from superposition.compression import sparse_construction
from superposition.features import SparseFeatures
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged
from superposition.figures.presets import Preset
from superposition.sweeps import Cell, LearnedCell, Store, TrainedCell
from superposition.training import TrainingConfig

if TYPE_CHECKING:
    import matplotlib.figure

_N, _M = 32, 8
_FEW, _MORE = (0.01, 0.03, 0.1, 0.25, 0.5, 1.0), (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
_PROBABILITIES = {"quick": _FEW, "laptop": _MORE, "reference": _MORE, "paper": _MORE}
_CURVE = np.geomspace(0.01, 1.0, 41)
# Widths of the hidden layers of encoder and decoder, by the neurons in units of those of superposition, its n ReLUs.
_BUDGETS = {1: ((8,), (24,)), 2: ((16,), (48,))}
# All of them in the decoder: the code is linear, as in superposition.
_LINEAR_CODE: tuple[tuple[int, ...], tuple[int, ...]] = ((), (32,))
_CONSTRUCTED = (1, 2, 5)
_RUNS = {"quick": 3, "laptop": 6, "reference": 12, "paper": 16}
_RATE = 0.02


@final
class FigureA6(Figure):
    """At which sparsity superposition wins over nonlinear compression of as many neurons."""

    name = "A6"
    title = "Superposition and nonlinear compression"
    caption = (
        "Superposition is the better the sparser features are; for dense ones nonlinear compression is. n = 32 "
        "features in 8 hidden dimensions: loss over that of the best linear compression, against the probability p "
        "that a feature is active. Superposition (a linear encoder and one ReLU a feature, 32 in all): the "
        "mean-field optimum and trained models. Nonlinear: trained perceptrons 32 → … → 8 → … → 32, the best of "
        "several runs (column runs of the table), with as many ReLUs (8 + 24), twice as many (16 + 48), or a linear "
        "code and all 32 in the decoder. Constructed: 8 features whole, as many others quantised as the neurons "
        "allow, with ramps of no width and codes of all precision; five times as many neurons reach them all. Bars: "
        "two standard errors (smaller than the points)."
    )

    def cells(self, preset: Preset) -> list[Cell]:
        """Returns the models in superposition, and the networks."""
        networks = [cell for p in preset.own(_PROBABILITIES) for _, _, cell in _networks(p, preset)]
        return [*(_superposed(p, preset) for p in preset.own(_PROBABILITIES)), *networks]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a point: series, neurons, probability, loss over linear and its standard error."""
        records: list[dict[str, Any]] = []

        def add(series: str, neurons: int, p: float, loss: float, error: float = 0.0, **ran: int | None) -> None:
            linear = theory.linear_loss(_M / _N, p)
            where = {"series": series, "neurons": neurons, "probability": p, "runs": 1, "steps": None}
            records.append({**where, "loss": loss / linear, "standard_error": error / linear, **ran})

        for p in _CURVE.tolist():
            features = SparseFeatures(_N, p)
            add("mean field", _N, p, theory.symmetric_optimum(_M / _N, p).loss)
            for times in _CONSTRUCTED:
                add("constructed", times * _N, p, sparse_construction(features, _M, times * _N).loss)
        for p in preset.own(_PROBABILITIES):
            stored = store.get(_superposed(p, preset))
            loss = stored.estimate("loss")
            add("superposition", _N, p, loss.value, loss.standard_error, steps=stored.row["steps"])
            for series, times, cell in _networks(p, preset):
                loss = store.get(cell).estimate("loss")
                add(series, times * _N, p, loss.value, loss.standard_error, runs=cell.n_runs, steps=cell.n_steps)
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the appendix's intuition that superposition is better for sparse features."""
        p, ours, our_error = _points(table, "superposition", _N)
        _, learned, learned_error = _points(table, "nonlinear", _N)
        _, twice, _ = _points(table, "nonlinear", 2 * _N)
        _, decoded, _ = _points(table, "linear code", _N)
        at, curve, _ = _points(table, "constructed", _N)
        equal = np.minimum(learned, np.interp(p, at, curve))
        margin = 3 * np.hypot(our_error, learned_error)
        built = {times: _points(table, "constructed", times * _N)[1][[0, -1]] for times in _CONSTRUCTED}
        # Of each claim, whether those of its models that would have to be better have been trained to their own end.
        ours_ended, theirs_ended = (
            column(table, "steps", series=series).min() >= own
            for series, own in (
                ("superposition", TrainingConfig().n_steps),
                ("nonlinear", TrainingConfig.networks().n_steps),
            )
        )
        said = _ratios("superposition over nonlinear, trained or constructed", p, ours / equal)
        return [
            Check(
                "Superposition is much more powerful for sparse features: at p ≤ 0.1 and equal neurons it loses less.",
                "paper",
                said,
                judged((ours + margin < equal)[p <= 0.1].all(), trained=ours_ended),
            ),
            Check(
                "For dense features it is not: at p ≥ 0.5 and equal neurons nonlinear compression loses less.",
                "superposition",
                said,
                judged((ours > equal)[p >= 0.5].all(), trained=theirs_ended),
            ),
            Check(
                "That depends on the neurons: with twice as many, trained nonlinear compression wins for 0.03 ≤ p < 1.",
                "superposition",
                _ratios("superposition over nonlinear", p, ours / twice),
                judged((twice < ours)[(p >= 0.03) & (p < 1)].all(), trained=theirs_ended),
            ),
            Check(
                "What training gains at equal neurons needs no nonlinear code: a linear one with all 32 neurons in the "
                "decoder loses less than 8 + 24 neurons.",
                "superposition",
                _ratios("linear code over nonlinear", p, decoded / learned),
                judged((decoded < learned).all(), trained=theirs_ended),
            ),
            Check(
                "Quantising all features takes more neurons than superposition has.",
                "superposition",
                "loss over linear at p = 0.01 and 1: "
                + "; ".join(f"{low:.3f}, {high:.3f} with {times * _N}" for times, (low, high) in built.items())
                + f"; superposition {ours[0]:.3f}, {ours[-1]:.3f}",
                judged(built[1][0] > ours[0] and built[_CONSTRUCTED[-1]][1] < ours[-1], trained=ours_ended),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws all losses over p."""
        import matplotlib.pyplot as plt

        figure, axis = plt.subplots(figsize=(7.8, 4.0))
        p, loss, _ = _points(table, "mean field", _N)
        axis.plot(p, loss, color=style.BLACK, label="superposition, mean field")
        looks = (
            ("superposition", 1, style.BLACK, "o", "superposition, trained"),
            ("linear code", 1, style.PURPLE, "v", "linear code, trained, 32 neurons"),
            ("nonlinear", 1, style.ORANGE, "s", "nonlinear, trained, 32 neurons"),
            ("nonlinear", 2, style.RED, "^", "nonlinear, trained, 64 neurons"),
        )
        for series, times, colour, marker, label in looks:
            p, loss, error = _points(table, series, times * _N)
            dash = "" if series == "superposition" else "-"
            size = 6 if series == "superposition" else 4.5  # seen where another lies on it
            axis.errorbar(
                p, loss, 2 * error, fmt=marker + dash, color=colour, label=label, linewidth=1, markersize=size
            )
        for times, colour, dash in zip(
            _CONSTRUCTED, (style.SKY, style.BLUE, style.GREEN), ("--", "-.", ":"), strict=True
        ):
            p, loss, _ = _points(table, "constructed", times * _N)
            axis.plot(p, loss, dash, color=colour, label=f"constructed, {times * _N} neurons")
        axis.axhline(1, color="0.4", linewidth=1)
        axis.set(
            xscale="log", yscale="log", xlabel="probability p that a feature is active", ylabel="loss over linear loss"
        )
        axis.set_xticks([0.01, 0.03, 0.1, 0.3, 1], ["0.01", "0.03", "0.1", "0.3", "1"])
        axis.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
        axis.minorticks_off()
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _superposed(p: float, preset: Preset) -> TrainedCell:
    return TrainedCell(_N, _M, p, n_steps=preset.portrait_steps, n_held_out=preset.n_held_out, seed=preset.seed)


def _networks(p: float, preset: Preset) -> list[tuple[str, int, LearnedCell]]:
    """Returns series, neurons in units of superposition's and cell of each network at a probability."""
    nonlinear = [("nonlinear", times, widths) for times, widths in _BUDGETS.items()]
    return [
        (
            series,
            times,
            LearnedCell(
                _N,
                _M,
                p,
                encoder="-".join(map(str, encoder)),
                decoder="-".join(map(str, decoder)),
                n_runs=preset.own(_RUNS),
                n_steps=preset.network_steps,
                learning_rate=_RATE,
                n_held_out=preset.n_held_out,
                seed=preset.seed,
            ),
        )
        for series, times, (encoder, decoder) in [*nonlinear, ("linear code", 1, _LINEAR_CODE)]
    ]


def _points(table: pa.Table, series: str, neurons: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns probabilities, losses over linear, and standard errors."""
    where = {"series": series, "neurons": neurons}
    p, loss, error = (column(table, name, **where) for name in ("probability", "loss", "standard_error"))
    return p, loss, error


def _ratios(what: str, p: FloatArray, ratios: FloatArray) -> str:
    return f"{what}: " + ", ".join(f"{ratio:.2f} at p = {q:g}" for q, ratio in zip(p, ratios, strict=True))
