"""The lower convex hull of ℓ(h): against Qhull on sampled points, chords of every kind, rounding at p near 1."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.special import expit, logit

from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, SparseFeatures, Uniform
from superposition.theory import allocate, hull_optimum, loss_gradients, symmetric_optimum, zero_ratio_loss
from superposition.theory.hull import lower_hulls
from tests.rounding import PROMISED, assert_close, gamma

# Losses and capacities of the same closed forms again, or chords between them.
AGAIN = gamma(200, float)
# Ends of chords, relative: Newton's steps stop at it.
TANGENT = 1e-9

TWO = Empirical([0.05, 1], [0.9, 0.1])
THREE = Empirical([0.01, 0.1, 1], [0.9, 0.09, 0.01])
LAWS = [Uniform(), Uniform(0.9, 1), Constant(), TWO, THREE, Exponential()]


def sampled_hull(h, p, law, m):
    """Qhull's lower hull of ℓ at m points, even in logit h, at h."""
    x = expit(np.linspace(logit(p * 1e-3), 16, m))
    points = np.column_stack([np.concatenate([[0], x, [1]]), np.zeros(x.size + 2)])
    points[:-1, 1] = np.concatenate([[zero_ratio_loss(p, law)], symmetric_optimum(x, p, law).loss])
    # Below the chord from ℓ(0) to ℓ(1), as all of ℓ is: every corner is one of the lower hull.
    points[:, 1] /= points[0, 1]
    corners = points[np.sort(ConvexHull(points).vertices)]
    return np.interp(h, corners[:, 0], corners[:, 1]) * zero_ratio_loss(p, law)


def chord(h, low, high, p, law):
    """Loss of mixing two capacities."""
    ends = [symmetric_optimum(x, p, law).loss if x > 0 else zero_ratio_loss(p, law) for x in (low, high)]
    return ends[0] + (ends[1] - ends[0]) * (h - low) / (high - low)


@pytest.mark.parametrize(
    ("law", "p"),
    [*((law, 0.9) for law in LAWS), (Uniform(), 0.01), (THREE, 0.01), (THREE, 0.3), (Exponential(), 0.01)],
    ids=str,
)
def test_is_the_lower_hull_of_sampled_points(law, p):
    """Qhull's points lie on or above the hull; a spacing of 0.01 in logit h leaves them up to 1e-4 above it."""
    h = np.concatenate([[p * 0.01], np.linspace(0.02, 0.98, 49)])
    found, sampled = hull_optimum(h, p, law).loss, sampled_hull(h, p, law, 2000)
    assert (found <= sampled * (1 + PROMISED)).all()
    # 2000 points are less than 0.02 apart in logit h. Between two the chord is an eighth of the square of that above
    # d²ℓ/dlogit², which is below 2ℓ.
    assert_close(found, sampled, 0.02**2 / 4)


@pytest.mark.parametrize("law", [Uniform(), Constant(), THREE, Exponential()], ids=str)
def test_chords_are_tangent_at_both_ends(law):
    for hull, p in zip(lower_hulls(np.array([1e-12, 0.01, 0.3, 0.95]), law), (1e-12, 0.01, 0.3, 0.95), strict=True):
        for ends in (hull.low, hull.high):
            inside = (ends > 0) & (ends < 1)
            slope = -np.asarray(loss_gradients(ends[inside], p, law).ratio)
            # d log ℓ′/d log h is of order 1 at the ends.
            assert_close(slope, np.exp(hull.chord_log_slope[inside]), TANGENT)
        assert (np.diff(hull.chord_log_slope) < 0).all(), "convex"
        assert (hull.low[1:] >= hull.high[:-1]).all()


@pytest.mark.parametrize(
    ("ratio", "p", "law", "low", "least"),
    [
        (0.99, 0.3, TWO, 0.7, 4.52e-5),
        (0.99, 0.7, Exponential(), 0.9, 6.9855e-3),
        (0.99, 0.95, Uniform(), 0.97, 8.7854e-4),
        (0.95, 0.3, Beta(0.1, 5), 0.88, 2e-5),
    ],
    ids=str,
)
def test_some_features_get_a_dimension_of_their_own(ratio, p, law, low, least):
    """A chord that ends at h = 1; equal shares, and any hull without such chords, are worse."""
    found = hull_optimum(ratio, p, law)
    assert found.loss <= chord(ratio, low, 1.0, p, law) * (1 + AGAIN)
    assert found.loss <= least
    assert found.loss < symmetric_optimum(ratio, p, law).loss * (1 - 5e-4), "control: ℓ itself is above"
    assert found.high == 1
    assert found.kept == 1
    assert_close(found.share * found.high + (1 - found.share) * found.low, ratio, AGAIN)
    assert_close(found.loss, chord(ratio, found.low, 1.0, p, law), PROMISED)


