import itertools

import numpy as np
import pytest
import scipy.stats
from scipy.integrate import quad

from superposition import Constant, Empirical, Exponential, LinearAutoencoder, PersianRug, SparseFeatures, Uniform
from superposition.diagnostics import berry_esseen, symmetry, third_absolute_moment
from superposition.features import JoinedFeatures
from tests.diagnostics.weights import of_matrix
from tests.rounding import gamma

# Sums of some hundred terms that do not cancel, with powers of 3/2.
CLOSE = gamma(1000, float)


def naive_distance(weights, p):
    """sup_t |F − Φ| of a standardised sum of w_j c_j, c_j ~ Bernoulli(p_j), from all its atoms."""
    atoms = []
    for active in itertools.product([0, 1], repeat=len(weights)):
        chance = np.prod(np.where(active, p, 1 - p))
        atoms.append((float(np.dot(weights, active)), float(chance)))
    mean, variance = np.dot(weights, p), np.dot(np.square(weights), p * (1 - p))
    distance, below = 0.0, 0.0
    for value, group in itertools.groupby(sorted(atoms), key=lambda atom: round(atom[0], 12)):
        normal = scipy.stats.norm.cdf((value - mean) / np.sqrt(variance))
        above = below + sum(chance for _, chance in group)
        distance = max(distance, abs(below - normal), abs(above - normal))
        below = above
    return distance


@pytest.mark.parametrize("p", [0.5, 0.2, 0.01])
def test_certificate_the_exact_distance_is_below_the_bound(p, rng):
    n, features = 12, SparseFeatures(12, p, Constant(1.0))
    W = np.where(rng.random((n, n)) < 0.5, -1.0, 1.0) * rng.uniform(0.5, 1.5, (n, n))
    np.fill_diagonal(W, 1.3)
    found = berry_esseen(of_matrix(W), features)
    for i in range(4):
        exact = naive_distance(np.delete(W[i], i), np.full(n - 1, p))
        assert exact <= found.distance[i]
        # And it is no idle one: sums of few terms come within a factor of 30, rare ones of 10.
        assert exact > found.distance[i] / (30 if p == 0.5 else 10)


def test_naive_twin_every_row_of_unequal_features(rng):
    parts = SparseFeatures(4, np.array([0.1, 0.4, 0.7, 1.0]), Uniform()), SparseFeatures(3, 0.3, Exponential(0.5))
    W = rng.normal(size=(7, 7)) + 4 * np.eye(7)
    W[2] *= 1e-20 / 4
    found = berry_esseen(of_matrix(W), JoinedFeatures(*parts))
    third, second = [], []
    for part, density in zip(parts, (scipy.stats.uniform(), scipy.stats.expon(scale=0.5)), strict=True):
        for p in part.per_feature(part.probability):
            mean = p * density.mean()
            cube = quad(lambda u, m=mean, f=density: abs(u - m) ** 3 * f.pdf(u), 0, mean)[0]
            cube += quad(lambda u, m=mean, f=density: abs(u - m) ** 3 * f.pdf(u), mean, density.ppf(1 - 1e-16))[0]
            third.append((1 - p) * mean**3 + p * cube)
            second.append(p * density.moment(2) - mean**2)
    np.testing.assert_allclose(third_absolute_moment(JoinedFeatures(*parts)), third, rtol=1e-9)
    for i in range(7):
        row = np.abs(np.delete(W[i], i))
        lyapunov = (row**3 @ np.delete(third, i)) / (row**2 @ np.delete(second, i)) ** 1.5
        if i == 2:
            assert np.isnan(found.distance[i])  # dead
        else:
            assert found.lyapunov[i] == pytest.approx(lyapunov, rel=1e-8)
            assert found.non_gaussianity[i] == pytest.approx((row**3).sum() / (row**2).sum() ** 1.5, rel=CLOSE)
    np.testing.assert_array_equal(found.distance, 0.56 * found.lyapunov)
    assert found.largest == np.nanmax(found.distance)


@pytest.mark.parametrize("n", [64, 60])
def test_identity_the_largest_ratio_is_that_of_symmetry(n):
    features = SparseFeatures(n, 0.2)
    rug = PersianRug.fit(features, 20)
    found = berry_esseen(rug, features)
    assert found.non_gaussianity.max() == pytest.approx(symmetry(rug, features).non_gaussianity, rel=1e-6)
    assert found.non_gaussianity.min() >= (n - 1) ** -0.5


def test_limit_of_rare_features():
    """E|x − E x|³/(Var x)^{3/2} → (3√3/4) p^{−1/2} for Uniform(0, 1)."""
    p = 1e-8
    ratio = third_absolute_moment(SparseFeatures(1, p))[0] / SparseFeatures(1, p).variance ** 1.5
    assert ratio == pytest.approx(0.75 * np.sqrt(3 / p), rel=1e-6)


def test_without_interference_there_is_no_bound():
    features = SparseFeatures(8, 0.2)
    for model in (of_matrix(np.eye(8)), PersianRug.fit(features, 8), LinearAutoencoder.fit(features, 4)):
        found = berry_esseen(model, features)
        assert np.isnan(found.distance).all()
        assert np.isnan(found.largest)


def test_atoms_at_the_mean_are_no_trouble():
    features = SparseFeatures(1, 0.5, Empirical([1.0, 2.0, 3.0]))
    assert third_absolute_moment(features)[0] == pytest.approx((1 + (0 + 1 + 8) / 3) / 2, rel=CLOSE)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="must"):
        berry_esseen(of_matrix(np.eye(8)), SparseFeatures(7, 0.1))
    with pytest.raises(ValueError, match="law's root mean square"):
        third_absolute_moment(SparseFeatures(1, 0.5, Constant(1e80)))
