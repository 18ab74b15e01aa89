"""Figure A5: what gradient descent finds, beside what can be constructed."""

from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from superposition.compression import QuantizedPair, linear_loss
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, judged, rows
from superposition.figures.presets import Preset
from superposition.sweeps import Cell, LearnedCell, RefinedCell, Store
from superposition.sweeps.compressed import stored_curve, stored_runs
from superposition.training import TrainingConfig

if TYPE_CHECKING:
    import matplotlib.figure

# Widths of the hidden layers, by their number in the encoder and in the decoder.
_WIDTHS = {1: (2, 3, 5, 9, 18), 2: (5, 9)}
_RUNS = {"quick": 16, "laptop": 32, "reference": 64, "paper": 64}
_STARTS = (2, 3, 5, 9)
_START_RAMP = 0.2
_SHOWN = (10, 36)
# Of a construction, built and then trained, and of the training from random weights.
_RATE, _FINE_RATE = 0.03, 1e-3
_COLUMNS = ("series", "neurons", "steps", "kind", "levels", "loss", "standard_error", "x", "y")


@final
class FigureA5(Figure):
    """Learned networks: how many beat linear compression, how low, and what they are."""

    name = "A5"
    title = "Nonlinear compression: learned and constructed"
    caption = (
        "Gradient descent learns to beat linear compression, and does not find what can be built. Two dense "
        "dimensions in one, networks trained from random weights. (a) Held-out loss of each run against its ReLUs, "
        "one or two hidden layers on each side; lines: medians. Black: the constructed scheme of as many neurons, "
        "guarded ramps of 0.01 segments. (b) Share of runs that beat linear compression by three standard errors; "
        "bars one standard error. (c) Curves that decoders of the best runs draw in the square of reconstructions, "
        "and that of the scheme with Z = 3. (d) Training that starts at the constructed network of Z levels with "
        "guarded ramps of 0.2 segments: loss before and after, and the least loss of the runs of as many neurons "
        "from random weights."
    )

    def cells(self, preset: Preset) -> list[Cell]:
        """Returns the networks that are learned, and those that begin at the construction."""
        return [*_learned(preset).values(), *_refined(preset)]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a run, a start at the construction before and after, and a knot of a curve."""
        records: list[dict[str, Any]] = []
        for (depth, width), cell in _learned(preset).items():
            stored = store.get(cell)
            ran = {"series": f"depth {depth}", "steps": cell.n_steps}
            records += [_record(**ran, **run) for run in stored_runs(stored).to_pylist()]
            if 2 * depth * width in _SHOWN and depth == 1:
                curve = stored_curve(stored).to_pylist()
                records += [_record(series=f"learned, {2 * width} neurons", **knot) for knot in curve]
        scheme = QuantizedPair(3, 0.01, "segment", "guarded")
        x, y = scheme.decode(scheme.decoder_staircase.knots)
        records += [_record(series="constructed, Z = 3", x=float(a), y=float(b)) for a, b in zip(x, y, strict=True)]
        for refined in _refined(preset):
            stored = store.get(refined)
            row, loss = stored.row, stored.estimate("loss")
            built = {"loss": row["built_loss"], "standard_error": 0.0, "kind": "sawtooth", "levels": refined.levels}
            trained = {"loss": loss.value, "standard_error": loss.standard_error, "kind": row["kind"]}
            records.append(_record(series="built", neurons=row["neurons"], **built))
            records.append(
                _record(series="built and trained", neurons=row["neurons"], levels=row["levels_kept"], **trained)
            )
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks whether nonlinear compression is difficult to learn."""
        linear = linear_loss()
        share = {n: self._share(table, "depth 1", n)[0] for n in distinct(rows(table, series="depth 1"), "neurons")}
        enough = [n for n in share if n >= 18]
        best, built = {}, {}
        for n in share:
            best[n] = column(table, "loss", series="depth 1", neurons=n).min()
            built[n] = _constructed(n)
        factors = {n: best[n] / built[n] for n in share if n >= 10}
        before, after = (column(table, "loss", series=series) for series in ("built", "built and trained"))
        levels = [column(table, "levels", series=series) for series in ("built", "built and trained")]
        same, own = levels[0] == levels[1], TrainingConfig.networks().n_steps
        steps = int(column(rows(table, series="depth 1"), "steps").max())
        kinds = [row["kind"] for row in rows(table, series="depth 1").to_pylist() if row["loss"] < 0.75 * linear]
        counts = {kind: kinds.count(kind) for kind in ("snake", "sawtooth", "line")}
        return [
            Check(
                "Nonlinear compression is difficult for gradient descent to learn: most networks do not beat linear.",
                "paper",
                f"share of runs that beat it in {steps} steps, by neurons: "
                + ", ".join(f"{n:.0f}: {value:.0%}" for n, value in share.items()),
                judged(bool(enough) and np.mean([share[n] for n in enough]) < 0.5, tested=bool(enough)),
            ),
            Check(
                "Nonlinear compression is difficult to learn: the finely tuned scheme that could be built is not.",
                "paper",
                "least learned loss over the constructed one, by neurons: "
                + ", ".join(f"{n:.0f}: {value:.1f}" for n, value in factors.items()),
                judged(min(factors.values(), default=0.0) > 1.5, tested=bool(factors)),
            ),
            Check(
                "Training that starts at the construction keeps its levels and lowers its loss.",
                "superposition",
                f"levels kept in {same.sum()} of {same.size}; loss after over before "
                + ", ".join(f"{ratio:.2f}" for ratio in after / before),
                # Lost levels do not come back; a loss may still fall.
                judged(same.all() and (after < before).all(), trained=steps >= own or not same.all()),
            ),
            Check(
                "What is learned are curves that turn back, snakes, more often than the sawtooth of the scheme.",
                "superposition",
                "of runs of one hidden layer a quarter below linear: "
                + ", ".join(f"{count} {kind}" for kind, count in counts.items()),
                judged(counts["snake"] > counts["sawtooth"], trained=bool(kinds)),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws four panels."""
        import matplotlib.pyplot as plt

        linear = linear_loss()
        figure, axes = plt.subplots(2, 2, figsize=(8.6, 7.0))
        (losses, shares), (curves, starts) = axes
        neurons = np.arange(4, 41)
        built = [_constructed(n) / linear for n in neurons.tolist()]
        losses.plot(neurons, built, color=style.BLACK, drawstyle="steps-post", label="constructed")
        looks = (("depth 1", style.BLUE, "o", "one hidden layer"), ("depth 2", style.ORANGE, "s", "two hidden layers"))
        for series, colour, marker, label in looks:
            x, loss = column(table, "neurons", series=series), column(table, "loss", series=series) / linear
            sizes = distinct(rows(table, series=series), "neurons")
            beside = {"depth 1": 0.98, "depth 2": 1.02}[series] * np.array(sizes)  # so that both are seen
            for n, place in zip(sizes, beside, strict=True):
                runs = loss[x == n]
                losses.plot([place] * runs.size, runs, marker, color=colour, alpha=0.35, markersize=3.5, mec="none")
            losses.plot(beside, [np.median(loss[x == n]) for n in sizes], marker + "-", color=colour, label=label)
            share = np.array([self._share(table, series, n) for n in sizes])
            shares.errorbar(beside, share[:, 0], share[:, 1], fmt=marker + "-", color=colour, label=label)
        losses.axhline(1, color="0.4", linewidth=1)
        losses.text(3.8, 1.1, "linear optimum", color="0.3", fontsize=8)
        losses.set(yscale="log", ylabel="loss over linear loss", title="(a) loss of each run", ylim=(9e-3, 2.6))
        shares.set(ylabel="share of runs that beat linear", title="(b) how many learn", ylim=(-0.03, 1.08))
        for axis in (losses, shares):
            axis.set(xscale="log", xlabel="neurons")
            axis.set_xticks([4, 6, 10, 18, 36], ["4", "6", "10", "18", "36"])
            axis.minorticks_off()
        losses.legend(loc="lower left")
        shares.legend(loc="lower right", bbox_to_anchor=(1.0, 0.08))
        names = ("constructed, Z = 3", *(f"learned, {n} neurons" for n in _SHOWN))
        for name, colour, dash in zip(names, (style.BLACK, style.BLUE, style.GREEN), (":", "-", "--"), strict=True):
            curves.plot(
                column(table, "x", series=name), column(table, "y", series=name), dash, color=colour, label=name
            )
        curves.set(xlabel="x̂", ylabel="ŷ", title="(c) curves of decoders", xlim=(-0.05, 1.05), ylim=(-0.05, 1.4))
        curves.set_yticks([0, 0.25, 0.5, 0.75, 1])
        curves.legend(loc="upper center", ncol=2)
        for series, colour, marker in (("built", style.BLACK, "o"), ("built and trained", style.RED, "^")):
            x, loss = column(table, "neurons", series=series), column(table, "loss", series=series)
            starts.plot(x, loss / linear, marker + "-", color=colour, label=series)
        sizes = [n for n in distinct(rows(table, series="depth 1"), "neurons") if n >= 6]
        known = [column(table, "loss", series="depth 1", neurons=n).min() / linear for n in sizes]
        starts.plot(sizes, known, "s--", color=style.BLUE, label="random weights, best")
        starts.set(xscale="log", yscale="log", xlabel="neurons", ylabel="loss over linear loss", ylim=(0.2, 0.62))
        starts.set_title("(d) from the construction")
        starts.set_xticks([6, 10, 18, 36], ["6", "10", "18", "36"])
        starts.set_yticks([0.2, 0.3, 0.4, 0.5, 0.6], ["0.2", "0.3", "0.4", "0.5", "0.6"])
        starts.minorticks_off()
        starts.legend()
        return figure

    @staticmethod
    def _share(table: pa.Table, series: str, neurons: float) -> tuple[float, float]:
        """Returns the share of runs that beat linear, and its standard error."""
        found = rows(table, series=series, neurons=neurons).to_pylist()
        below = sum(row["loss"] + 3 * row["standard_error"] < linear_loss() for row in found)
        return below / len(found), ((below + 1) * (len(found) - below + 1) / (len(found) + 2) ** 3) ** 0.5


def _learned(preset: Preset) -> dict[tuple[int, int], LearnedCell]:
    """Returns the cells of learned networks by depth and width."""
    return {
        (depth, width): LearnedCell(
            2,
            1,
            encoder="-".join([str(width)] * depth),
            decoder="-".join([str(width)] * depth),
            n_runs=preset.own(_RUNS),
            n_steps=preset.network_steps,
            learning_rate=_RATE / depth,
            n_held_out=preset.n_held_out,
            seed=preset.seed,
        )
        for depth, widths in _WIDTHS.items()
        for width in widths
    }


def _refined(preset: Preset) -> list[RefinedCell]:
    """Returns the cells that begin at the construction."""
    return [
        RefinedCell(
            levels,
            _START_RAMP,
            n_steps=preset.network_steps,
            learning_rate=_FINE_RATE,
            n_held_out=preset.n_held_out,
            seed=preset.seed,
        )
        for levels in _STARTS
    ]


def _record(**values: Any) -> dict[str, Any]:
    """Returns a row of the table, with every column."""
    return {name: values.get(name) for name in _COLUMNS}


def _constructed(neurons: float) -> float:
    """Returns the loss of the scheme with as many levels as the neurons allow."""
    return QuantizedPair(int(neurons + 2) // 4, 0.01, "segment", "guarded").expected_loss()
