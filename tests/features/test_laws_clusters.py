"""Mean-field integrals of laws of many values against the sum over the values."""

import numpy as np
import pytest
from scipy.special import ndtr

from superposition.features import Empirical
from superposition.features.laws import clusters, discrete
from superposition.features.smoothing import standardised
from superposition.theory import relu_loss, symmetric_optimum
from tests.rounding import assert_close, gamma

EPS = np.finfo(float).eps
# What the docstring of `Empirical._integrated` promises beside roundings of the nodes: of a moment, of E u^k where the
# kink is within the support, and of a moment where it is outside.
OF_ITSELF, OF_ALL, OUTSIDE = 1e-13, 1e-18, 1e-12


def some_laws():
    rng = np.random.default_rng(0)
    yield "gamma", Empirical(rng.gamma(2.0, 0.5, 2000))
    yield "heavy", Empirical(rng.pareto(0.5, 1000))
    yield "lognormal", Empirical(np.exp(3 * rng.standard_normal(700)))
    yield "even", Empirical(np.arange(300) / 300)
    yield "histogram", Empirical(np.arange(400), np.exp(-np.arange(400) / 30))
    parts = [centre + 10.0**size * rng.random(150) for centre, size in ((0, -3), (1, -9), (1.5, -13), (3, -1))]
    yield "clusters", Empirical(np.concatenate(parts))


LAWS = dict(some_laws())


def random_points(law, rng, n=600):
    """Kinks within and outside the law, by up to 37 widths, of widths over 15 decades."""
    low, high = law.support
    width = (high - low) * 10 ** rng.uniform(-12, 3, n)
    kind = rng.integers(0, 4, n)
    kinks = [
        rng.choice(law.values, n) + 3 * width * rng.standard_normal(n),
        rng.uniform(low, high, n),
        high + width * rng.uniform(-9, 37, n),
        low - width * rng.uniform(-9, 37, n),
    ]
    return np.choose(kind, kinks), width


def plain_sums(law, kink, width, power, function, slope):
    """E u^power f(z), z = (u − kink)/width, by the sum, and what roundings of z and of nodes move it.

    A node is rounded by up to 4 EPS of itself and of its cell, no wider than 4 widths; z by 2 EPS of itself.
    """
    u, weights = np.array(law.values), np.array(law.weights)
    sums, moved = np.empty(kink.size), np.empty(kink.size)
    for k in range(kink.size):
        z = standardised(u - kink[k], np.asarray(width[k]))
        value = weights * function(z)
        off = 4 * EPS * (u + 4 * width[k])
        sums[k] = value @ u**power
        change = weights * slope(z) * (off / width[k] + 2 * EPS * np.abs(z))
        moved[k] = change @ u**power + (power * value * off) @ u ** max(power - 1, 0)
    return sums, moved


def density(z):
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


MOMENTS = {
    "active": (0, ndtr, density),
    "active_u": (1, ndtr, density),
    "active_uu": (2, ndtr, density),
    "silent": (2, lambda z: ndtr(-z), density),
    "density": (0, density, lambda z: np.abs(z) * density(z)),
    "density_u": (1, density, lambda z: np.abs(z) * density(z)),
}


def misses(law, name, kink, width):
    """Error of a moment in units of its bound."""
    power, function, slope = MOMENTS[name]
    expected, moved = plain_sums(law, kink, width, power, function, slope)
    found = law.silent_second_moment(-kink, width) if name == "silent" else getattr(law.smoothed(-kink, width), name)
    outside = (kink < law.support[0]) | (kink > law.support[1])
    whole = (1.0, law.mean, law.second_moment)[power]
    # `normal_density` ends at 4e-305.
    bound = np.where(outside, OUTSIDE * expected, OF_ITSELF * expected + OF_ALL * whole) + moved + 1e-304 * whole
    return np.abs(found - expected) / bound


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_naive_twin_moments_by_the_plain_sum(law, name, rng):
    assert misses(law, name, *random_points(law, rng)).max() <= 1


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_naive_twin_distortion_by_the_plain_sum(law, rng):
    kink, width = random_points(law, rng)
    slope, offset = rng.random(kink.size), rng.standard_normal(kink.size) * np.sqrt(law.second_moment)
    u, weights = np.array(law.values), np.array(law.weights)
    outside = (kink < law.support[0]) | (kink > law.support[1])
    for k, found in enumerate(law.distortion(slope, offset, -kink, width)):
        z = standardised(u - kink[k], np.asarray(width[k]))
        missed = slope[k] * u - offset[k]
        expected, whole = weights @ (missed**2 * ndtr(z)), weights @ missed**2
        # As for the moments, and for what is missed: 4 roundings more, of each of its terms.
        off = 4 * EPS * (u + 4 * width[k])
        moved = weights @ (missed**2 * density(z) * (off / width[k] + 2 * EPS * np.abs(z)))
        parts = slope[k] * off + 2 * EPS * (slope[k] * u + abs(offset[k]))
        moved += weights @ ((2 * np.abs(missed) + parts) * parts * ndtr(z))
        bound = OUTSIDE * expected if outside[k] else OF_ITSELF * expected + OF_ALL * whole
        assert abs(found - expected) <= bound + moved + 1e-304 * whole


