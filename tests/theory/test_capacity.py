"""Shares of capacity: the appendix-H table, dynamic programming as oracle, prices, extreme importances."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit

from superposition import held_out_loss
from superposition.features import Beta, Constant, Empirical, Exponential, SparseFeatures, Uniform
from superposition.features.laws import discrete
from superposition.models import realise
from superposition.models.frames import projection_root
from superposition.theory import (
    allocate,
    capacity,
    capacity_demand,
    hull_optimum,
    loss_gradients,
    mean_field_loss,
    optimal_relu,
    symmetric_optimum,
    zero_ratio_loss,
)
from tests.rounding import PROMISED, assert_close, assert_within, gamma, likely_gamma
from tests.statistics import Z_BOUND

# Of the loss: what the docstring of `allocate` promises where no class is split.
SHARES = 1e-8


def uses_all(found, n_hidden):
    """Capacities add up to n_hidden: each is rounded some four times, and so is their sum."""
    assert_within(found.capacity.sum(), n_hidden, likely_gamma(4 * found.capacity.size, float) * n_hidden)


def halves(alpha, n=4096, p=0.04):
    return SparseFeatures(n, p, importance=np.repeat([1.0, alpha], n // 2))


TWO = Empirical([0.05, 1], [0.9, 0.1])
THREE = Empirical([0.01, 0.1, 1], [0.9, 0.09, 0.01])


def losses_on(h, features):
    """M ℓ(h) of each feature at h[0] = 0 and the other h."""
    p, which = np.unique(features.per_feature(features.probability), return_inverse=True)
    loss = symmetric_optimum(h[1:], p[:, None], features.law).loss
    loss = np.column_stack([zero_ratio_loss(p, features.law), loss])[which]
    return features.per_feature(features.importance)[:, None] * loss


def on_a_grid(features, n_hidden, steps=200):
    """Least loss when every capacity is a multiple of 1/steps: dynamic programming, feature by feature."""
    best = np.full(n_hidden * steps + 1, np.inf)
    best[0] = 0.0
    for cost in losses_on(np.linspace(0, 1, steps + 1), features):
        reached = np.full(best.size, np.inf)
        for k in range(steps + 1):
            reached[k:] = np.minimum(reached[k:], best[: best.size - k] + cost[k])
        best = reached
    return best[-1] / features.n_features


def lagrange_dual(features, n_hidden, prices):
    """Lower bound on the loss of any shares, the best over some prices; too high by some 1e-6, as h is on a grid."""
    h = np.concatenate([[0.0], expit(np.linspace(-7, 14, 3000)), [1.0]])
    losses = losses_on(h, features)
    return max(((losses + price * h).min(axis=1).sum() - price * n_hidden) for price in prices) / features.n_features


def alike(features, n_hidden):
    """Loss of equal shares."""
    p, M = features.per_feature(features.probability), features.per_feature(features.importance)
    return (M * symmetric_optimum(n_hidden / features.n_features, p, features.law).loss).mean()


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
    # Losses have four digits; where these are so flat, the parameters are known to some two thousandths.
    assert_within(found.loss, loss, 5e-7)
    assert_within(found.capacity[[0, -1]], h, 1.5e-3)
    assert_within(found.scale[[0, -1]], scale, 2e-3)


def test_at_one_quarter_some_of_the_unimportant_features_are_given_up():
    """Keeping all of them, as equal capacities within each half do, costs 2.082e-3."""
    found = allocate(halves(0.25), 1024)
    assert 0 < found.dropped < 2048
    assert found.loss < 2.0815e-3


@pytest.mark.parametrize("alpha", [0.9, 0.5, 0.3])
def test_certificate_equal_prices_and_exact_sum(alpha):
    features = halves(alpha)
    found = allocate(features, 1024)
    uses_all(found, 1024)
    prices = [-M * loss_gradients(found.capacity[i], 0.04).ratio for i, M in ((0, 1.0), (-1, alpha))]
    # Tables of 1025 columns over some ten e-folds of the price, the widest π/2 · 1/1024 of them, interpolated linearly.
    assert_close(prices, [found.price] * 2, (np.pi / 2048 * 10) ** 2 / 8)


@pytest.mark.parametrize("alpha", [0.4, 0.25])
def test_certificate_no_two_level_split_is_better(alpha):
    """Brute force over kept features and both capacities."""
    best, v = allocate(halves(alpha, n=40), 10), zero_ratio_loss(0.04)
    h1 = np.linspace(0.05, 0.5, 91)
    first = symmetric_optimum(h1, 0.04).loss
    for kept in range(21):
        h2 = (10 - 20 * h1) / max(kept, 1)
        allowed = (h2 <= 1) & ((h2 > 0) if kept else (h2 <= gamma(10, float) * 10))
        second = symmetric_optimum(h2[allowed], 0.04).loss if kept and allowed.any() else np.full(allowed.sum(), v)
        total = (20 * first[allowed] + alpha * (kept * second + (20 - kept) * v)) / 40
        assert (total >= best.loss * (1 - SHARES)).all()


def test_naive_twin_loss_of_the_allocation():
    features = SparseFeatures(
        12, np.repeat([0.02, 0.1, 0.3], 4), importance=np.tile([1.0, 0.5, 0.2, 0.01], 3), law=Constant(0.5)
    )
    found = allocate(features, 4)
    uses_all(found, 4)
    assert_close(found.loss, naive_loss(found.capacity, features), gamma(400, float))  # the same terms, one by one
    assert (found.capacity >= 0).all()
    assert (found.capacity <= 1).all()


def a_small_problem(rng, law):
    n = int(rng.integers(2, 9))
    p = [rng.choice([0.01, 0.3, 0.5, 0.9, 0.99]), 10 ** rng.uniform(-3, -0.01, n), rng.choice([0.01, 0.3, 0.95], n)]
    M = [1.0, rng.uniform(0.1, 1, n), 10 ** rng.uniform(-3, 0, n), rng.choice([1.0, 0.5], n)]
    return SparseFeatures(n, p[rng.integers(3)], law, M[rng.integers(4)]), int(rng.integers(1, n))


@pytest.mark.parametrize("law", [Uniform(), Constant(), TWO, THREE], ids=str)
def test_no_grid_has_better_shares_for_few_features(law, rng):
    """Every share on the grid is feasible, and the loss of the shares found is true: they must not be above it.

    As is promised of a loss: the shares are refined to 1e-9 of capacity, and their loss is stationary there.
    """
    for _ in range(3):
        features, n_hidden = a_small_problem(rng, law)
        found = allocate(features, n_hidden)
        uses_all(found, n_hidden)
        assert ((found.capacity >= 0) & (found.capacity <= 1)).all()
        assert found.loss <= on_a_grid(features, n_hidden) * (1 + PROMISED)
        assert found.loss <= alike(features, n_hidden) * (1 + PROMISED)


@pytest.mark.parametrize(
    ("n", "n_hidden", "p", "law", "before"),
    [
        (8, 5, 0.01, TWO, 2.0175e-5),
        (2, 1, 0.5, Constant(), 0.121477),
        (3, 1, 0.5, Constant(), 0.165437),
        (2, 1, 0.5, Uniform(0.5, 1), 0.073028),
        (12, 1, 0.045, Uniform(), 0.01101),
    ],
    ids=str,
)
def test_few_features_share_better_than_alike_or_rounded(n, n_hidden, p, law, before):
    features = SparseFeatures(n, p, law)
    found = allocate(features, n_hidden)
    assert found.loss < before
    assert found.loss <= on_a_grid(features, n_hidden) * (1 + PROMISED)


@pytest.mark.parametrize("law", [Uniform(), TWO], ids=str)
def test_roundings_of_the_relaxed_optimum_miss_little(law, rng, monkeypatch):
    """Without dynamic programming, as for more features: within 0.2/n of the loss, and never worse than alike."""
    monkeypatch.setattr(capacity, "_FEW", 0)
    for _ in range(3):
        n = int(rng.integers(12, 20))
        features = SparseFeatures(n, rng.choice([0.01, 0.3, 0.9], n), law, rng.uniform(0.2, 1, n))
        n_hidden = int(rng.integers(1, n))
        found = allocate(features, n_hidden)
        uses_all(found, n_hidden)
        assert found.loss <= on_a_grid(features, n_hidden, 100) * (1 + 0.2 / n)
        assert found.loss <= alike(features, n_hidden) * (1 + PROMISED)


@pytest.mark.parametrize("law", [Uniform(), TWO], ids=str)
def test_many_features_attain_the_lagrange_dual(law):
    """The dual, at the price that is reported, bounds every share from below."""
    p, M = np.repeat([0.02, 0.3, 0.9], 400), np.tile([1.0, 0.3, 0.1, 0.01], 300)
    for n_hidden in (100, 500, 1000):
        found = allocate(SparseFeatures(1200, p, law, M), n_hidden)
        # One of each kind, and 1/100 of the capacity.
        kinds = SparseFeatures(12, np.repeat([0.02, 0.3, 0.9], 4), law, np.tile([1.0, 0.3, 0.1, 0.01], 3))
        bound = lagrange_dual(kinds, n_hidden / 100, found.price * np.linspace(0.98, 1.02, 9))
        # 3000 points along 21 in logit h miss the least cost by an eighth of the squared step, of a curvature up to 2ℓ.
        assert_close(found.loss, bound, (21 / 3000) ** 2 / 4)


@pytest.mark.parametrize(
    ("law", "p", "n_hidden"),
    [
        (Uniform(), 0.04, 6000),
        (Uniform(), 0.04, 500),
        (TWO, 0.2, 19500),
        (Exponential(), 0.5, 1000),
        (Exponential(), 0.5, 18500),
    ],
    ids=str,
)
def test_price_is_what_one_more_dimension_saves(law, p, n_hidden):
    """On smooth pieces, on chords from ℓ(0) and on chords to h = 1."""
    features = SparseFeatures(20_000, p, law, importance=np.repeat([1.0, 0.7, 0.4, 0.1], 5000))
    less, found, more = (allocate(features, n_hidden + step) for step in (-20, 0, 20))
    # The difference over ±20 dimensions has an error of second order in 20/n_hidden, 0.04 at most, and whole features.
    assert_close(found.price, (less.loss - more.loss) * 20_000 / 40, 2e-3)


def test_price_of_scarce_capacity_is_not_zero():
    """One feature is whole and the next is far less important: its chord is the worth of the next dimension."""
    features = SparseFeatures(3, 0.3, importance=np.array([1.0, 1e-3, 1e-6]))
    found = allocate(features, 1)
    threshold = hull_optimum(0.5, 0.3).threshold
    slope = (zero_ratio_loss(0.3) - symmetric_optimum(threshold, 0.3).loss) / threshold
    assert_close(found.price, 1e-3 * slope, PROMISED)
    assert allocate(features, 3).price == 0


@pytest.fixture
def _uncached(monkeypatch):
    """For a test that changes what hulls are made of: they are made again each time, and none is kept."""
    monkeypatch.setattr(capacity_demand, "_hulls", capacity_demand._hulls.__wrapped__)


@pytest.mark.usefixtures("_uncached")
def test_control_without_chords_to_one_shares_are_worse(monkeypatch):
    """The chord from 0.69 to 1 of the two-valued law, taken out of the hull."""
    features = SparseFeatures(400, 0.3, TWO, importance=np.repeat([1.0, 0.9], 200))
    best = allocate(features, 380)
    hulls = capacity_demand.lower_hulls

    def without(p, law):
        return [
            dataclasses.replace(
                hull, **{name: getattr(hull, name)[:1] for name in ("low", "high", "low_loss", "high_loss")}
            )
            for hull in hulls(p, law)
        ]

    monkeypatch.setattr(capacity_demand, "lower_hulls", without)
    assert 0 < (best.capacity == 1).sum() < 400
    assert allocate(features, 380).loss > 1.2 * best.loss


@pytest.mark.parametrize(
    "importance",
    [[1e-200, 1.0, 1e300], [1e-200] * 3, [1e300] * 2, [1e-300, 1e-100, 1.0, 1e300], [0.0, 1e-300, 1.0, 1.0]],
    ids=str,
)
def test_importances_of_any_size(importance):
    for n_hidden in range(1, len(importance) + 1):
        found = allocate(SparseFeatures(len(importance), 0.95, TWO, np.array(importance)), n_hidden)
        uses_all(found, n_hidden)
        assert np.isfinite(found.loss)
        if len(set(importance)) == len(importance):
            assert (found.capacity[-n_hidden:] == 1).all()


@pytest.mark.parametrize("law", [Uniform(0.9, 1), TWO, Exponential()], ids=str)
def test_probabilities_of_any_size(law):
    features = SparseFeatures(120, np.tile([1e-12, 0.3, 0.99], 40), law, importance=np.repeat([1.0, 0.3], 60))
    for n_hidden in (1, 60, 110):
        found = allocate(features, n_hidden)
        uses_all(found, n_hidden)
        assert found.loss <= alike(features, n_hidden) * (1 + PROMISED)


def test_a_chord_may_end_on_the_grid():
    """Next to h = 1, where rounding leaves no better place."""
    uses_all(allocate(SparseFeatures(60, 0.10774356349893854, TWO), 30), 30)


def test_a_law_of_which_nothing_is_convex_near_one():
    """Beta(0.1, 5): between 0.87 and 1 all is mixed; equal features are part whole and part shared."""
    found = allocate(SparseFeatures(100, 0.5, Beta(0.1, 5)), 95)
    assert (found.capacity == 1).sum() > 40
    assert found.loss < 0.97 * symmetric_optimum(0.95, 0.5, Beta(0.1, 5)).loss


def test_limits_of_the_allocation():
    whole = allocate(halves(0.5, n=40), 40)
    assert (whole.capacity == 1).all()
    assert whole.loss == 0
    idle = allocate(SparseFeatures(10, 0.1, importance=np.repeat([1.0, 0.0], 5)), 7)
    assert idle.capacity[:5].tolist() == [1] * 5
    uses_all(idle, 7)
    assert idle.loss == 0


@pytest.mark.usefixtures("_uncached")
@pytest.mark.parametrize("n_hidden", [1, 4])
def test_naive_twin_shares_for_a_law_of_many_values_by_sums_over_all(n_hidden, rng, monkeypatch):
    features = SparseFeatures(6, np.geomspace(0.01, 0.3, 6), Empirical(rng.gamma(2.0, 0.5, 400)))
    found = allocate(features, n_hidden)
    monkeypatch.setattr(discrete, "_FEW", 400)
    expected = allocate(features, n_hidden)
    # Moments are within 1e-13 and 36 times that is the loss (docs/theory.md, 3.1). The shares are those of least loss
    # to 1e-8 of it either way; this is far from what few nodes miss if they are wrong.
    assert_close(found.loss, expected.loss, 2 * 36 * 1e-13 + SHARES)
    assert_within(found.capacity, expected.capacity, np.sqrt(SHARES))


def test_a_hundred_thousand_features_of_few_kinds():
    found = allocate(halves(0.2, n=100_000), 25_000)
    uses_all(found, 25_000)


def many_probabilities(rng, law):
    return SparseFeatures(90, 10 ** rng.uniform(-3, -0.1, 90), law, rng.uniform(0.2, 1, 90))


def test_many_probabilities_are_interpolated_to_one_part_in_a_million(rng, monkeypatch):
    """Also where the number of chords changes with p."""
    features = many_probabilities(rng, THREE)
    interpolated = allocate(features, 25)
    monkeypatch.setattr(capacity_demand, "_MOST_CURVES", 1000)
    exact = allocate(features, 25)
    uses_all(interpolated, 25)
    # What the docstring says of the loss, which is stationary: the root of that, a few times, of capacities.
    assert_close(interpolated.loss, exact.loss, 1e-6)
    assert_within(interpolated.capacity, exact.capacity, 5 * np.sqrt(1e-6))


def test_control_a_coarse_table_of_curves_is_seen(rng, monkeypatch):
    features = many_probabilities(rng, Uniform())
    exact = allocate(features, 25)
    monkeypatch.setattr(capacity_demand, "_MOST_CURVES", 3)
    monkeypatch.setattr(capacity_demand, "_KNOT_STEP", 5.0)
    assert abs(allocate(features, 25).loss / exact.loss - 1) > 1e-6


def test_a_hundred_thousand_features_of_as_many_kinds():
    found = allocate(SparseFeatures(100_000, 0.3 * np.arange(1, 100_001) ** -0.5), 500)
    uses_all(found, 500)
    assert found.dropped > 50_000


@pytest.mark.parametrize("call", [lambda: allocate(halves(1, 4), 5), lambda: allocate(SparseFeatures(4, 1.0), 2)])
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()


class TestHiddenNoise:
    def test_equal_features_get_equal_shares_of_what_noise_leaves(self):
        found = allocate(SparseFeatures(512, 0.045), 128, hidden_noise=0.3)
        expected = symmetric_optimum(0.25, 0.045, hidden_noise=0.3)
        assert_close(found.loss, expected.loss, PROMISED)
        assert_close(found.capacity, 0.25 / 1.09, SHARES)
        assert_close(mean_field_loss(SparseFeatures(512, 0.045), 128, hidden_noise=0.3), expected.loss, PROMISED)

    def test_shares_are_those_of_so_many_fewer_dimensions(self):
        """1024 units at ω = 1/√3 are 768 without noise, if no feature is worth more than 3/4 of one."""
        found, fewer = allocate(halves(0.5), 1024, hidden_noise=3**-0.5), allocate(halves(0.5), 768)
        assert_close(found.loss, fewer.loss, PROMISED)
        assert_close(found.capacity, fewer.capacity, SHARES)
        assert found.capacity.max() < 0.75
        more = allocate(halves(0.5), 1024)
        assert found.loss > 1.2 * more.loss

    @pytest.mark.parametrize("noise", [0.3, 0.8])
    def test_simulation_the_weights_of_an_allocation_lose_what_it_says(self, noise):
        features = halves(0.5, n=2048)
        found = allocate(features, 512, hidden_noise=noise)
        model = realise(found, features, hidden_noise=noise)
        assert (model.n_hidden, model.hidden_noise) == (512, noise)
        loss = held_out_loss(model, features, n_samples=4000)
        # 2% for what mean field leaves out at this size.
        assert abs(loss.value - found.loss) < Z_BOUND * loss.standard_error + 0.02 * found.loss
        assert Z_BOUND * loss.standard_error < 0.03 * found.loss
        assert found.loss > 1.05 * allocate(features, 512).loss

    def test_no_weights_of_any_spectrum_have_other_shares_of_more(self, rng):
        """What the bound says: Σ h_i ≤ n_hidden/(1 + ω²) for the best read-out of any W_enc, of any shape."""
        n, n_hidden, noise = 12, 5, 0.7
        v = rng.uniform(0.1, 2, n)
        for stretch in (0.0, 1.0, 3.0):
            W_enc = np.exp(stretch * rng.normal(size=(n_hidden, 1))) * rng.normal(size=(n_hidden, n))
            covariance = (W_enc * v) @ W_enc.T
            tau = noise**2 * np.trace(covariance) / n_hidden
            h = v * np.einsum("ki,kl,li->i", W_enc, np.linalg.inv(covariance + tau * np.eye(n_hidden)), W_enc)
            assert h.sum() <= n_hidden / (1 + noise**2) * (1 + 1e-12)
        # Reached where all directions are alike.
        Q = projection_root(np.full(n, n_hidden / n)).T / np.sqrt(v)
        covariance = (Q * v) @ Q.T
        h = v * np.einsum("ki,kl,li->i", Q, np.linalg.inv(covariance + noise**2 * np.eye(n_hidden)), Q)
        assert_within(h, n_hidden / n / (1 + noise**2), 1e-9)  # to which row norms of Q are found

    def test_features_that_are_worth_more_than_noise_leaves_are_refused(self):
        features = SparseFeatures(8, 0.9, importance=10.0 ** -np.arange(8))
        with pytest.raises(ValueError, match=r"at most 1/\(1 \+ ω²\) = 0\.8 of a dimension, got 0\.5, at which"):
            allocate(features, 3, hidden_noise=0.5)
        assert mean_field_loss(features, 3, hidden_noise=0.5) is None
        assert mean_field_loss(features, 3) == allocate(features, 3).loss

    def test_where_a_feature_is_always_active_there_is_no_allocation(self):
        assert mean_field_loss(SparseFeatures(4, np.array([0.1, 0.2, 0.3, 1.0])), 2) is None

    def test_importance_counts(self):
        one, two = (mean_field_loss(SparseFeatures(64, 0.1, importance=M), 16) for M in (1.0, 2.0))
        assert two == 2 * one
