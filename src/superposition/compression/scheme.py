"""Two dense dimensions in one: quantise the first, put the second between its levels."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Literal, final, get_args

import numpy as np
import numpy.typing as npt

from superposition import _checks, compression
from superposition._checks import FloatArray
from superposition.compression.integration import segment_losses
from superposition.compression.piecewise import PiecewiseLinear, staircase

if TYPE_CHECKING:
    from superposition.compression.network import CompressionNetwork, Construction

Units = Literal["input", "segment"]
Alignment = Literal["centred", "before", "after", "guarded"]

# Of which so many fit that levels are counted in the range of counts.
_LEAST_RAMP = 1e-9
# With more levels than this, the ones in between are alike.
_DISTINCT_LEVELS = 5


@final
@dataclass(frozen=True)
class QuantizedPair:
    """Nonlinear compression of x, y ∈ [0, 1] into t ∈ [0, 1]: t = (⌊Zx⌋ + y)/Z, x̂ = (⌊Zt⌋ + ½)/Z, ŷ = Zt − ⌊Zt⌋.

    A network computes no jumps: in the continuous form each one, of both staircases, is a ramp. Both forms belong to
    one family, with S and T staircases of `levels` steps and w the gap between levels (0 unless guarded):
    t = (S(x) + (1 − w) y)/(Z − w), x̂ = (T(t) + ½)/Z, ŷ = ((Z − w) t − T(t))/(1 − w).

    Args:
        levels: Z ≥ 1; one level keeps y and predicts x by its mean.
        ramp: ε > 0, the width of a ramp, at most that of a segment; None for jumps, the discontinuous form.
        units: What ε is measured in. "input": the function's input, x in the encoder and t in the decoder.
            "segment": one of the `levels` segments, so that a ramp is ε/Z wide.
        alignment: Where the ramp lies. "centred" on the jump, or "before" or "after" it; "guarded": centred in the
            encoder, which leaves gaps between the levels of t in which the ramps of the decoder fit, so that the
            decoder is exact wherever the encoder is.

    Raises:
        ValueError: An argument is out of its range.

    Reference: Toy Models of Superposition, appendix "Nonlinear compression".

    >>> scheme = QuantizedPair(levels=3, ramp=0.1)
    >>> t = scheme.encode(0.5, 0.25)
    >>> float(t), [round(float(value), 12) for value in scheme.decode(t)]
    (0.4166666666666667, [0.5, 0.25])
    >>> round(scheme.expected_loss(), 6), round(linear_loss(), 6)
    (0.024124, 0.041667)
    """

    levels: int
    ramp: float | None = None
    units: Units = "input"
    alignment: Alignment = "centred"

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _checks.whole_number("levels", self.levels))
        _checks.choice("units", self.units, get_args(Units))
        _checks.choice("alignment", self.alignment, get_args(Alignment))
        if self.ramp is None:
            return
        widest = 1 / self.levels if self.units == "input" else 1.0
        # A guarded segment must keep room for y.
        full = self.alignment == "guarded" and self.units == "segment"
        hint = f"a ramp cannot be wider than a segment, 1/{self.levels}" if self.units == "input" else (
            "a ramp cannot be wider than a segment")  # fmt: skip
        ramp = _checks.in_interval("ramp", self.ramp, 0, widest, open_low=True, open_high=full, hint=hint)
        if ramp.ndim:
            raise ValueError(f"`ramp` must be one number or None, got shape {ramp.shape}")
        object.__setattr__(self, "ramp", float(ramp))

    @property
    def ramp_shares(self) -> tuple[float, float]:
        """Widths of the encoder's and decoder's ramps as shares of a segment; 0 for jumps."""
        if self.ramp is None:
            return 0.0, 0.0
        if self.units == "segment":
            return self.ramp, self.ramp
        # Segments of a guarded t are 1/(Z − w) apart: the ramp's share w solves w = ε (Z − w).
        wide = min(self.levels * self.ramp, 1.0)
        return wide, wide / (1 + self.ramp) if self.alignment == "guarded" else wide

    @property
    def gap(self) -> float:
        """w, the share of a segment of t that is left free above each level; 0 unless guarded."""
        return self.ramp_shares[1] if self.alignment == "guarded" else 0.0

    @cached_property
    def encoder_staircase(self) -> PiecewiseLinear:
        """S, from x ∈ [0, 1] to the level 0 … Z − 1."""
        return _encoder_staircase(self.levels, self.ramp_shares[0], self.alignment, n_segments=self.levels)

    @cached_property
    def decoder_staircase(self) -> PiecewiseLinear:
        """T, from t ∈ [0, 1] to the level 0 … Z − 1."""
        n_segments = self.levels - self.gap
        return _decoder_staircase(self.levels, self.ramp_shares[1], self.alignment, n_segments=n_segments)

    def encode(self, x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
        """Returns t ∈ [0, 1] of x and y in [0, 1], broadcast; raises ValueError outside."""
        x, y = _checks.in_interval("x", x, 0, 1), _checks.in_interval("y", y, 0, 1)
        t = (self.encoder_staircase(x) + (1 - self.gap) * y) / (self.levels - self.gap)
        return np.minimum(t, 1.0)  # rounding

    def decode(self, t: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Returns x̂ and ŷ of t ∈ [0, 1]; raises ValueError outside."""
        t = _checks.in_interval("t", t, 0, 1)
        level = self.decoder_staircase(t)
        return (level + 0.5) / self.levels, ((self.levels - self.gap) * t - level) / (1 - self.gap)

    def expected_losses(self) -> tuple[float, float]:
        """Mean square errors of x and of y over uniform x, y ∈ [0, 1] (exact, by integration piece by piece)."""
        few = min(self.levels, _DISTINCT_LEVELS)
        sums = segment_sums(few, *self.ramp_shares, self.alignment)
        if self.levels > few:
            # In units of a segment all but the outermost ones are alike: each more adds the same.
            sums += (self.levels - few) * (sums - segment_sums(few - 1, *self.ramp_shares, self.alignment))
        return float(sums[0] / self.levels**3), float(sums[1] / self.levels)

    def expected_loss(self) -> float:
        """Mean of the two mean square errors (exact); `linear_loss()` is what it has to beat."""
        return sum(self.expected_losses()) / 2

    def to_network(self, construction: "Construction" = "segments") -> "CompressionNetwork":
        """Returns the ReLU network that computes the continuous form, in float32.

        Args:
            construction: "segments" spends two neurons on each of two segments a level, in each of three functions: 12
                a level, as the paper counts; "minimal" has 4·levels − 2 neurons, the fewest that are exact.

        Raises:
            ValueError: The scheme has jumps, or the construction is unknown.
        """
        if self.ramp is None:
            raise ValueError("`ramp` must be a number for a network, got None: a ReLU network computes no jumps")
        return compression.construction.construct(
            self.encoder_staircase, self.decoder_staircase, self.levels, self.gap, construction
        )


