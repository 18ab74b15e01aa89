"""Figure 2: loss against the compression ratio, trained, constructed, linear and predicted."""

from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from superposition._checks import FloatArray
from superposition.estimate import Estimate
from superposition.figures import style
from superposition.figures.base import LIMIT_FROM, Check, Figure, column, cut_short, distinct, judged, provenance, rows
from superposition.figures.presets import ROW_SETS, Preset
from superposition.figures.row_sets import pooled_rugs
from superposition.sweeps import Cell, Store, StoredCell
from superposition.theory import antipodal_loss, linear_loss, loss_bounds, symmetric_optimum
from superposition.training import TrainingConfig

if TYPE_CHECKING:
    import matplotlib.figure

_RUG_AGREES = 0.01
_LINES = (
    ("linear", style.ORANGE, "--", "linear optimum"),
    ("theory", style.BLACK, "-", "mean-field theory"),
    ("pairs", style.PURPLE, ":", "antipodal pairs"),
    ("bayes", "0.4", "-.", "Bayes, elementwise"),
    ("oracle_support", "0.4", ":", "support known"),
)
_LOW = 3e-7  # Of the panels of losses.
_PAPER_RUG = 8192  # The paper's size of rugs in this figure.
_SAME = 0.05
_SIGMAS = 3.0


