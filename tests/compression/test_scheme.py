"""The quantised pair: against the paper's formulas, naive integration, Monte Carlo, and itself at many levels."""

import subprocess
import sys
from itertools import product
from math import inf, nan

import numpy as np
import pytest

from superposition.compression import QuantizedPair, best_levels, linear_loss
from superposition.compression.piecewise import PiecewiseLinear
from superposition.compression.scheme import segment_sums
from tests.rounding import gamma
from tests.statistics import Z_BOUND, agrees

ALIGNMENTS = ("centred", "before", "after", "guarded")
SCHEMES = [
    QuantizedPair(levels, ramp, units, alignment)
    for (levels, ramp, units), alignment in product(
        ((1, 0.3, "input"), (2, 0.1, "input"), (3, 0.1, "input"), (3, 0.33, "input"), (7, 0.6, "segment")), ALIGNMENTS
    )
]


def rounding(scheme, roundings=32):
    """Bound on the rounding of levels and of ŷ, in float64: differences of numbers up to Z, divided by 1 − w."""
    return gamma(roundings, np.float64) * scheme.levels / (1 - scheme.gap)


def loss_rounding(scheme):
    """Bound on the rounding of the exact losses.

    Errors e of at most 1 are off by `rounding`, their squares by twice that, and so are their means, weights being
    positive; sums over the at most 60 · (2Z)² nodes are far from as bad as that many roundings in a row, but their
    bound is no matter in float64.
    """
    return 2 * rounding(scheme) + gamma(240 * scheme.levels**2, np.float64)


def squared_errors(scheme, x, y):
    x_hat, y_hat = scheme.decode(scheme.encode(x, y))
    return (x - x_hat) ** 2, (y - y_hat) ** 2


class TestFunctions:
    @pytest.mark.parametrize("levels", [1, 2, 3, 10])
    def test_jumps_are_the_papers_formulas(self, levels, rng):
        x, y = rng.random((2, 1000))
        t = QuantizedPair(levels).encode(x, y)
        assert t == pytest.approx((np.floor(levels * x) + y) / levels, abs=gamma(16, float))
        x_hat, y_hat = QuantizedPair(levels).decode(t)
        assert x_hat == pytest.approx((np.floor(levels * t) + 0.5) / levels, abs=gamma(16, float))
        assert y_hat == pytest.approx(np.fmod(levels * t, 1.0), abs=rounding(QuantizedPair(levels)))

    @pytest.mark.parametrize("scheme", SCHEMES, ids=str)
    def test_away_from_ramps_it_is_the_form_with_jumps(self, scheme, rng):
        x, y = rng.random((2, 20_000))
        whole = np.round(scheme.encoder_staircase(x))
        on_flat = np.abs(scheme.encoder_staircase(x) - whole) < rounding(scheme)
        code = whole + (1 - scheme.gap) * y
        assert scheme.encode(x, y)[on_flat] == pytest.approx(
            (code / (scheme.levels - scheme.gap))[on_flat], abs=rounding(scheme)
        )
        # The share of ramps is what was asked for.
        ramps = (scheme.levels - 1) * scheme.ramp / (scheme.levels if scheme.units == "segment" else 1)
        assert 1 - on_flat.mean() == pytest.approx(ramps, abs=Z_BOUND * np.sqrt(ramps * (1 - ramps) / x.size))

    @pytest.mark.parametrize("scheme", SCHEMES, ids=str)
    def test_decoding_is_continuous_and_codes_fill_the_interval(self, scheme):
        t = np.linspace(0, 1, 200_001)
        x_hat, y_hat = scheme.decode(t)
        steepest = max(np.abs(scheme.decoder_staircase.slopes).max() / (1 - scheme.gap), scheme.levels)
        assert max(np.abs(np.diff(x_hat)).max(), np.abs(np.diff(y_hat)).max()) <= steepest * 5e-6 + 2 * rounding(scheme)
        assert float(scheme.encode(0, 0)) == 0
        assert float(scheme.encode(1, 1)) == 1

    def test_a_guarded_decoder_is_exact_where_the_encoder_is(self, rng):
        scheme = QuantizedPair(4, 0.2, "segment", "guarded")
        x, y = rng.random((2, 10_000))
        flat = np.isin(scheme.encoder_staircase(x), np.arange(4.0))
        assert 0.7 < flat.mean() < 0.9
        assert squared_errors(scheme, x, y)[1][flat].max() < rounding(scheme) ** 2
        centred = QuantizedPair(4, 0.2, "segment")
        assert squared_errors(centred, x, y)[1][flat].max() > 0.1

    def test_a_jump_takes_its_right_value_and_ends_are_met(self):
        step = PiecewiseLinear(
            np.array([0.0, 1.0, 1.0, 2.0]), np.array([[0.0, 5.0], [0.0, 6.0], [1.0, 6.0], [1.0, 7.0]])
        )
        assert step([0.0, 1.0, 2.0, 3.0]).tolist() == [[0, 5], [1, 6], [1, 7], [1, 8]]
        # x = k/Z falls into level k though ⌊Z · (k/Z)⌋ may be k − 1 in floating point.
        assert QuantizedPair(49).encoder_staircase(np.arange(49) / 49).tolist() == list(range(49))


