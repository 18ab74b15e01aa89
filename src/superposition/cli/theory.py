"""The command that prints, stores and draws the closed forms."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from superposition.cli.command import Command, Shares
from superposition.cli.tables import new_table, show

if TYPE_CHECKING:
    from superposition.features import Law

Quantity = Literal["optimum", "bounds", "hull", "gradients", "scaling"]


@final
@dataclass(frozen=True, kw_only=True)
class Theory(Command):
    """Print closed forms of the mean-field theory over ratios and probabilities; store or draw them.

    Losses are per feature in squared feature units; a has no unit; b and σ are in feature units.
    """

    ratio: Shares
    """Compression ratios n_hidden / n_features."""
    probability: Shares
    """Probabilities that a feature is active; every ratio is shown with every probability."""
    quantity: Quantity = "optimum"
    """optimum: loss, scale a, bias b, noise σ, linear loss. bounds: every bound, from the oracle that knows the
    support to the constant. hull: the optimum when features may be given up. gradients: dL/dr and dL/dp.
    scaling: loss beside p²/r."""
    law: Literal["uniform", "constant", "exponential", "half-normal"] = "uniform"
    """Law of active values: uniform on [0, 1], constantly 1, exponential of mean 1, |N(0, 1)|."""
    grid: Path | None = None
    """Parquet file to write the table to; an existing one is not overwritten."""
    plot: Path | None = None
    """PNG, SVG or PDF file to draw the losses to; an existing one is not overwritten."""

    def run(self) -> int:
        """Computes, prints, writes and draws."""
        import numpy as np

        from superposition import _files

        if not (self.ratio and self.probability):
            raise ValueError("--ratio and --probability must each have at least one value")
        for path in (self.grid, self.plot):
            if path is not None:
                _files.refuse_existing(path)
        p, r = (axis.ravel() for axis in np.meshgrid(self.probability, self.ratio, indexing="ij"))
        columns = {"ratio": r, "p": p, **_QUANTITIES[self.quantity](r, p, _law(self.law))}
        table = new_table(*columns, title=f"Mean-field {self.quantity}, {self.law} law")
        for row in zip(*columns.values(), strict=True):
            table.add_row(*(_cell(name, value) for name, value in zip(columns, row, strict=True)))
        show(table)
        if self.grid is not None:
            _write(columns, self.grid)
        if self.plot is not None:
            from superposition.figures.curves import draw_curves

            draw_curves(columns, self.plot)
            print(f"picture: {self.plot}")
        return 0


def _optimum(r: Any, p: Any, law: "Law") -> dict[str, Any]:
    from superposition import theory

    best = theory.symmetric_optimum(r, p, law)
    linear = theory.linear_loss(r, p, law)
    return {
        "loss": best.loss, "scale a": best.scale, "bias b": best.bias, "noise σ": best.noise_std, "linear loss": linear
    }  # fmt: skip


def _bounds(r: Any, p: Any, law: "Law") -> dict[str, Any]:
    from superposition import theory

    best = theory.symmetric_optimum(r, p, law)
    return {
        "oracle support loss": theory.oracle_support_loss(best.noise_std, p, law),
        "Bayes loss": theory.bayes_loss(best.noise_std, p, law),
        "loss": best.loss,
        "upper bound loss": theory.upper_bound(r, p, law),
        "linear loss": theory.linear_loss(r, p, law),
        "constant loss": theory.zero_ratio_loss(p, law),
    }


def _hull(r: Any, p: Any, law: "Law") -> dict[str, Any]:
    from superposition import theory

    found = theory.hull_optimum(r, p, law)
    symmetric = theory.symmetric_optimum(r, p, law).loss
    return {"hull loss": found.loss, "loss": symmetric, "share kept": found.kept, "threshold h": found.threshold}


def _gradients(r: Any, p: Any, law: "Law") -> dict[str, Any]:
    from superposition import theory

    found = theory.loss_gradients(r, p, law)
    return {"loss": found.optimum.loss, "dL/dr": found.ratio, "dL/dp": found.probability}


def _scaling(r: Any, p: Any, law: "Law") -> dict[str, Any]:
    from superposition import theory

    found = theory.scaling(p, r, law)
    return {"loss": found.loss, "p²/r": found.p2_over_r, "p²/r log(1/p)": found.p2_over_r_log}


_QUANTITIES: dict[Quantity, Callable[[Any, Any, "Law"], dict[str, Any]]] = {
    "optimum": _optimum,
    "bounds": _bounds,
    "hull": _hull,
    "gradients": _gradients,
    "scaling": _scaling,
}


def _law(name: str) -> "Law":
    from superposition import features

    match name:
        case "uniform":
            return features.Uniform()
        case "constant":
            return features.Constant()
        case "exponential":
            return features.Exponential()
        case _:
            return features.HalfNormal()


def _cell(name: str, value: float) -> str:
    """Returns a number with the digits that its column needs."""
    if name in ("ratio", "p"):
        return f"{value:g}"
    return f"{value:.6g}" if name in ("scale a", "bias b", "noise σ", "share kept", "threshold h") else f"{value:.6e}"


def _write(columns: dict[str, Any], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from superposition import _files

    with _files.replacing(path) as temporary:
        pq.write_table(pa.table(columns), temporary)
    print(f"table: {path}")