@final
class Figure2(Figure):
    """Trained models, Persian Rugs, the linear optimum and the mean-field prediction."""

    name = "2"
    title = "Loss against the compression ratio"
    caption = (
        "Trained autoencoders beat the linear optimum, and lie at or below the loss of Persian Rugs, which is the "
        "mean-field prediction (eq. 5 at the least noise of eq. 6). That is the best symmetric Gaussian solution and "
        "no bound: antipodal pairs, two features a dimension in opposite directions with norms 3 : 1, whose loss is "
        "exact at every size, are better at large ratios. Bars are 3 standard errors, most of them smaller than the "
        f"markers; of rugs they include the draw of rows ({ROW_SETS} sets each), of trained models the held-out "
        "samples alone. Grey: between the explicit bounds (appendix E); the losses of the best elementwise decoder and "
        "of one that knows which features are active are at the least noise too. Lower panels: loss relative to the "
        "prediction. All trained models took the same number of steps (column steps of the table)."
    )

    def cells(self, preset: Preset) -> list[Cell]:
        """Returns the models and rugs over sizes, probabilities and ratios."""
        return [*preset.trained_cells(), *preset.rug_cells()]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a source, size, probability and ratio."""
        trained = [store.get(cell) for cell in preset.trained_cells()]
        records = [_measured(stored, stored.estimate("loss")) for stored in trained]
        records += [
            _measured(stored, loss) | {"row_sets": row_sets}
            for stored, loss, row_sets in pooled_rugs(preset.rug_cells(), store)
        ]
        for p in preset.probabilities:
            for r in _line_ratios(min(preset.ratios) / 2):
                records.append(_row("linear", 0, float(r), p, linear_loss(r, p)))
                bounds = loss_bounds(r, p)
                records.append(_row("theory", 0, float(r), p, bounds.mean_field))
                for name in ("upper", "bayes", "oracle_support", "lower"):
                    records.append(_row(name, 0, float(r), p, getattr(bounds, name)))
                records.append(_row("pairs", 0, float(r), p, antipodal_loss(r, p)))
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks section 3.1 and 4.2, and says where trained and predicted part."""
        trained, rugs = rows(table, source="trained"), rows(table, source="rug")
        n = int(max(distinct(trained, "n_features")))
        largest = rows(trained, n_features=n)
        short, own = cut_short(trained), TrainingConfig().n_steps
        ended = np.array([reason in ("completed", "plateau") for reason in trained.column("stopped").to_pylist()])
        gain = column(trained, "loss") + _SIGMAS * column(trained, "standard_error") < _linear(trained)
        relative = column(largest, "loss") / _theory(largest) - 1
        same = np.abs(relative) < _SAME
        never_worse = relative < _SAME
        worst, best = int(np.argmax(relative)), int(np.argmin(relative))
        return [
            Check(
                "The nonlinear model beats the linear optimum at every ratio below 1 (section 3.1).",
                "paper",
                f"{gain.sum()} of {gain.size} trained models do, by more than {_SIGMAS:g} standard errors; "
                f"the largest gain is {np.max(_linear(trained) / column(trained, 'loss')):.0f}-fold",
                judged(gain.all(), trained=not short[~gain].all()),
            ),
            *(_rug_check(rows(rugs, n_features=size)) for size in distinct(rugs, "n_features")),
            *_portrait_rug(rugs),
            _between_check(rugs),
            Check(
                "Every model trained to the end of its protocol.",
                "superposition",
                f"{ended.sum()} of {ended.size} ran to the end of their schedule, {(~short).sum()} of the protocol's "
                f"own {own} steps; the shortest has {min(distinct(trained, 'steps')):.0f}",
                judged(not short.any(), trained=not ended.all()),
            ),
            Check(
                f"Trained models have the loss of the rug, here within {_SAME:.0%} of the prediction (section 4).",
                "paper",
                f"{same.sum()} of {same.size} models at n = {n} do; they lie from {relative[best]:+.0%} "
                f"({_where(largest, best)}) to {relative[worst]:+.0%} ({_where(largest, worst)}) of it",
                # More training lowers losses: those below contradict the claim, those above do not yet.
                judged(same.all(), tested=n >= LIMIT_FROM, trained=(relative < -_SAME).any()),
            ),
            Check(
                f"Trained models are never worse than the prediction by more than {_SAME:.0%}.",
                "superposition",
                f"{never_worse.sum()} of {never_worse.size} models at n = {n}; the worst is {relative[worst]:+.1%} "
                f"({_where(largest, worst)})",
                judged(never_worse.all(), trained=not cut_short(largest)[~never_worse].all()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a column a probability: losses above, losses relative to the prediction below."""
        import matplotlib.pyplot as plt

        probabilities = distinct(table, "probability")
        figure, axes = plt.subplots(
            2,
            len(probabilities),
            figsize=(2.6 * len(probabilities) + 2.4, 5.2),
            sharex=True,
            sharey="row",
            squeeze=False,
            height_ratios=(3, 2),
        )
        for (above, below), p in zip(axes.T, probabilities, strict=True):
            here = rows(table, probability=p)
            low, high = (rows(here, source=source) for source in ("lower", "upper"))
            r, bottom, top = column(low, "ratio"), column(low, "loss"), column(high, "loss")
            above.fill_between(
                r, np.maximum(bottom, _LOW), top, color="0.92", linewidth=0, label="bounds of appendix E"
            )
            for source, colour, dash, label in _LINES:
                line = rows(here, source=source)
                above.plot(column(line, "ratio"), column(line, "loss"), dash, color=colour, label=label)
                if source != "linear":
                    below.plot(column(line, "ratio"), column(line, "loss") / _theory(line), dash, color=colour)
            for source, n, colour, marker in _markers(table):
                points = rows(here, source=source, n_features=n)
                r, loss, error = (column(points, name) for name in ("ratio", "loss", "standard_error"))
                # The rugs coincide: the larger ones stand a little to the right.
                r = r * (1.06 if marker == "+" else 1.0)
                label = f"{'Persian Rug' if source == 'rug' else source}, n = {n}"
                look: dict[str, Any] = {
                    "fmt": marker,
                    "color": colour,
                    "mfc": "none",
                    "capsize": 2,
                    "label": label,
                }
                above.errorbar(r, loss, _SIGMAS * error, **look)
                below.errorbar(r, loss / _theory(points), _SIGMAS * error / _theory(points), **look)
            above.set(title=f"p = {p:g}", xscale="log", yscale="log", ylim=(_LOW, 0.1))
            below.set(xlabel="ratio n_hidden / n_features", ylim=(0, 1.2))
            ratios = distinct(rows(table, source="rug"), "ratio")
            below.set_xticks(ratios, [style.fraction(r) for r in ratios])
            below.minorticks_off()
        axes[0, 0].set_ylabel("loss per feature (feature units²)")
        axes[1, 0].set_ylabel("loss / mean-field theory")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
        return figure


def _rug_check(rugs: pa.Table) -> Check:
    """Checks that the rugs of one size have the predicted loss."""
    n = int(rugs.column("n_features")[0].as_py())
    deviation = column(rugs, "loss") / _theory(rugs) - 1
    error = column(rugs, "standard_error") / _theory(rugs)
    agrees = np.abs(deviation) < _RUG_AGREES + _SIGMAS * error
    worst = int(np.argmax(deviation))
    sentence = (
        f"{agrees.sum()} of {agrees.size} rugs do; deviations from {deviation.min():+.2%} to {deviation.max():+.2%} "
        f"± {error[worst]:.2%} ({_where(rugs, worst)})"
    )
    return Check(
        f"At n = {n} rugs have the predicted loss, within {_RUG_AGREES:.0%} plus {_SIGMAS:g} standard errors "
        "(section 4.2.2).",
        "paper" if n <= _PAPER_RUG else "superposition",
        sentence,
        judged(agrees.all()),
    )


def _between_check(rugs: pa.Table) -> Check:
    """Checks that the rugs' losses lie between the paper's bounds."""
    loss, error = (column(rugs, name) for name in ("loss", "standard_error"))
    bounds = loss_bounds(column(rugs, "ratio"), column(rugs, "probability"))
    inside = (loss + _SIGMAS * error > bounds.lower) & (loss - _SIGMAS * error < bounds.upper)
    return Check(
        f"The loss of rugs lies between the lower and the upper bound, to {_SIGMAS:g} standard errors.",
        "paper",
        f"{inside.sum()} of {inside.size} rugs do; loss / upper bound up to {(loss / bounds.upper).max():.2f}",
        judged(inside.all()),
    )


def _portrait_rug(rugs: pa.Table) -> list[Check]:
    """Checks the one rug whose loss the paper's other figures are drawn at, if it is there."""
    found = [
        row
        for row in rugs.to_pylist()
        if (row["n_features"], row["ratio"], row["probability"]) == (_PAPER_RUG, 0.25, 0.045)
    ]
    if not found:
        return []
    loss, error = found[0]["loss"], found[0]["standard_error"]
    predicted = symmetric_optimum(0.25, 0.045).loss
    return [
        Check(
            f"At n = {_PAPER_RUG}, ratio 1/4 and p = 4.5% the rug is within {_RUG_AGREES:.0%} of {predicted:.4e}.",
            "superposition",
            f"{loss:.4e} ± {error:.1e}: {loss / predicted - 1:+.2%}",
            judged(abs(loss / predicted - 1) < _RUG_AGREES),
        )
    ]


def _line_ratios(low: float) -> FloatArray:
    """Returns ratios for lines, close together near 1, where the losses fall to 0."""
    return np.unique(np.concatenate([np.geomspace(low, 0.9, 50), 1 - np.geomspace(0.1, 1e-3, 30)]))


def _measured(stored: StoredCell, loss: Estimate) -> dict[str, Any]:
    row = stored.row
    where = stored.cell.measure, row["n_features"], row["ratio"], row["probability"]
    found = _row(*where, loss.value, loss.standard_error, loss.count)
    return {**found, **{name: row.get(name) for name in ("protocol", "stopped", "steps")}, **provenance(row)}


def _row(
    source: str, n: int, ratio: float, p: float, loss: float, error: float = 0.0, count: int = 0
) -> dict[str, Any]:
    """Returns a record; n and count are 0 for exact values of the limit n → ∞."""
    return {
        "source": source,
        "n_features": n,
        "ratio": ratio,
        "probability": p,
        "loss": loss,
        "standard_error": error,
        "count": count,
        "protocol": None,
        "stopped": None,
        "steps": None,
        "row_sets": None,
        **provenance({}),
    }


def _theory(table: pa.Table) -> Any:
    return symmetric_optimum(column(table, "ratio"), column(table, "probability")).loss


def _linear(table: pa.Table) -> Any:
    return linear_loss(column(table, "ratio"), column(table, "probability"))


def _where(table: pa.Table, index: int) -> str:
    row = table.slice(index, 1).to_pylist()[0]
    return f"p = {row['probability']:g}, r = {style.fraction(row['ratio'])}"


def _markers(table: pa.Table) -> list[tuple[str, int, str, str]]:
    sizes = distinct(rows(table, source="trained"), "n_features")
    colours = (style.SKY, style.BLUE, style.GREEN)
    trained = [("trained", int(n), colour, marker) for n, colour, marker in zip(sizes, colours, "sov", strict=False)]
    constructed = zip(distinct(rows(table, source="rug"), "n_features"), (style.RED, style.GREEN), "x+", strict=False)
    return trained + [("rug", int(n), colour, marker) for n, colour, marker in constructed]