@pytest.mark.parametrize(
    ("name", "value"),
    [("_CELL", 12.0), ("_OUTSIDE_CELL", 6.0), ("_REACH", 6.0)],
)
def test_control_wider_cells_and_a_nearer_reach_are_seen(name, value, rng, monkeypatch):
    monkeypatch.setattr(clusters, name, value)
    law = Empirical((np.arange(2500) / 2500) ** 2)
    points = random_points(law, rng)
    assert max(misses(law, moment, *points).max() for moment in MOMENTS) > 10


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_identity_nodes_are_few_and_have_the_mass_and_the_moments_of_the_law(law, rng):
    own = clusters.Clusters(np.array(law.values), np.array(law.weights))
    kink, width = random_points(law, rng, 300)
    levels = own.levels(kink, width)
    for level in np.unique(levels):
        here = levels == level
        values, weights = own.nodes(int(level), kink[here], width[here])
        # Cells of at least two widths over 18 widths, cut at both ends; the two pairs.
        assert values.shape[1] <= 11 * 16 + 4
        assert (weights >= 0).all()
        assert law.support[0] <= values.min()
        assert values.max() <= law.support[1]
        # A tree of depth 11 of some five roundings each, a Gauss rule, whose 16 vectors are so many roundings off.
        bound = gamma(values.shape[1] + 5 * 11 + 16 * 16, float)
        for power, moment in enumerate((1.0, law.mean, law.second_moment)):
            assert_close((weights * values**power).sum(axis=1), moment, bound)


def test_few_values_are_taken_one_by_one(rng, monkeypatch):
    monkeypatch.setattr(discrete, "_clusters", None)
    law = Empirical(np.linspace(0.0, 1.0, discrete._FEW))
    for name in MOMENTS:
        assert misses(law, name, *random_points(law, rng, 50)).max() <= 1
    with pytest.raises(TypeError):
        misses(Empirical(np.linspace(0.0, 1.0, discrete._FEW + 1)), "active", *random_points(law, rng, 2))


def test_no_noise_and_no_points():
    law = LAWS["gamma"]
    values, weights = np.array(law.values), np.array(law.weights)
    kink = np.array([0.5, values[700], 2.0])
    above = law.smoothed(-kink, np.zeros(3)).active
    expected = [weights[values > k].sum() + weights[values == k].sum() / 2 for k in kink]
    assert_close(above, expected, gamma(values.size, float))
    assert law.smoothed(np.empty(0), np.empty(0)).active.shape == (0,)


def test_limit_values_that_are_the_same_within_rounding():
    # A Gauss rule has fewer distinct values than nodes, but for rounding; each is some of it off.
    law = Empirical(np.append(1 + EPS * np.arange(300), 2.0))
    for name in MOMENTS:
        assert misses(law, name, np.array([1.5, 1.0, 0.0]), np.array([0.2, 1e-9, 0.3])).max() <= 1


def test_naive_twin_losses_with_and_without_clusters(monkeypatch, rng):
    law = LAWS["gamma"]
    r, p = np.exp(rng.uniform(np.log(1e-3), 0, 40)), np.exp(rng.uniform(np.log(1e-9), 0, 40))
    scale, bias, noise = rng.uniform(0.3, 1.5, 40), -rng.random(40), rng.uniform(1e-3, 2, 40)
    best, loss = symmetric_optimum(r, p, law).loss, relu_loss(scale, bias, noise, p, law)
    monkeypatch.setattr(discrete, "_FEW", len(law.values))
    # Terms add up to some 36 times the loss at the optimum (docs/theory.md, 3.1), and not more here.
    assert_close(best, symmetric_optimum(r, p, law).loss, 2 * 36 * OF_ITSELF)
    assert_close(loss, relu_loss(scale, bias, noise, p, law), 2 * 36 * OF_ITSELF)