@dataclass(frozen=True)
class BestLevels:
    """The best number of levels for a ramp.

    Attributes:
        levels: Z; 1 where no quantisation beats the linear optimum.
        loss: Mean of the two mean square errors (exact).
    """

    levels: int
    loss: float


def linear_loss() -> float:
    """Mean of the two mean square errors of the best linear compression of a pair, exactly 1/24.

    Keeping one dimension loses the other's variance, 1/12; averaging both loses half of each. The variance of a
    uniform pair is the same in all directions, so nothing linear is better.

    >>> linear_loss() * 24
    1.0
    """
    return 1 / 24


def best_levels(ramp: float, units: Units = "input", alignment: Alignment = "centred") -> BestLevels:
    """Levels of the least expected loss for a ramp width: more levels resolve x better, and cost y more ramps.

    The loss falls and then rises with the number of levels (observed for all ramps tested), and is searched so.

    Args:
        ramp: ε in [1e-9, 1], as for `QuantizedPair`; below 1 for "guarded" segments.
        units: Of the ramp.
        alignment: Of the ramps.

    Raises:
        ValueError: An argument is out of its range.

    >>> best_levels(0.1).levels, best_levels(0.01).levels
    (2, 4)
    """
    ramp = _checks.one("ramp", _checks.in_interval("ramp", ramp, _LEAST_RAMP, 1))
    QuantizedPair(1, ramp, units, alignment)

    def loss(levels: int) -> float:
        return QuantizedPair(levels, ramp, units, alignment).expected_loss()

    # At most so many that a ramp fits; where it always does the best is of the order of 1/ramp.
    low, high = 1, max(1, int((1 + 1e-12) / ramp)) if units == "input" else ceil(4 / ramp)
    while low < high:
        middle = (low + high) // 2
        if loss(middle) <= loss(middle + 1):
            high = middle
        else:
            low = middle + 1
    return BestLevels(low, loss(low))


def segment_sums(levels: int, share_x: float, share_t: float, alignment: Alignment) -> FloatArray:
    """Returns the squared errors of x and y, x in units of a segment, integrated over all segments, shape (2,).

    Divided by levels³ (x) and levels (y) they are the mean square errors over the unit square.
    """
    stairs_x = _encoder_staircase(levels, share_x, alignment, n_segments=1)
    stairs_t = _decoder_staircase(levels, share_t, alignment, n_segments=1)
    return np.array(segment_losses(stairs_x, stairs_t, 1 - share_t if alignment == "guarded" else 1.0))


def _encoder_staircase(levels: int, share: float, alignment: Alignment, *, n_segments: float) -> PiecewiseLinear:
    """Returns the encoder's staircase: ramps a share of a segment wide, and so many segments in a unit of x."""
    start = {"centred": -share / 2, "guarded": -share / 2, "before": -share, "after": 0.0}[alignment]
    return staircase(levels, (np.arange(1.0, levels) + start) / n_segments, share / n_segments, levels / n_segments)


def _decoder_staircase(levels: int, share: float, alignment: Alignment, *, n_segments: float) -> PiecewiseLinear:
    """Returns the decoder's staircase; a guarded one ends with the last level, which has no gap above it."""
    start = {"centred": -share / 2, "guarded": -share, "before": -share, "after": 0.0}[alignment]
    end = levels - share if alignment == "guarded" else levels
    return staircase(levels, (np.arange(1.0, levels) + start) / n_segments, share / n_segments, end / n_segments)
