"""The capacity theorem: the appendix-H table, the first-order condition, brute force, features given up."""

import numpy as np
import pytest

from superposition.features import Constant, SparseFeatures, Uniform
from superposition.theory import (
    allocate,
    capacity,
    hull_optimum,
    loss_gradients,
    optimal_relu,
    symmetric_optimum,
    zero_ratio_loss,
)


def halves(alpha, n=4096, p=0.04):
    return SparseFeatures(n, p, importance=np.repeat([1.0, alpha], n // 2))


def naive_loss(capacity, features):
    """n⁻¹ Σ M_i ℓ_i(h_i), one feature at a time."""
    total = 0.0
    for h, p, M in zip(
        capacity, features.per_feature(features.probability), features.per_feature(features.importance), strict=True
    ):
        v = zero_ratio_loss(p, features.law)
        total += M * (v if h == 0 else optimal_relu(np.sqrt(v * (1 / h - 1)), p, features.law).loss)
    return total / len(capacity)


@pytest.mark.parametrize(
    ("alpha", "h", "scale", "loss"),
    [
        (1.0, (0.250, 0.250), (1.321, 1.321), 3.971e-3),
        (0.5, (0.302, 0.198), (1.334, 1.268), 2.844e-3),
        (0.1, (0.500, 0.0), (1.276, 0.0), 1.280e-3),
    ],
)
def test_known_values_of_appendix_h(alpha, h, scale, loss):
    found = allocate(halves(alpha), 1024)
    assert found.capacity[[0, -1]] == pytest.approx(h, abs=1.5e-3)
    assert found.scale[[0, -1]] == pytest.approx(scale, abs=2e-3)
    assert found.loss == pytest.approx(loss, abs=5e-7)


def test_at_one_quarter_some_of_the_unimportant_features_are_given_up():
    """Keeping all of them, as equal capacities within each half do, costs 2.082e-3."""
    found = allocate(halves(0.25), 1024)
    assert 0 < found.dropped < 2048
    assert found.loss < 2.0815e-3


@pytest.mark.parametrize("alpha", [0.9, 0.5, 0.3])
def test_certificate_equal_prices_and_exact_sum(alpha):
    features = halves(alpha)
    found = allocate(features, 1024)
    assert found.capacity.sum() == pytest.approx(1024, abs=1e-9)
    prices = [-M * loss_gradients(found.capacity[i], 0.04).ratio for i, M in ((0, 1.0), (-1, alpha))]
    assert prices == pytest.approx([found.price] * 2, rel=1e-4)


@pytest.mark.parametrize("alpha", [1.0, 0.4, 0.25, 0.12])
def test_certificate_no_two_level_split_is_better(alpha):
    """Brute force over kept features and both capacities."""
    best, v = allocate(halves(alpha, n=40), 10), zero_ratio_loss(0.04)
    h1 = np.linspace(0.05, 0.5, 91)
    first = symmetric_optimum(h1, 0.04).loss
    for kept in range(21):
        h2 = (10 - 20 * h1) / max(kept, 1)
        allowed = (h2 <= 1) & ((h2 > 0) if kept else (h2 <= 1e-12))
        second = symmetric_optimum(h2[allowed], 0.04).loss if kept and allowed.any() else np.full(allowed.sum(), v)
        total = (20 * first[allowed] + alpha * (kept * second + (20 - kept) * v)) / 40
        assert (total >= best.loss * (1 - 1e-6)).all()


def test_naive_twin_loss_of_the_allocation():
    features = SparseFeatures(
        12, np.repeat([0.02, 0.1, 0.3], 4), importance=np.tile([1.0, 0.5, 0.2, 0.01], 3), law=Constant(0.5)
    )
    found = allocate(features, 4)
    assert found.capacity.sum() == pytest.approx(4, abs=1e-9)
    assert found.loss == pytest.approx(naive_loss(found.capacity, features), rel=1e-9)
    assert (found.capacity >= 0).all()
    assert (found.capacity <= 1 + 1e-12).all()


def test_property_no_exchange_between_two_features_helps(rng):
    features = SparseFeatures(30, rng.choice([0.01, 0.05, 0.2], 30), importance=rng.choice([1.0, 0.7, 0.4], 30))
    found = allocate(features, 10)
    for _ in range(40):
        i, j = rng.choice(30, 2, replace=False)
        moved = found.capacity.copy()
        step = 0.3 * rng.random() * min(moved[i], 1 - moved[j])
        moved[i], moved[j] = moved[i] - step, moved[j] + step
        # Whole numbers of kept features cost second order in 1/n at the margin.
        assert naive_loss(moved, features) >= found.loss * (1 - 2e-3)


def test_limits_of_the_allocation():
    whole = allocate(halves(0.5, n=40), 40)
    assert (whole.capacity == 1).all()
    assert whole.loss == 0
    idle = allocate(SparseFeatures(10, 0.1, importance=np.repeat([1.0, 0.0], 5)), 7)
    assert idle.capacity[:5].tolist() == [1] * 5
    assert idle.capacity.sum() == pytest.approx(7)
    assert idle.loss == 0


def test_a_hundred_thousand_features_of_few_kinds():
    found = allocate(halves(0.2, n=100_000), 25_000)
    assert found.capacity.sum() == pytest.approx(25_000, abs=1e-6)


@pytest.mark.parametrize("law", [Uniform(), Constant()])
def test_many_probabilities_are_interpolated_to_one_part_in_a_hundred_thousand(law, rng, monkeypatch):
    features = SparseFeatures(150, 10 ** rng.uniform(-4, -0.1, 150), importance=rng.uniform(0.2, 1, 150), law=law)
    interpolated = allocate(features, 40)
    monkeypatch.setattr(capacity, "_MOST_CURVES", 1000)
    exact = allocate(features, 40)
    assert interpolated.capacity.sum() == pytest.approx(40, abs=1e-9)
    assert interpolated.loss == pytest.approx(exact.loss, rel=1e-5)
    np.testing.assert_allclose(interpolated.capacity, exact.capacity, atol=5e-3)


def test_control_a_coarse_table_of_curves_is_seen(rng, monkeypatch):
    features = SparseFeatures(150, 10 ** rng.uniform(-4, -0.1, 150), importance=rng.uniform(0.2, 1, 150))
    exact = allocate(features, 40)
    monkeypatch.setattr(capacity, "_MOST_CURVES", 3)
    assert abs(allocate(features, 40).loss / exact.loss - 1) > 1e-5


def test_a_hundred_thousand_features_of_as_many_kinds():
    found = allocate(SparseFeatures(100_000, 0.3 * np.arange(1, 100_001) ** -0.5), 500)
    assert found.capacity.sum() == pytest.approx(500, abs=1e-6)
    assert found.dropped > 50_000


class TestHull:
    def test_is_the_lower_hull_of_sampled_points(self):
        h = np.linspace(1e-3, 1, 400)
        for p in (0.01, 0.045, 0.3):
            loss, v = symmetric_optimum(h, p).loss, zero_ratio_loss(p)
            found = hull_optimum(h, p)
            chords = np.array([(v - loss).cumsum() * 0, v - np.maximum.accumulate(((v - loss) / h)[::-1])[::-1] * h])
            assert (found.loss <= loss * (1 + 1e-12)).all()
            assert (np.diff(found.loss, 2) > -1e-12).all(), "convex"
            below = h < found.threshold[0]
            np.testing.assert_allclose(found.loss[below], chords[1][below], rtol=1e-4)
            np.testing.assert_allclose(found.loss[~below], loss[~below], rtol=1e-12)

    def test_equals_the_allocation_of_many_equal_features(self):
        features = SparseFeatures(5000, 0.045)
        assert allocate(features, 500).loss == pytest.approx(hull_optimum(0.1, 0.045).loss, rel=1e-6)
        assert 1 - allocate(features, 500).dropped / 5000 == pytest.approx(hull_optimum(0.1, 0.045).kept, abs=1e-3)


@pytest.mark.parametrize("call", [lambda: allocate(halves(1, 4), 5), lambda: allocate(SparseFeatures(4, 1.0), 2)])
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()