class TestLoss:
    def test_known_values(self):
        assert linear_loss() == 1 / 24
        assert QuantizedPair(1).expected_loss() == pytest.approx(1 / 24, abs=loss_rounding(QuantizedPair(1)))
        assert QuantizedPair(3).expected_losses() == pytest.approx((1 / 108, 0), abs=loss_rounding(QuantizedPair(3)))
        for units, expected in (("input", 0.0241236631944444), ("segment", 0.0125037596450617)):  # to 16 places
            scheme = QuantizedPair(3, 0.1, units)
            assert scheme.expected_loss() == pytest.approx(expected, abs=1e-16 + loss_rounding(scheme))

    @pytest.mark.parametrize("scheme", SCHEMES, ids=str)
    def test_monte_carlo(self, scheme, rng):
        x, y = rng.random((2, 200_000))
        assert agrees(sum(squared_errors(scheme, x, y)) / 2, scheme.expected_loss(), resolution=0.03)
        assert not agrees(sum(squared_errors(scheme, x, y)) / 2, 1.04 * scheme.expected_loss(), resolution=0.03)

    @pytest.mark.parametrize("scheme", SCHEMES[8:12] + SCHEMES[16:], ids=str)
    def test_dense_integration(self, scheme):
        # Midpoints: errors e ≤ 1 of slopes up to c make e² change its slope by 2c² an h², and by 4c at a kink, of which
        # every line has two a knot.
        n = 2000
        chain = (scheme.decoder_staircase.slopes.max() + scheme.levels) / (1 - scheme.gap)
        chain *= max(scheme.encoder_staircase.slopes.max(), 1) / (scheme.levels - scheme.gap)
        bound = 2 * (chain**2 / 12 + 4 * scheme.levels * 4 * chain / 8) / n**2
        middles = (np.arange(n) + 0.5) / n
        errors = squared_errors(scheme, middles[:, None], middles)
        assert scheme.expected_losses() == pytest.approx([error.mean() for error in errors], abs=bound)
        assert bound < 0.1 * scheme.expected_loss()

    @pytest.mark.parametrize("alignment", ALIGNMENTS)
    @pytest.mark.parametrize("levels", [6, 9, 23])
    def test_many_levels_are_extrapolated_exactly(self, alignment, levels):
        scheme = QuantizedPair(levels, 0.7, "segment", alignment)
        whole = segment_sums(levels, 0.7, 0.7, alignment)
        assert scheme.expected_losses() == pytest.approx(
            (whole[0] / levels**3, whole[1] / levels), abs=2 * loss_rounding(scheme)
        )

    def test_fewer_levels_are_not_alike(self):
        differences = np.diff([segment_sums(few, 0.7, 0.7, "centred")[1] for few in (1, 2, 3, 4, 5, 6)])
        assert differences[-1] == pytest.approx(differences[-2], abs=4 * 6 * loss_rounding(QuantizedPair(6)))
        assert abs(differences[-1] - differences[0]) > 1e-3

    def test_units_agree_where_they_say_the_same(self):
        for alignment in ("centred", "before", "after"):
            one, other = (
                QuantizedPair(5, ramp, units, alignment) for ramp, units in ((0.06, "input"), (0.3, "segment"))
            )
            assert one.expected_loss() == pytest.approx(other.expected_loss(), abs=2 * loss_rounding(one))

    def test_before_and_after_are_mirror_images(self):
        losses = [QuantizedPair(4, 0.1, alignment=alignment).expected_losses() for alignment in ("before", "after")]
        assert losses[0] == pytest.approx(losses[1], abs=2 * loss_rounding(QuantizedPair(4)))

    @pytest.mark.parametrize("alignment", ALIGNMENTS)
    def test_narrow_ramps_tend_to_jumps_and_wider_ones_lose_more(self, alignment):
        losses = [QuantizedPair(3, ramp, "segment", alignment).expected_loss() for ramp in (1e-9, 0.1, 0.3, 0.6, 0.9)]
        # Ramps of both staircases hold 2ε of the inputs, with errors of at most 1.
        assert losses[0] == pytest.approx(QuantizedPair(3).expected_loss(), abs=2e-9)
        assert np.all(np.diff(losses) > 0)


