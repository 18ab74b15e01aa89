"""Figures 4 to 12: statistical permutation symmetry over (p, r), by size. One class, as they differ in a column."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from superposition.figures.base import LIMIT_FROM, PROVENANCE, Check, Figure, column, judged, rows
from superposition.figures.maps import Mask, at_locations, draw_maps, mean_slope, panels
from superposition.figures.presets import Preset
from superposition.sweeps import Store, TrainedCell

if TYPE_CHECKING:
    import matplotlib.figure

_SIGMAS = 3.0
# Locations that refute a claim; fewer may be an accident of one model.
_FEWEST = 2
# What falls more slowly than this power of 1/n, by a third from 128 to 8192, is taken for constant.
_SLOW = 0.1
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
        finding: What the figure shows, in a sentence.
        meaning: What the symbol stands for.
    """

    name: str
    title: str
    statistic: str
    symbol: str
    claim: str
    everywhere: bool
    finding: str
    meaning: str

    @property
    def caption(self) -> str:  # type: ignore[override]
        """What is shown."""
        return (
            f"{self.finding} {self.symbol} of trained models over probability and ratio, one panel a size and "
            "protocol; crosses mark models that leave features without a code (|W_ii| below 5% of the largest). On the "
            "right the same against n_features for the default protocol, a line a location: grey where every feature "
            "has a code at every size, orange where some have none or a model collapsed to the constant. Blue: the "
            f"geometric mean of the grey ones, whose slope is the exponent above it. {self.meaning}"
        )

    def cells(self, preset: Preset) -> list[TrainedCell]:
        """Returns the models of the grids; all maps use the same."""
        return preset.map_cells()

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a model with the statistic, for Δ its standard error, and its loss over the prediction."""
        table = store.table(self.cells(preset))
        statistics = {
            to: table[name] if name in table.column_names else pa.nulls(table.num_rows, pa.float64())
            for to, name in (("value", self.statistic), ("standard_error", f"{self.statistic}_standard_error"))
        }
        relative = pc.divide(table["loss"], table["mean_field_loss"])
        return pa.table({**{name: table[name] for name in _COLUMNS}, **statistics, "relative_loss": relative})

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the paper's claim from the smallest to the largest size, and that the exponent of n is negative.

        Both are about locations where every feature has a code. Against them speak those alone whose training was at
        its end; against an exponent, one that is resolved.
        """
        sizes = [n for protocol, n in panels(table) if protocol == "default"]
        at = at_locations(rows(table, protocol="default"), sizes)
        falls = at.values[-1] < at.values[0]
        steps = column(table, "steps", protocol="default", n_features=sizes[-1])
        codes, without = at.has_codes, ~at.has_codes
        unfinished = codes & ~falls & ~at.finished

        def all_fall(mask: Mask) -> bool:
            return bool(mask.any() and (falls[mask].all() if self.everywhere else falls[mask].mean() > 0.5))

        decisive = codes & at.finished
        rises = bool(decisive.sum() >= _FEWEST and not all_fall(decisive))
        exponent, error = mean_slope(sizes, at.values[:, decisive])
        stays = exponent - _SIGMAS * error > -_SLOW
        exponent, error = mean_slope(sizes, at.values[:, codes])
        is_limit = sizes[-1] >= LIMIT_FROM
        return [
            Check(
                self.claim,
                "paper",
                f"from n = {sizes[0]} to {sizes[-1]} it falls at {falls[codes].sum()} of {codes.sum()} locations where "
                f"every feature has a code, and at {falls[without].sum()} of {without.sum()} where some have none, "
                f"after {np.median(steps):.0f} steps of the default protocol"
                + (f"; at {unfinished.sum()} of those where it does not, the loss is still above that of a rug by "
                   "more than 5%" if unfinished.any() else "")
                + at.left_out,
                judged(all_fall(codes), tested=is_limit, trained=rises),
            ),
            Check(
                f"{self.symbol} falls with n in the mean over locations where every feature has a code.",
                "superposition",
                f"as n to the power {exponent:+.2f} ± {error:.2f} over n = {', '.join(map(str, sizes))}, "
                f"{codes.sum()} locations"
                if np.isfinite(error)
                else f"there are {codes.sum()} such locations, too few for an error",
                judged(
                    exponent + _SIGMAS * error < 0,
                    tested=is_limit and (exponent + _SIGMAS * error < 0 or stays or not at.finished[codes].all()),
                    trained=stays,
                ),
            ),
        ]  # fmt: skip

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a map a protocol and size, and the statistic against size."""
        from matplotlib.colors import LogNorm

        values = column(table, "value")
        values = values[np.isfinite(values) & (values > 0)]
        # The extreme percent of the cells saturates: one model without a code would take half of the colours.
        low, high = np.quantile(values, [0.01, 0.99])
        norm = LogNorm(low, high, clip=True)
        return draw_maps(table, norm, "viridis", self.symbol, has_exponent=True)[0]


_FALLS = "falls as n grows, at all locations of the diagram"
_STATISTICS = (
    ("diagonal", "diag W", "Symmetry of the diagonal", f"The fluctuation of the diagonal {_FALLS}.", True),
    ("bias", "b", "Symmetry of the bias", "The fluctuation of the bias generally decreases as n grows.", False),
    ("noise_mean", "E ν", "Symmetry of the interference's mean", f"The fluctuation of E ν {_FALLS}.", True),
    ("noise_variance", "Var ν", "Symmetry of the interference's variance", f"The fluctuation of Var ν {_FALLS}.", True),
)

_CODES = (
    "{} is small where every feature has a code and large where some have none, which divides the diagram more than n "
    "does."
)
_SQUARE = "Δ is the mean square deviation over features (the paper's text calls it a root mean square)."
_EXTENT = "Δ₂ is the largest minus the smallest value over features."
_CUBES = (
    "Λ is the largest over features i of Σ_j |W_ij|³ / (Σ_j W_ij²)^{3/2}, j ≠ i (eq. 3): near 0 where no entry stands "
    "out and the interference is Gaussian, 1 where a single entry makes it up."
)

SYMMETRY_MAPS = (
    *(
        SymmetryMap(
            str(4 + i), title, f"{name}_mean_square", f"Δ {symbol}", claim, everywhere,
            _CODES.format(f"Δ {symbol}"), _SQUARE,
        )
        for i, (name, symbol, title, claim, everywhere) in enumerate(_STATISTICS)
    ),
    SymmetryMap(
        "8",
        "Gaussianity of the interference",
        "non_gaussianity",
        "Λ",
        "All models approach uniform off-diagonal entries as n grows: Λ falls at all locations.",
        True,
        "Entries of W become alike as n grows, whether features have codes or not: Λ falls at every location.",
        _CUBES,
    ),
    *(
        SymmetryMap(
            str(9 + i), f"{title}, extreme features", f"{name}_extent", f"Δ₂ {symbol}",
            claim.replace("fluctuation", "extent"), everywhere, _CODES.format(f"Δ₂ {symbol}"), _EXTENT,
        )
        for i, (name, symbol, title, claim, everywhere) in enumerate(_STATISTICS)
    ),
)  # fmt: skip
