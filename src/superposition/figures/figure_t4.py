"""Figure T4: how long training stays at the loss of the Persian Rug, and where it ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, isnan, log, nan, sqrt
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import pyarrow as pa

from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, judged, provenance, rows, tabulated
from superposition.figures.presets import Preset
from superposition.sweeps import Cell, GrowthCell, Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure
    from matplotlib.axes import Axes

Start = Literal["tied", "linear", "rug"]
Rate = Literal["default", "paper"]

# Share of the steps in which a branch lowers the rate.
_COOLDOWN = 0.2
_N_HELD_OUT = 50_000
# Loss over that of the rug below which a model has left it, and change from half the steps that is none.
_LEFT, _SETTLED = 1.0, 0.01
# Of a picture: what is above is the way down to the rug.
_HIGHEST = 1.5
# Steps over those of the escape after which a run is long enough.
_LONG = 10
_SIGMAS = 3.0
_STARTS: tuple[Start, ...] = ("tied", "linear", "rug")
_DASHES: dict[str, Literal["-", ":", "--"]] = {"tied": "-", "linear": ":", "rug": "--"}
_MARKERS = {"tied": "o", "linear": "v", "rug": "s"}
_COLOURS = (style.SKY, style.BLUE, style.GREEN, style.ORANGE, style.RED, style.PURPLE)
# Mode and rate agree with the escape if it takes between these shares of log(n)/λ.
_AGREES = 2 / 3, 3 / 2


@dataclass(frozen=True)
class _Runs:
    """Branched runs of some sizes at one place."""

    sizes: tuple[int, ...]
    last: int
    first: int = 64
    place: tuple[float, float] = (0.045, 0.25)
    starts: tuple[Start, ...] = ("tied", "rug")
    rate: Rate = "default"
    seeds: tuple[int, ...] = (0,)


@cache  # the larger presets have thousands, and each is checked when it is made
def _branched(runs: _Runs) -> tuple[TrainedCell, ...]:
    """Returns the cells of branched runs."""
    p, ratio = runs.place
    return tuple(
        TrainedCell(
            *(n, round(ratio * n), p),
            protocol=runs.rate,
            start=start,
            cooldown=_COOLDOWN,
            n_steps=runs.first << k,
            seed=seed,
            n_held_out=_N_HELD_OUT,
        )
        for n in runs.sizes
        for start in runs.starts
        for seed in runs.seeds
        for k in range((runs.last // runs.first).bit_length())
    )


@dataclass(frozen=True)
class _Sizes:
    """Branched runs, sizes of the linearised rugs and products for each, and sizes at which the paper's rule stops."""

    runs: tuple[_Runs, ...]
    growth: tuple[int, ...]
    n_iterations: int
    ruled: tuple[int, ...]


_HALF, _RARE, _GIVEN_UP = (0.045, 0.5), (0.005, 0.25), (0.045, 0.0625)
_QUICK = _Sizes(
    (_Runs((64, 128, 256), 1024, 16), _Runs((64,), 8192, 512, starts=("tied",), rate="paper")), (64, 128), 300, (128,)
)
_RUNS = (
    _Runs((64,), 1024, 16),
    _Runs((128, 256, 512), 4096, 16, starts=_STARTS),
    _Runs((1024,), 2048, 16, starts=_STARTS),
    *(_Runs((128, 256), 4096, place=place, starts=_STARTS) for place in (_HALF, _RARE, _GIVEN_UP)),
    _Runs((128,), 32_768, 512, starts=("tied", "linear"), rate="paper"),
)
_LAPTOP = _Sizes(_RUNS, (64, 128, 256, 512), 600, (128, 256))
# What two cores measure in an hour and a half.
_REFERENCE = _Sizes((*_RUNS, _Runs((2048,), 2048)), (64, 128, 256, 512, 1024), 600, (128, 256))
# For a GPU.
_WHOLE = _Sizes(
    (
        *(
            _Runs((128, 256, 512, 1024, 2048), 16_384, 16, place, _STARTS, rate, (0, 1, 2))
            for rate in ("default", "paper")
            for place in ((0.045, 0.25), _HALF, _RARE, _GIVEN_UP)
        ),
        _Runs((4096, 8192), 32_768, 64),
    ),
    (64, 128, 256, 512, 1024, 2048),
    2400,
    (128, 256, 512, 1024),
)
_SIZES = {"quick": _QUICK, "laptop": _LAPTOP, "reference": _REFERENCE, "paper": _WHOLE}