def test_two_kept_capacities_on_an_interior_chord():
    found = hull_optimum(0.1, 0.01, THREE)
    assert 0.02 < found.low < 0.03
    assert 0.12 < found.high < 0.13
    assert found.kept == 1
    assert found.loss < symmetric_optimum(0.1, 0.01, THREE).loss
    assert_close(found.loss, chord(0.1, found.low, found.high, 0.01, THREE), PROMISED)


@pytest.mark.parametrize(
    ("p", "law", "high", "attained"),
    [(0.95, Constant(), 0.97, 0.02374472), (0.9, Constant(), 0.93, None), (0.95, Uniform(0.9, 1), 0.96, None)],
    ids=str,
)
def test_rounding_of_small_capacities_is_no_chord(p, law, high, attained):
    """(v − ℓ)/h has an error of 1e-16/h: at p near 1 it beats the chord itself at h = 1e-13."""
    found = hull_optimum(0.5, p, law)
    assert abs(found.threshold - high) < 0.01  # a place by eye, far from the wrong one, 1e-13
    assert found.loss <= chord(0.5, 0.0, high, p, law) * (1 + AGAIN)
    assert found.loss < symmetric_optimum(0.5, p, law).loss
    assert attained is None or found.loss <= attained


@pytest.mark.parametrize(
    ("p", "threshold", "slope"),
    [
        (0.5, 0.5507, 1.086),
        (0.3, 0.4424, 1.223),
        (0.045, 0.1623, 2.885),
        (1e-3, 0.00921, 53.19),
        (1e-4, 0.00125, 404.1),
    ],
)
def test_known_thresholds(p, threshold, slope):
    """The table of docs/theory.md, section 6."""
    found = hull_optimum(threshold / 2, p)
    # Both are rounded to the digits given, at least three and four.
    assert_close(found.threshold, threshold, 0.005 / 1.25)
    v = zero_ratio_loss(p)
    assert_close((v - found.loss) / (threshold / 2), slope * v, 0.0005 / 1.086)
    assert_close(found.kept, threshold / 2 / found.threshold, AGAIN)
    assert (found.low, found.high, found.share) == (0, found.threshold, found.kept)


def test_above_the_chords_all_features_are_alike():
    found = hull_optimum(0.25, 0.045)
    assert found.loss == symmetric_optimum(0.25, 0.045).loss
    assert (found.low, found.high, found.share, found.kept) == (0.25, 0.25, 1, 1)
    assert hull_optimum(1.0, 0.045).loss == 0


@pytest.mark.parametrize("law", [Uniform(0.9, 1), Constant(), TWO, THREE, HalfNormal()], ids=str)
def test_every_probability_has_a_hull(law):
    """Without warnings, which are errors here, and never above ℓ nor the linear optimum."""
    r = np.array([1e-3, 0.2, 0.7, 0.999])[:, None]
    p = np.array([1e-12, 1e-6, 0.01, 0.045, 0.5, 0.9, 0.99, 1 - 1e-6])
    found = hull_optimum(r, p, law)
    assert found.loss.shape == found.low.shape == found.threshold.shape == (4, 8)
    assert (found.loss <= symmetric_optimum(r, p, law).loss * (1 + PROMISED)).all()
    assert (found.loss <= (1 - r) * zero_ratio_loss(p, law) * (1 + PROMISED)).all()
    assert_close(found.share * found.high + (1 - found.share) * found.low, r + 0 * p, AGAIN)


def test_no_ratio_gives_no_hull():
    assert hull_optimum(np.empty(0), 0.1).loss.shape == (0,)


@pytest.mark.parametrize(("law", "p", "ratio"), [(Uniform(), 0.045, 0.1), (TWO, 0.3, 0.9), (Exponential(), 0.7, 0.95)])
def test_equals_the_allocation_of_many_equal_features(law, p, ratio):
    found, hull = allocate(SparseFeatures(5000, p, law), round(5000 * ratio)), hull_optimum(ratio, p, law)
    # One of 5000 features is kept or dropped, in second order of 1/5000 in the loss.
    assert_close(found.loss, hull.loss, 1e-7)
    assert abs(1 - found.dropped / 5000 - hull.kept) < 1 / 5000
    assert abs((found.capacity > (hull.low + hull.high) / 2).mean() - hull.share) < 1 / 5000
