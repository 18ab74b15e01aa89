"""Figures 4 to 12: statistical permutation symmetry over (p, r), by size. One class, as they differ in a column."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa

from superposition.figures.base import PROVENANCE, Check, Figure, column, rows
from superposition.figures.maps import at_locations, draw_maps, panels, slopes
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure

_SIGMAS = 3.0
_COLUMNS = (
    "protocol",
    "n_features",
    "n_hidden",
    "ratio",
    "probability",
    "dead_features",
    "stopped",
    "steps",
    *PROVENANCE,
)


@final
@dataclass(frozen=True)
class SymmetryMap(Figure):
    """One statistic of trained models.

    Args:
        name: The paper's number.
        title: A short title.
        statistic: Column of the rows of trained cells.
        symbol: How the figure calls it.
        claim: What the paper says of it.
        everywhere: Whether the claim is about all locations, or about most.
    """

    name: str
    title: str
    statistic: str
    symbol: str
    claim: str
    everywhere: bool

    @property
    def caption(self) -> str:  # type: ignore[override]
        """What is shown."""
        return (
            f"{self.symbol} of trained models over probability and ratio, one panel a size and protocol; crosses mark "
            "models with features without a code (|W_ii| below 5% of the largest). On the right the same against "
            "n_features for models of the default protocol: a grey line a location, the median over locations, and "
            "the mean over locations of the exponent with its standard error. Δ is the mean square deviation (the "
            "paper's text calls it a root mean square), Δ₂ the largest minus the smallest value."
        )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the models of the grids; all maps use the same."""
        return preset.map_cells()

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a model with the statistic and, for Δ, its standard error."""
        table = store.table(self.cells(preset))
        statistics = {
            to: table[name] if name in table.column_names else pa.nulls(table.num_rows, pa.float64())
            for to, name in (("value", self.statistic), ("standard_error", f"{self.statistic}_standard_error"))
        }
        return pa.table({**{name: table[name] for name in _COLUMNS}, **statistics})

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the paper's claim from the smallest to the largest size, and that the exponent of n is negative."""
        sizes = [n for protocol, n in panels(table) if protocol == "default"]
        values = at_locations(rows(table, protocol="default"), sizes)
        falls = values[-1] < values[0]
        found = slopes(sizes, values)
        error = found.std(ddof=1) / np.sqrt(found.size)
        steps = column(table, "steps", protocol="default", n_features=sizes[-1])
        return [
            Check(
                self.claim,
                "paper",
                f"from n = {sizes[0]} to {sizes[-1]} it falls at {falls.sum()} of {falls.size} locations, after "
                f"{np.median(steps):.0f} steps of the default protocol",
                bool(falls.all() if self.everywhere else falls.mean() > 0.5),
            ),
            Check(
                f"{self.symbol} falls with n in the mean over locations.",
                "superposition",
                f"as n to the power {found.mean():+.2f} ± {error:.2f} over n = {', '.join(map(str, sizes))}",
                bool(found.mean() + _SIGMAS * error < 0),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a map a protocol and size, and the statistic against size."""
        from matplotlib.colors import LogNorm

        values = column(table, "value")
        values = values[np.isfinite(values) & (values > 0)]
        # The extreme percent of the cells saturates: one model without a code would take half of the colours.
        low, high = np.quantile(values, [0.01, 0.99])
        norm = LogNorm(low, high, clip=True)
        return draw_maps(table, norm, "viridis", self.symbol)[0]


_FALLS = "falls as n grows, at all locations of the diagram"
_STATISTICS = (
    ("diagonal", "diag W", "Symmetry of the diagonal", f"The fluctuation of the diagonal {_FALLS}.", True),
    ("bias", "b", "Symmetry of the bias", "The fluctuation of the bias generally decreases as n grows.", False),
    ("noise_mean", "E ν", "Symmetry of the interference's mean", f"The fluctuation of E ν {_FALLS}.", True),
    ("noise_variance", "Var ν", "Symmetry of the interference's variance", f"The fluctuation of Var ν {_FALLS}.", True),
)

SYMMETRY_MAPS = (
    *(
        SymmetryMap(str(4 + i), title, f"{name}_mean_square", f"Δ {symbol}", claim, everywhere)
        for i, (name, symbol, title, claim, everywhere) in enumerate(_STATISTICS)
    ),
    SymmetryMap(
        "8",
        "Gaussianity of the interference",
        "non_gaussianity",
        "Λ",
        "All models approach uniform off-diagonal entries as n grows: Λ falls at all locations.",
        True,
    ),
    *(
        SymmetryMap(
            str(9 + i), f"{title}, extreme features", f"{name}_extent", f"Δ₂ {symbol}",
            claim.replace("fluctuation", "extent"), everywhere,
        )
        for i, (name, symbol, title, claim, everywhere) in enumerate(_STATISTICS)
    ),
)  # fmt: skip