@final
class FigureT4(Figure):
    """The plateau at the loss of the rug, the escape from it, and why."""

    name = "T4"
    title = "Leaving the Persian Rug"
    caption = (
        "The loss of the Persian Rug is a plateau that training leaves, later at larger n. Held-out loss over the "
        "mean-field prediction after runs of each length: at a constant rate, lowered to zero in the last fifth. "
        "(a) At p = 4.5%, ratio 1/4, from tied weights (solid), from a rug (dashed) and from those of torch.nn.Linear "
        "(dotted; features without a code keep it up). (b) The same at the paper's rate of 3e-3/√n; crosses: where "
        "the paper's rule stops its own run, from both starts. (c) Steps until the loss is below the "
        "prediction (bars: the lengths between which), beside log(n)/λ, λ the largest growth rate of Adam's linearised "
        "dynamics at a rug. (d) Skewness of the interference, 0 for a Gaussian, along the way. (e) Loss at the end of "
        "the longest runs at four places; open: not settled there."
    )

    def cells(self, preset: Preset) -> list[Cell]:
        """Returns branched runs, runs by the paper's rule, and linearised rugs."""
        own = preset.own(_SIZES)
        return [
            *(cell for runs in own.runs for cell in _branched(runs)),
            *(_ruled(n, start, preset.seed) for n in own.ruled for start in ("linear", "tied")),
            *(
                GrowthCell(n, round(runs.place[1] * n), runs.place[0], n_iterations=own.n_iterations, seed=preset.seed)
                for runs in own.runs[:1]
                for n in own.growth
            ),
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns a row a cell: the loss of a run over the prediction, or the growth rate at a rug."""
        return tabulated(_record(cell, store) for cell in self.cells(preset))

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks where training ends, when it leaves the rug, and whether the growth rate says so."""
        runs = [run for run in _traces(table) if run.place == (0.045, 0.25) and run.rate == "default"]
        alive = [run for run in runs if run.start != "linear"]
        largest = max(run.n for run in alive)
        end = min((run for run in alive if run.n == largest), key=lambda run: run.value[-1])
        below = end.value[-1] + _SIGMAS * end.error[-1] < 1
        tied = sorted((run for run in alive if run.start == "tied" and run.seed == 0), key=lambda run: run.n)
        escapes = {run.n: run.escape for run in tied}
        known = [step for step in escapes.values() if not isnan(step)]
        pairs = [
            (one, other)
            for one in alive
            for other in alive
            if (one.start, other.start) == ("tied", "rug") and (one.n, one.seed) == (other.n, other.seed)
        ]
        apart = [one.value[-1] / other.value[-1] - 1 for one, other in pairs]
        both_long = all(one.is_long and other.is_long for one, other in pairs)
        return [
            Check(
                "Trained models reach the loss of the Persian Rug, and none lower (section 4.2.2).",
                "paper",
                f"at n = {largest}, after {end.steps[-1]:.0f} steps: {end.value[-1]:.4f} ± {end.error[-1]:.4f} of it; "
                + "; ".join(f"n = {run.n}: {run.value[-1]:.3f}" for run in tied),
                judged(not below, tested=largest >= 1024, trained=below or end.is_long),
            ),
            Check(
                "Training leaves the loss of the rug at every size, later at larger n.",
                "superposition",
                "from tied weights after "
                + ", ".join(f"{escape:.0f} steps at n = {n}" for n, escape in escapes.items())
                + _as_fit(escapes),
                judged(
                    len(known) == len(escapes) and all(np.diff(known) > 0),
                    tested=len(escapes) > 1,
                    trained=all(run.is_long or not isnan(run.escape) for run in tied),
                ),
            ),
            Check(
                "A start at a rug and one at tied weights end at the same loss, within 3%.",
                "superposition",
                "apart by " + ", ".join(
                    f"{gap:+.1%} at n = {one.n}" for gap, (one, _) in zip(apart, pairs, strict=True)
                ),
                judged(max(map(abs, apart)) < 0.03, trained=both_long),
            ),
            self._agreement(table, escapes),
        ]  # fmt: skip

    @staticmethod
    def _agreement(table: pa.Table, escapes: dict[int, float]) -> Check:
        """Holds the escape against log(n)/λ."""
        growth = rows(table, kind="growth")
        numbers = (column(growth, name) for name in ("n_features", "growth", "growth_error"))
        found = {
            int(n): (escapes[int(n)], log(n) / rate, rate, error)
            for n, rate, error in zip(*numbers, strict=True)
            if n in escapes and not isnan(escapes[int(n)])
        }
        shares = [escape / predicted for escape, predicted, *_ in found.values()]
        return Check(
            "The escape takes log(n)/λ steps, λ the growth rate at the rug, within a factor of 1.5.",
            "superposition",
            "; ".join(
                f"n = {n}: {escape:.0f} = {escape * rate:.1f}/λ against {predicted:.0f} (λ = {rate:.4f} ± {error:.4f})"
                for n, (escape, predicted, rate, error) in found.items()
            ) or "no size has both",
            judged(
                all(_AGREES[0] < share < _AGREES[1] for share in shares),
                tested=len(found) > 1 and max(found) >= 512,
            ),
        )  # fmt: skip

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws loss against steps at both rates, the escape, the skewness, and where it ends."""
        import matplotlib.pyplot as plt
        from matplotlib.lines import Line2D

        traces = list(_traces(table))
        main = [run for run in traces if run.place == (0.045, 0.25)]
        sizes = sorted({run.n for run in traces})
        colours = dict(zip(sizes, _COLOURS, strict=False))
        figure, axes = plt.subplots(2, 3, figsize=(11, 6.4))
        (a, b, c), (d, e, legend) = axes
        for axis, rate in ((a, "default"), (b, "paper")):
            for run in (run for run in main if run.rate == rate and run.seed == 0):
                axis.plot(run.steps, run.value, _DASHES[run.start], color=colours[run.n])
            axis.axhline(1, color=style.BLACK, linewidth=0.8)
            axis.set(xscale="log", xlabel="steps", ylabel="loss / mean-field prediction")
            axis.set_ylim(top=min(axis.get_ylim()[1], _HIGHEST))
        ruled = rows(table, kind="ruled")
        for n in distinct(ruled, "n_features"):
            for start in ("linear", "tied"):
                at = rows(ruled, n_features=int(n), start=start)
                b.plot(column(at, "steps"), column(at, "value"), "x", color=colours.get(int(n), style.BLACK))
        a.set_title("(a) default rate")
        b.set_title("(b) the paper's rate")
        _draw_escapes(c, table, [run for run in main if run.rate == "default"])
        for run in (run for run in main if run.rate == "default" and run.seed == 0):
            d.plot(run.steps, run.skewness, _DASHES[run.start], color=colours[run.n])
        d.set(xscale="log", xlabel="steps", ylabel="skewness of ν", title="(d) interference along the way")
        _draw_ends(e, [run for run in traces if run.rate == "default" and run.start == "tied" and run.seed == 0])
        legend.set_axis_off()
        entries = [Line2D([], [], color=colours[n]) for n in sizes]
        starts = [start for start in _STARTS if any(run.start == start for run in traces)]
        entries += [Line2D([], [], color="0.3", linestyle=_DASHES[start]) for start in starts]
        entries += [Line2D([], [], color="0.3", marker="x", linestyle="none")]
        words = {"tied": "from tied weights", "linear": "from torch.nn.Linear's", "rug": "from a rug"}
        labels = [*(f"n = {n}" for n in sizes), *(words[start] for start in starts), "the paper's rule stops"]
        legend.legend(entries, labels, loc="center left")
        return figure


def _as_fit(escapes: dict[int, float]) -> str:
    """Returns the power law through escapes, in words."""
    exponent, error, _ = _fit(list(escapes.items()))
    return "" if isnan(error) else f"; as n to the {exponent:.2f} ± {error:.2f}, the error that of residuals"


@dataclass(frozen=True)
class _Trace:
    """Loss over the prediction against the length of training, of one size, place, start, rate and seed."""

    n: int
    place: tuple[float, float]
    start: str
    rate: str
    seed: int
    steps: Sequence[float]
    value: Sequence[float]
    error: Sequence[float]
    skewness: Sequence[float]

    @property
    def bracket(self) -> tuple[float, float]:
        """The lengths between which the loss falls below the prediction; NaN if it does not."""
        under = [i for i, value in enumerate(self.value) if value < _LEFT]
        if not under:
            return nan, nan
        return (self.steps[under[0] - 1] if under[0] else 0.0), self.steps[under[0]]

    @property
    def escape(self) -> float:
        """Steps until the loss is below the prediction, between lengths by its logarithm; NaN where it is not."""
        low, high = self.bracket
        if isnan(high) or low == 0:
            return high
        i = list(self.steps).index(high)
        share = (self.value[i - 1] - _LEFT) / (self.value[i - 1] - self.value[i])
        return exp(log(low) + share * log(high / low))

    @property
    def is_settled(self) -> bool:
        """Whether the last doubling of the steps changed the loss by less than a percent and its errors."""
        if len(self.value) < 2:
            return False
        change, error = abs(self.value[-1] - self.value[-2]), sqrt(self.error[-1] ** 2 + self.error[-2] ** 2)
        return bool(change < _SETTLED * self.value[-1] + _SIGMAS * error)

    @property
    def is_long(self) -> bool:
        """Whether the loss has settled, or ten times the steps of its escape are done."""
        return self.is_settled or self.steps[-1] >= _LONG * self.escape


def _traces(table: pa.Table) -> Iterator[_Trace]:
    """Yields the branched runs of a table."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows(table, kind="trained").to_pylist():
        key = row["n_features"], (row["probability"], row["ratio"]), row["start"], row["rate"], row["run_seed"]
        groups.setdefault(key, []).append(row)
    for key, found in groups.items():
        found.sort(key=lambda row: row["steps"])
        names = "steps", "value", "standard_error", "skewness"
        yield _Trace(*key, *([row[name] for row in found] for name in names))


def _ruled(n: int, start: Literal["linear", "tied"], seed: int) -> TrainedCell:
    """Returns the run that the paper's rule stops."""
    return TrainedCell(n, round(0.25 * n), 0.045, protocol="paper", start=start, seed=seed)


def _record(cell: Cell, store: Store) -> dict[str, Any]:
    """Returns the row of a cell."""
    stored = store.get(cell)
    assert isinstance(cell, TrainedCell | GrowthCell)
    row: dict[str, Any] = {
        "n_features": cell.n_features,
        "probability": float(cell.probability),
        "ratio": stored.row["ratio"],
    }
    if isinstance(cell, GrowthCell):
        rate = stored.estimate("rate")
        row |= {"kind": "growth", "growth": rate.value, "growth_error": rate.standard_error}
        row |= {name: stored.row[name] for name in ("gradient", "drift")}
    else:
        loss, predicted = stored.estimate("loss"), stored.row["mean_field_loss"]
        row |= {
            "kind": "ruled" if cell.cooldown is None else "trained",
            "start": cell.start,
            "rate": cell.protocol,
            "run_seed": cell.seed,
            "stopped": stored.row["stopped"],
            "steps": stored.row["steps"],
            "value": loss.value / predicted,
            "standard_error": loss.standard_error / predicted,
            "skewness": stored.row["pooled_skewness"],
            "excess_kurtosis": stored.row["pooled_excess_kurtosis"],
            "row_mean": stored.row["noise_mean_mean"],
            "dead_features": stored.row["dead_features"],
        }
    return {**row, **provenance(stored.row)}


def _draw_escapes(axis: "Axes", table: pa.Table, runs: Sequence[_Trace]) -> None:
    """Draws steps until the escape against size, and log(n)/λ."""
    for start, colour in (("tied", style.BLUE), ("rug", style.ORANGE)):
        found = [run for run in runs if run.start == start and not isnan(run.escape)]
        if found:
            n, escape = (np.array([getattr(run, name) for run in found], float) for name in ("n", "escape"))
            low, high = np.array([run.bracket for run in found]).T
            bars = np.array([escape - np.maximum(low, high / 2), high - escape]).clip(min=0)
            label = {"tied": "from tied weights", "rug": "from a rug"}[start]
            axis.errorbar(n, escape, bars, fmt=_MARKERS[start], color=colour, label=label)
    growth = rows(table, kind="growth")
    n, rate, error = (column(growth, name) for name in ("n_features", "growth", "growth_error"))
    grows = rate > 0
    steps = np.log(n[grows]) / rate[grows]
    bars = 2 * steps * error[grows] / rate[grows]
    axis.errorbar(n[grows], steps, bars, fmt="^:", color=style.BLACK, label="log(n)/λ")
    exponent, uncertain, through = _fit([(run.n, run.escape) for run in runs if run.start == "tied"])
    if not isnan(uncertain):
        ends = np.array(sorted({run.n for run in runs})[:: max(1, len({run.n for run in runs}) - 1)], float)
        label = f"n to the {exponent:.2f} ± {uncertain:.2f}"
        axis.plot(ends, np.exp(through) * ends**exponent, "-", color="0.6", linewidth=1, label=label)
    _size_axis(axis, sorted({run.n for run in runs} | set(n.tolist())))
    axis.set(yscale="log", ylabel="steps", title="(c) steps until the escape")
    low, high = axis.get_ylim()
    ticks = [tick * 10**power for power in range(1, 6) for tick in (1, 2, 5) if low <= tick * 10**power <= high]
    axis.set_yticks(ticks, [f"{tick}" for tick in ticks])
    axis.minorticks_off()
    axis.legend()


def _size_axis(axis: "Axes", sizes: Sequence[float]) -> None:
    """Gives an axis its sizes as ticks."""
    axis.set(xscale="log", xlabel="n_features")
    axis.set_xticks(sizes, [f"{n:.0f}" for n in sizes], rotation=45 if len(sizes) > 5 else 0)
    axis.minorticks_off()


def _fit(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Returns the exponent of a power law through points, its error from the residuals, and the law's logarithm at 1.

    NaN for fewer than three points; those that are NaN are left out.
    """
    n, steps = np.log(np.array([point for point in points if not isnan(point[1])], float).reshape(-1, 2)).T
    if len(n) < 3:
        return nan, nan, nan
    slope, through = np.polyfit(n, steps, 1)
    residual = steps - slope * n - through
    error = sqrt(float(residual @ residual) / (len(n) - 2) / float(((n - n.mean()) ** 2).sum()))
    return float(slope), error, float(through)


def _draw_ends(axis: "Axes", runs: Sequence[_Trace]) -> None:
    """Draws the loss at the end of the longest runs against size, one line a place."""
    for place, colour in zip(dict.fromkeys(run.place for run in runs), _COLOURS, strict=False):
        found = sorted((run for run in runs if run.place == place), key=lambda run: run.n)
        n, value = [run.n for run in found], [run.value[-1] for run in found]
        p, ratio = place
        axis.plot(n, value, color=colour, label=f"p = {p:g}, r = {style.fraction(ratio)}")
        for run in found:
            fill = colour if run.is_settled else "none"
            axis.plot(run.n, run.value[-1], "o", markeredgecolor=colour, markerfacecolor=fill)
    axis.axhline(1, color=style.BLACK, linewidth=0.8)
    _size_axis(axis, sorted({run.n for run in runs}))
    axis.set(ylabel="loss / mean-field prediction", title="(e) after the longest runs")
    axis.legend()
