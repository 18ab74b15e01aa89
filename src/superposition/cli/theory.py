"""The command that prints, stores and draws the closed forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

import tyro

import superposition as sp
from superposition._text import say
from superposition.cli import costs
from superposition.cli.command import Costly, Shares
from superposition.cli.features import LawWord, law_of
from superposition.cli.quantities import AXES, QUANTITIES, Columns, Quantity, described, option
from superposition.cli.tables import new_table, show

if TYPE_CHECKING:
    from superposition.features import Law

Name = Annotated[str, tyro.conf.arg(metavar=f"{{{','.join(QUANTITIES)}}}", help=described())]
Ratios = Annotated[Shares, tyro.conf.arg(help_behavior_hint="")]
Numbers = Annotated[tuple[float, ...], tyro.conf.arg(metavar="X ...", help_behavior_hint="")]
Counts = Annotated[tuple[int, ...], tyro.conf.arg(metavar="N ...", help_behavior_hint="")]

# Columns whose size is not known beforehand; losses are of their kind.
_SCIENTIFIC = {"dL/dr", "dL/dp", "p²/r", "p²/r log(1/p)", "posterior variance"}


@final
@dataclass(frozen=True, kw_only=True)
class Theory(Costly):
    """Print closed forms of the theory over any of their arguments; store or draw them.

    Each quantity takes the options named with it, and shows every value of one with every value of the others.
    Losses are per feature in squared feature units; a has no unit; z, b and σ are in feature units.
    """

    quantity: Name = "optimum"
    ratio: Ratios = ()
    """Compression ratios n_hidden / n_features."""
    probability: Ratios = ()
    """Probabilities that a feature is active; for allocate, one for all classes or one a class."""
    noise_std: Numbers = ()
    """Standard deviations σ of the interference, ≥ 0."""
    scale: Numbers = ()
    """Scales a > 0 of the ReLU, its best one if not given."""
    bias: Numbers = ()
    """Biases b of the ReLU, its best one if not given."""
    threshold: Numbers = ()
    """Thresholds β = b/a of the ReLU(x + ν + β)."""
    z: Numbers = ()
    """Observations of a feature in noise."""
    importance: Numbers = ()
    """Importances ≥ 0, one for all classes or one a class."""
    hidden_noise: Numbers = ()
    """Standard deviations ω ≥ 0 of noise on every hidden unit, over the root mean square of theirs without it."""
    n_features: Counts = ()
    """Numbers of features, ≥ 1; for allocate, one multiple of the number of classes."""
    n_hidden: Counts = ()
    """Numbers of hidden dimensions, in [1, n_features]; for allocate, one, or --ratio."""
    law: LawWord = "uniform"
    """Law of active values: uniform[:LOW:HIGH], constant[:X], exponential[:SCALE], half-normal[:SCALE], beta:A:B,
    empirical:X:…, or a file of values (.npy, .csv or .txt)."""
    grid: Path | None = None
    """Parquet file to write the table to; an existing one is not overwritten."""
    plot: Path | None = None
    """PNG, SVG or PDF file to draw the table to; an existing one is not overwritten."""

    def run(self) -> int:
        """Computes, prints, writes and draws."""
        if self.quantity not in QUANTITIES:
            raise ValueError(f"`quantity` must be one of {', '.join(QUANTITIES)}, got {self.quantity!r}")
        quantity = QUANTITIES[self.quantity]
        given, law = self._axes(quantity), self._law(quantity)
        for path in (self.grid, self.plot):
            if path is not None:
                sp._files.refuse_existing(path)
        if self.plot is not None and self.plot.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"`plot` must end in .png, .svg or .pdf, got {self.plot.name!r}")
        rows = prod(len(values) for values in given.values())
        costs.of_table(rows, max(self.n_features, default=0)).refuse(force=self.force)
        columns, x = quantity.table(given, law)
        _print(columns, quantity.title + (f", {self.law} law" if quantity.has_law else ""))
        if self.grid is not None:
            _write(columns, self.grid)
        if self.plot is not None:
            sp.figures.draw_curves(columns, self.plot, x=x, y=quantity.curves(columns))
            say(f"picture: {self.plot}")
        return 0

    def _axes(self, quantity: Quantity) -> Mapping[str, tuple[float, ...]]:
        """Returns the axes that were given, in the quantity's order; raises ValueError if it has others."""
        given = {name for name in AXES if getattr(self, name)}
        for name in quantity.needs:
            if name not in given:
                raise ValueError(f"--quantity {self.quantity} must come with at least one value of {option(name)}")
        for name in AXES:
            if name in given and name not in quantity.takes:
                takes = ", ".join(map(option, quantity.takes))
                raise ValueError(f"--quantity {self.quantity} must come without {option(name)}: it takes {takes}")
        return {name: getattr(self, name) for name in quantity.takes if name in given}

    def _law(self, quantity: Quantity) -> "Law":
        law = law_of(self.law)
        if not quantity.has_law and law != sp.Uniform():
            raise ValueError(f"--quantity {self.quantity} must have the law uniform on [0, 1], got {law}")
        return law


def _print(columns: Columns, title: str) -> None:
    import numpy as np

    by_row = {name: values for name, values in columns.items() if np.ndim(values)}
    table = new_table(*by_row, title=title)
    for row in zip(*by_row.values(), strict=True):
        table.add_row(*(_cell(name, value) for name, value in zip(by_row, row, strict=True)))
    table.caption = "\n".join(f"{name}: {_cell(name, columns[name])}" for name in columns if name not in by_row) or None
    table.caption_justify = "left"
    show(table)


def _cell(name: str, value: Any) -> str:
    """Returns a number with the digits that its column needs."""
    if isinstance(value, Integral):
        return str(value)
    return f"{value:.6e}" if name.endswith("loss") or name in _SCIENTIFIC else f"{value:.6g}"


def _write(columns: Columns, path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = np.broadcast_arrays(*columns.values())
    # A file and not its name, which may be no text.
    with sp._files.replacing(path) as temporary, temporary.open("wb") as file:
        pq.write_table(pa.table(dict(zip(columns, map(np.ascontiguousarray, whole), strict=True))), file)
    say(f"table: {path}")
