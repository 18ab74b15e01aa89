"""Figure T1: the theory at a glance: optimum, bounds, scaling, and the allocation of capacity."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._checks import FloatArray
from superposition.features import SparseFeatures
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, judged, rows
from superposition.figures.presets import Preset
from superposition.sweeps import Store

if TYPE_CHECKING:
    import matplotlib.figure

_PROBABILITY = 0.045
_PROBABILITIES = (0.001, 0.01, 0.045, 0.2)
_RATIOS = np.geomspace(0.005, 0.98, 60)
_SCALING_P, _SCALING_R = np.geomspace(1e-6, 1e-2, 5), np.geomspace(0.01, 0.1, 10)
# Appendix H: two halves of importance 1 and α, n 4096, n_hidden 1024, p 0.04.
_N, _N_HIDDEN, _P_HALVES = 4096, 1024, 0.04
_ALPHAS = np.round(np.arange(0.0, 1.001, 0.02), 2)
_BOUNDS = (
    ("oracle support", style.GREEN, ":"),
    ("Bayes", style.BLUE, "--"),
    ("ReLU optimum", style.BLACK, "-"),
    ("ansatz a = 1", style.RED, "-."),
    ("linear optimum", style.ORANGE, "--"),
    ("constant", style.PURPLE, ":"),
)


@final
class FigureT1(Figure):
    """The closed forms, without any model."""

    name = "T1"
    title = "The theory at a glance"
    caption = (
        "A formula of two numbers gives the optimum, its bounds and who gets how much capacity. Mean-field theory "
        "for Uniform[0, 1] values. (a) Loss ℓ of a feature against its capacity h and its lower convex hull, p = "
        "4.5%; below the threshold (dot) it is better to give some up. (b) Optimal scale a and bias b against the "
        "ratio. (c) Bounds at the least noise, p = 4.5%. (d) Loss against p²/r; grey: slope 1. (e) Best capacity of "
        "two halves of importance 1 and α, p = 4%, r = 1/4 (appendix H); where some of the less important features "
        "are given up, the capacity is that of the ones kept. (f) Share of the less important half that is given up."
    )

    def measure(self, preset: Preset, store: Store) -> pa.Table:  # noqa: ARG002
        """Returns one row a point: panel, series, x, y."""
        points: list[dict[str, Any]] = []

        def add(panel: str, series: str, x: Iterable[float], y: Iterable[float]) -> None:
            points.extend(
                {"panel": panel, "series": series, "x": float(a), "y": float(b)} for a, b in zip(x, y, strict=True)
            )

        h = np.linspace(1e-3, 1.0, 200)
        hull = theory.hull_optimum(h, _PROBABILITY)
        add("capacity", "ℓ(h)", h, theory.symmetric_optimum(h, _PROBABILITY).loss)
        add("capacity", "hull", h, hull.loss)
        threshold = hull.threshold[0]
        add("capacity", "threshold", [threshold], [theory.symmetric_optimum(threshold, _PROBABILITY).loss])
        for p in _PROBABILITIES:
            best = theory.symmetric_optimum(_RATIOS, p)
            add("scale", f"p = {p:g}", _RATIOS, best.scale)
            add("bias", f"p = {p:g}", _RATIOS, best.bias)
        for series, values in _bounds(_RATIOS).items():
            add("bounds", series, _RATIOS, values)
        for p in _SCALING_P:
            add("scaling", f"p = {p:g}", p**2 / _SCALING_R, theory.symmetric_optimum(_SCALING_R, p).loss)
        for alpha in _ALPHAS:
            features = SparseFeatures(_N, _P_HALVES, importance=np.repeat([1.0, alpha], _N // 2))
            found = theory.allocate(features, _N_HIDDEN)
            add("halves", "importance 1", [alpha], [found.capacity[0]])
            add("halves", "importance α", [alpha], [found.capacity[_N // 2 :].max()])
            add("given up", "importance α", [alpha], [(found.capacity[_N // 2 :] == 0).mean()])
        return pa.Table.from_pylist(points)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the order of the bounds, the hull, the scaling and the threshold in α."""
        bounds = [column(table, "y", panel="bounds", series=name) for name, _, _ in _BOUNDS]
        oracle, bayes, relu = bounds[:3]
        least = np.minimum.reduce(bounds[3:])
        # Equal ones differ by what quadrature and rounding leave, of order 1e-10 relative.
        ordered = (oracle <= bayes * (1 + 1e-9)) & (bayes <= relu * (1 + 1e-9)) & (relu <= least * (1 + 1e-9))
        loss, hull = (column(table, "y", panel="capacity", series=name) for name in ("ℓ(h)", "hull"))
        threshold = column(table, "x", panel="capacity", series="threshold")[0]
        x, y = column(rows(table, panel="scaling"), "x"), column(rows(table, panel="scaling"), "y")
        small = x < 1e-6
        slope = float(np.polyfit(np.log(x[small]), np.log(y[small]), 1)[0])
        alpha, dropped = (column(rows(table, panel="given up"), name) for name in ("x", "y"))
        first, all_of_it = alpha[dropped > 0].max(), alpha[dropped == 1].max()
        return [
            Check(
                "Oracle support ≤ Bayes ≤ best ReLU ≤ ansatz, linear and constant, at equal noise (appendix E).",
                "paper",
                f"at {ordered.sum()} of {ordered.size} ratios; the best ReLU is at most "
                f"{(relu / bayes).max():.2f} times the Bayes loss and {(relu / oracle).max():.1f} times the oracle's",
                judged(ordered.all()),
            ),
            Check(
                "The loss scales as p²/r up to a logarithm for p ≪ r ≪ 1 (section 4.3, figure 15).",
                "paper",
                f"slope of log loss against log p²/r, over p²/r below 1e-6: {slope:.3f}",
                judged(0.85 < slope < 1.0),
            ),
            Check(
                "The less important half is given up from α ≈ 0.25 downwards (appendix H).",
                "paper",
                f"the first of its features are given up at α = {first:.2f}, the last at α = {all_of_it:.2f}",
                judged(0.2 <= first <= 0.3),
            ),
            Check(
                "Below a threshold capacity it is better to give features up: the hull lies below ℓ there.",
                "superposition",
                f"threshold h = {threshold:.4f} at p = {_PROBABILITY:g}; "
                f"the largest gain is {(1 - hull[:-1] / loss[:-1]).max():.1%}",
                # Where the hull is the curve they differ by the rounding of an interpolation.
                judged((hull <= loss * (1 + 1e-12)).all() and (hull < loss * (1 - 1e-4)).any()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws six panels."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(2, 3, figsize=(9.6, 6.0))
        (capacity, parameters, bounds), (scaling, halves, given_up) = axes
        for series, colour, dash in (("ℓ(h)", style.BLACK, "-"), ("hull", style.ORANGE, "--")):
            capacity.plot(*_curve(table, "capacity", series), dash, color=colour, label=series)
        capacity.plot(*_curve(table, "capacity", "threshold"), "o", color=style.RED, label="threshold")
        capacity.set(xlabel="capacity h", ylabel="loss (feature units²)", title="(a) capacity")
        for p, colour in zip(_PROBABILITIES, (style.SKY, style.BLUE, style.BLACK, style.ORANGE), strict=True):
            parameters.plot(*_curve(table, "scale", f"p = {p:g}"), color=colour, label=f"p = {p:g}")
            parameters.plot(*_curve(table, "bias", f"p = {p:g}"), "--", color=colour)
        parameters.set(xscale="log", xlabel="ratio", ylabel="a (solid), b (dashed)", title="(b) optimal scale and bias")
        parameters.set_ylim(-2.4, 2.2)
        for series, colour, dash in _BOUNDS:
            bounds.plot(*_curve(table, "bounds", series), dash, color=colour, label=series)
        bounds.set(xscale="log", yscale="log", xlabel="ratio", ylabel="loss (feature units²)", title="(c) bounds")
        looks = zip(_SCALING_P, (style.PURPLE, style.SKY, style.BLUE, style.GREEN, style.ORANGE), "osv^x", strict=True)
        for p, colour, marker in looks:
            x, y = _curve(table, "scaling", f"p = {p:g}")
            scaling.plot(x, y, marker, color=colour, mfc="none", label=f"p = {p:g}")
        span = np.array([1e-11, 1e-2])
        for factor in (1.0, 10.0):
            scaling.plot(span, factor * span, color="0.7", linewidth=0.8, zorder=0)
        scaling.set(xscale="log", yscale="log", xlabel="p²/r", ylabel="loss (feature units²)", title="(d) scaling")
        for series, colour, dash in (("importance 1", style.BLUE, "-"), ("importance α", style.ORANGE, "--")):
            halves.plot(*_curve(table, "halves", series), dash, color=colour, label=series)
        halves.set(xlabel="importance α", ylabel="capacity h of a kept feature", title="(e) two halves")
        given_up.plot(*_curve(table, "given up", "importance α"), color=style.ORANGE)
        given_up.axvline(0.25, color=style.BLACK, linestyle=":", label="paper: α ≈ 0.25")
        given_up.set(xlabel="importance α", ylabel="share given up", title="(f) features given up")
        for axis in axes.flat:
            axis.legend(ncol=2 if axis is parameters else 1)
        return figure


def _bounds(r: FloatArray) -> dict[str, Any]:
    best = theory.symmetric_optimum(r, _PROBABILITY)
    values = (
        theory.oracle_support_loss(best.noise_std, _PROBABILITY),
        theory.bayes_loss(best.noise_std, _PROBABILITY),
        best.loss,
        theory.upper_bound(r, _PROBABILITY),
        theory.linear_loss(r, _PROBABILITY),
        np.full(r.shape, theory.zero_ratio_loss(_PROBABILITY)),
    )
    return {name: value for (name, _, _), value in zip(_BOUNDS, values, strict=True)}


def _curve(table: pa.Table, panel: str, series: str) -> tuple[FloatArray, FloatArray]:
    return column(table, "x", panel=panel, series=series), column(table, "y", panel=panel, series=series)