class TestBestLevels:
    @pytest.mark.parametrize("units", ["input", "segment"])
    @pytest.mark.parametrize("alignment", ALIGNMENTS)
    @pytest.mark.parametrize("ramp", [0.013, 0.05, 0.11, 0.3, 0.5, 0.97])
    def test_a_full_search_finds_none_better(self, units, alignment, ramp):
        most = int(1 / ramp) if units == "input" else 120
        losses = [QuantizedPair(levels, ramp, units, alignment).expected_loss() for levels in range(1, most + 1)]
        best = best_levels(ramp, units, alignment)
        assert best.loss == min(losses)
        assert best.levels == 1 + int(np.argmin(losses))

    def test_the_loss_vanishes_with_the_ramp(self):
        losses = [best_levels(ramp).loss for ramp in (1e-1, 1e-2, 1e-3, 1e-4)]
        # 1/(24 Z²) + c Z ε is least where both are of order ε^(2/3).
        assert np.diff(np.log10(losses))[-1] == pytest.approx(-2 / 3, abs=0.05)
        assert best_levels(0.9) == best_levels(0.9, alignment="guarded")
        assert best_levels(0.9).loss == pytest.approx(linear_loss(), abs=loss_rounding(QuantizedPair(1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "`levels` must be a whole number of at least 1, got 0"),
        ((3, 0.0), r"`ramp` must be in \(0, 0.333333\], got 0: a ramp cannot be wider than a segment, 1/3"),
        ((3, 0.34), r"`ramp` must be in \(0, 0.333333\], got 0.34"),
        ((3, nan), r"`ramp` must be in .*got nan"),
        ((3, inf), r"`ramp` must be in"),
        ((3, 1.01, "segment"), r"`ramp` must be in \(0, 1\], got 1.01"),
        ((3, 1.0, "segment", "guarded"), r"`ramp` must be in \(0, 1\), got 1"),
    ],
)
def test_bad_schemes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuantizedPair(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("2.5", "`levels` must be a whole number of at least 1, got 2.5"),
        ("3, [0.1, 0.2]", "`ramp` must be one number or None, got shape (2,)"),
        ("3, 'wide'", "`ramp` must be a real number or an array of them, got 'wide'"),
        ("3, 0.1, 'feet'", "`units` must be one of input, segment, got 'feet'"),
        ("3, 0.1, 'input', 'left'", "`alignment` must be one of centred, before, after, guarded, got 'left'"),
    ],
)
def test_values_of_another_type_are_refused_without_the_type_checker_too(arguments, message):
    code = f"import superposition as sp; sp.compression.QuantizedPair({arguments})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"ValueError: {message}" in done.stderr


def test_values_outside_are_refused():
    scheme = QuantizedPair(3, 0.1)
    for bad in (-0.1, 1.1, nan, inf):
        with pytest.raises(ValueError, match=r"`x` must be in \[0, 1\]"):
            scheme.encode(bad, 0.5)
        with pytest.raises(ValueError, match=r"`y` must be in \[0, 1\], got .* at index 1"):
            scheme.encode(0.5, [0.2, bad])
        with pytest.raises(ValueError, match=r"`t` must be in \[0, 1\]"):
            scheme.decode(bad)
    with pytest.raises(ValueError, match="`ramp` must be in"):
        best_levels(0.0)
