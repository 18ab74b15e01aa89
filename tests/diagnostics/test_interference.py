import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from superposition import (
    Autoencoder,
    Beta,
    Constant,
    Empirical,
    Exponential,
    HalfNormal,
    LinearAutoencoder,
    PersianRug,
    SparseFeatures,
    Uniform,
    symmetry,
)
from superposition.diagnostics import cumulants, interference, permutation_symmetry
from tests.diagnostics.weights import of_matrix, of_pairs
from tests.rounding import assert_within, conditioned_bound, gamma
from tests.statistics import Z_BOUND, z_scores

PLAIN = SparseFeatures(9, 0.2)
UNEQUAL = SparseFeatures(9, np.linspace(0.1, 1, 9), Uniform(0.5, 2.0), importance=np.arange(9.0))
RAW_MOMENTS = {
    Uniform(0.5, 2.0): lambda k: scipy.stats.uniform(0.5, 1.5).moment(k),
    Constant(1.5): lambda k: 1.5**k,
    Exponential(0.7): lambda k: scipy.stats.expon(scale=0.7).moment(k),
    HalfNormal(2.0): lambda k: scipy.stats.halfnorm(scale=2.0).moment(k),
    Beta(0.3, 2.0): lambda k: scipy.stats.beta(0.3, 2.0).moment(k),
    Empirical([0.0, 1.0, 4.0], [1, 2, 3]): lambda k: (2 + 3 * 4**k) / 6,
}


def naive_cumulants(p, raw):
    """From raw moments E x^k = p E u^k."""
    m1, m2, m3, m4 = (p * raw(k) for k in range(1, 5))
    return np.array(
        [m1, m2 - m1**2, m3 - 3 * m2 * m1 + 2 * m1**3, m4 - 4 * m3 * m1 - 3 * m2**2 + 12 * m2 * m1**2 - 6 * m1**4]
    )


def naive_moments(values):
    """Skewness and excess kurtosis of numbers."""
    d = np.asarray(values) - np.mean(values)
    return (d**3).mean() / (d**2).mean() ** 1.5, (d**4).mean() / (d**2).mean() ** 2 - 3


def naive_statistics(W, b, features, raw):
    """Feature by feature, element by element, over the live ones."""
    n = len(W)
    p = features.per_feature(features.probability)
    result = {}
    for i in range(n):
        others = [j for j in range(n) if j != i]
        noise = sum((W[i, j] / W[i, i]) ** np.arange(1, 5) * naive_cumulants(p[j], raw) for j in others)
        shares = [(W[i, j] / W[i, i]) ** 2 * naive_cumulants(p[j], raw)[1] / noise[1] for j in others]
        row = {
            "diagonal": W[i, i],
            "row_sum": sum(W[i]),
            "effective_bias": b[i] + W[i, i] * noise[0],
            "output_std": abs(W[i, i]) * np.sqrt(noise[1]),
            "mean": noise[0],
            "variance": noise[1],
            "skewness": noise[2] / noise[1] ** 1.5,
            "excess_kurtosis": noise[3] / noise[1] ** 2,
            "row_skewness": naive_moments([W[i, j] for j in others])[0],
            "row_excess_kurtosis": naive_moments([W[i, j] for j in others])[1],
            "largest_share": max(shares),
            "dominant": others[int(np.argmax(shares))] if max(shares) >= 0.9 else -1,
        }
        if abs(W[i, i]) <= 0.05 * np.abs(np.diag(W)).max():
            row |= dict.fromkeys(("mean", "variance", "skewness", "excess_kurtosis"), np.nan)
        for name, value in row.items():
            result.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in result.items()}


@pytest.fixture
def weights(rng):
    W = rng.normal(size=(9, 9)) * 0.3
    W[np.diag_indices(9)] = rng.uniform(0.5, 1.5, 9)
    W[4, 4], W[2, 7], W[5, 5] = 1e-3, 40.0, -1.2
    return W, rng.normal(size=9)


class TestCumulants:
    @pytest.mark.parametrize("law", RAW_MOMENTS, ids=lambda law: type(law).__name__)
    def test_from_raw_moments(self, law):
        p = np.array([1e-3, 0.1, 0.5, 1.0])
        expected = np.stack([naive_cumulants(value, RAW_MOMENTS[law]) for value in p], axis=1)
        # Of each sum of products of moments, up to 12 m₂ m₁²: the sum of the terms' sizes.
        m1, m2, m3, m4 = (p * RAW_MOMENTS[law](k) for k in range(1, 5))
        sizes = np.array([m1, m2 + m1**2, m3 + 3 * m2 * m1 + 2 * m1**3,
                          m4 + 4 * m3 * m1 + 3 * m2**2 + 12 * m2 * m1**2 + 6 * m1**4])  # fmt: skip
        # Moments are special functions, of a hundred roundings at most.
        assert_within(cumulants(SparseFeatures(4, p, law)), expected, gamma(100, float) * sizes, resolution=1e-9)

    def test_nothing_is_lost_for_a_narrow_law_that_is_always_there(self):
        found = cumulants(SparseFeatures(1, 1.0, Uniform(1e4, 1e4 + 1)))[:, 0]
        # The values, and only they, are near 10⁴; their differences are known to u · 10⁴.
        off = gamma(16, float) * 1e4
        np.testing.assert_allclose(found[[1, 3]], [1 / 12, -1 / 120], rtol=4 * off)
        assert abs(found[2]) < off
        assert (cumulants(SparseFeatures(1, 1.0, Constant(3.0)))[1:] == 0).all()

    def test_simulation(self, generator):
        features = SparseFeatures(1, 0.3, Exponential(0.5))
        x = features.sample(400_000, generator, dtype=torch.float64).numpy()[:, 0]
        mean, second, third, fourth = cumulants(features)[:, 0]
        d = x - mean
        powers = np.stack([d, d**2, d**3, d**4], axis=1)
        expected = np.array([0, second, third, fourth + 3 * second**2])
        assert np.abs(z_scores(powers, expected)).max() < Z_BOUND
        wrong = np.array([0, second, 0, 3 * second**2])
        assert np.abs(z_scores(powers, wrong)[2:]).min() > 3 * Z_BOUND


class TestInterference:
    @pytest.mark.parametrize(("features", "law"), [(PLAIN, None), (UNEQUAL, UNEQUAL.law)])
    @pytest.mark.parametrize("block", [1, 4 * 9, 1 << 22])
    def test_naive_twin_at_any_block_size(self, weights, features, law, block, monkeypatch):
        monkeypatch.setattr(permutation_symmetry, "_BLOCK_ENTRIES", block)
        raw = RAW_MOMENTS[law] if law else lambda k: 1 / (k + 1)
        W, b = weights
        found, expected = interference(of_matrix(W, b), features), naive_statistics(W, b, features, raw)
        assert (expected["dominant"] >= 0).any()
        assert np.isnan(expected["variance"]).sum() == 1
        mine = np.array([getattr(found, name) for name in expected])
        kept = ~np.isnan(np.stack(list(expected.values())))
        assert (np.isnan(mine) == ~kept).all()

        def per_feature(W, b):
            return np.stack(list(naive_statistics(W, b, features, raw).values()))[kept]

        # A statistic is some sums over a row, of fourth powers at most, and a quotient of them.
        bound = conditioned_bound(per_feature, W, b, roundings=16 * 9)
        assert_within(mine[kept], per_feature(W, b), bound, resolution=1e-9)

        def of_all(W):
            elements = naive_moments([W[i, j] for i in range(9) for j in range(9) if i != j])
            each = naive_statistics(W, b, features, raw)
            std = np.sqrt(each["variance"])
            return np.array([*elements, *(np.nansum(each[name] * std**k) / np.nansum(std**k)
                                          for name, k in (("skewness", 3), ("excess_kurtosis", 4)))])  # fmt: skip

        names = ("element_skewness", "element_excess_kurtosis", "pooled_skewness", "pooled_excess_kurtosis")
        bound = conditioned_bound(of_all, W, roundings=16 * 72)
        assert_within([getattr(found, name) for name in names], of_all(W), bound, resolution=1e-9)
        assert found.live.sum() == 8

    def test_same_mean_variance_and_dead_features_as_symmetry(self, weights):
        model = of_matrix(*weights)
        found, reference = interference(model, UNEQUAL), symmetry(model, UNEQUAL)
        # Two programs for the same sums over a row; those of the mean cancel.
        sums = gamma(4 * 9, float) * np.nanmax(found.variance)
        assert np.nanmean(found.mean) == pytest.approx(reference.noise_mean.mean, abs=sums)
        assert np.nanmean(found.variance) == pytest.approx(reference.noise_variance.mean, abs=sums)
        assert (~found.live).sum() == reference.dead_features

    def test_simulation_of_the_noise_itself(self, generator):
        model, features = Autoencoder(12, 6, seed=2).double(), SparseFeatures(12, np.linspace(0.1, 0.6, 12))
        found = interference(model, features)
        W = (model.W_dec @ model.W_enc).detach()
        x = features.sample(200_000, generator, dtype=torch.float64)
        noise = ((x @ W.T) / W.diagonal() - x).numpy()
        d = (noise - found.mean) / np.sqrt(found.variance)
        assert np.abs(z_scores(d, 0.0)).max() < Z_BOUND
        assert np.abs(z_scores(d**2, 1.0)).max() < Z_BOUND
        assert np.abs(z_scores(d**3, found.skewness)).max() < Z_BOUND
        assert np.abs(z_scores(d**4, found.excess_kurtosis + 3)).max() < Z_BOUND
        # Controls: a Gaussian, and the skewness of the row in place of that of the noise.
        assert np.abs(z_scores(d**4, 3.0)).max() > 3 * Z_BOUND
        assert np.abs(z_scores(d**3, 0.0)).max() > 3 * Z_BOUND
        assert np.abs(z_scores(d**3, found.row_skewness)).max() > 3 * Z_BOUND

    def test_property_permuting_features_permutes_the_statistics(self, weights, rng):
        W, b = weights
        order = rng.permutation(9)
        straight = interference(of_matrix(W, b), PLAIN)
        shuffled = interference(of_matrix(W[np.ix_(order, order)], b[order]), PLAIN)

        def skewness(W):
            return naive_statistics(W, b, PLAIN, lambda k: 1 / (k + 1))["skewness"]

        kept = straight.live
        bound = 2 * conditioned_bound(lambda W: skewness(W)[kept], W, roundings=16 * 9)
        assert_within(shuffled.skewness[kept[order]], straight.skewness[order][kept[order]],
                      np.full(kept.sum(), bound.max()), resolution=1e-9)  # fmt: skip
        bound = conditioned_bound(lambda W: naive_moments(W[~np.eye(9, dtype=bool)])[0], W, roundings=16 * 72)
        assert shuffled.element_skewness == pytest.approx(straight.element_skewness, abs=2 * float(bound))

    def test_random_weights_have_the_moments_of_gaussian_ones(self, rng):
        n, p = 400, 0.1
        found = interference(of_matrix(rng.normal(size=(n, n)) + 30 * np.eye(n)), SparseFeatures(n, p))
        kappa = naive_cumulants(p, lambda k: 1 / (k + 1))
        gamma_3, gamma_4 = kappa[2] / kappa[1] ** 1.5, kappa[3] / kappa[1] ** 2
        # Σ w³/(Σ w²)^{3/2} has variance 15/n² and Σ w⁴/(Σ w²)² mean 3/n, to first order in 1/n.
        assert found.skewness.std() == pytest.approx(gamma_3 * np.sqrt(15) / n, rel=0.15)
        assert abs(found.skewness.mean()) < Z_BOUND * gamma_3 * np.sqrt(15 / n) / n
        assert found.excess_kurtosis.mean() == pytest.approx(3 * gamma_4 / n, rel=0.03)
        assert abs(found.element_skewness) < Z_BOUND * np.sqrt(6) / n
        assert abs(found.element_excess_kurtosis) < Z_BOUND * np.sqrt(24) / n
        assert found.row_skewness.std() == pytest.approx(np.sqrt(6 / n), rel=0.15)


class TestRug:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_cumulants_count_rows_that_multiply_to_one(self, seed):
        # Rows of a Hadamard matrix are characters: Σ_j R_ij^k = n/m^k #{k-tuples of chosen rows that xor to 0}.
        n, m, features = 64, 16, SparseFeatures(64, 0.1)
        rug = PersianRug.draw(n, m, seed=seed)
        rows = rug.rows.tolist()
        triples = sum((a ^ b) in rows for a, b in itertools.product(rows, rows))
        quadruples = sum((a ^ b ^ c) in rows for a, b, c in itertools.product(rows, rows, rows))
        kappa = naive_cumulants(0.1, lambda k: 1 / (k + 1))
        variance = (n / m - 1) * kappa[1]
        found = interference(rug, features)
        # Entries w of the matrix, below 1, are off by δ in float32: sums of w^k by k δ Σ |w|^(k − 1).
        off, w = gamma(8, np.float32), np.abs(rug.matrix().double().numpy()[0, 1:])
        relative = {k: k * off * (w ** (k - 1)).sum() / (w**k).sum() for k in (2, 3, 4)}
        third, fourth = (n / m**k * count - 1 for k, count in ((3, triples), (4, quadruples)))
        bounds = [
            relative[2] * variance,
            (relative[3] * (w**3).sum() / variance**1.5 + 1.5 * relative[2] * abs(third) / variance**1.5)
            * abs(kappa[2]),
            (relative[4] * (w**4).sum() / variance**2 + 2 * relative[2] * abs(fourth) / variance**2) * abs(kappa[3]),
        ]
        assert found.variance == pytest.approx(variance, abs=bounds[0])
        assert found.skewness == pytest.approx(third * kappa[2] / variance**1.5, abs=bounds[1])
        assert found.excess_kurtosis == pytest.approx(fourth * kappa[3] / variance**2, abs=bounds[2])
        assert bounds[0] < 1e-4 * variance
        assert max(bounds[1:]) < 1e-3 * found.excess_kurtosis.max()
        assert found.skewness.shape == (n,)
        assert not found.paired.any()

    def test_one_row_stands_for_all(self):
        rug = PersianRug.fit(SparseFeatures(64, 0.1), 16)
        one, all_ = (interference(rug, SparseFeatures(64, p)) for p in (0.1, np.full(64, 0.1)))
        for name, value in vars(one).items():
            # Rows are equal but for the rounding of entries, below 1.6, to float32; sums are over 64 of them.
            off = 64 * 1.6 * gamma(16, np.float32)
            np.testing.assert_allclose(value, getattr(all_, name), rtol=off, atol=off, err_msg=name)

    def test_skewness_of_a_large_rug_is_nearly_none(self):
        found = interference(PersianRug.draw(4096, 1024), SparseFeatures(4096, 0.045))
        assert abs(found.pooled_skewness) < 0.02
        assert 0 < found.pooled_excess_kurtosis < 0.04

    @pytest.mark.parametrize(("row", "share"), [(1, 1.0), (0, 0.0)])
    def test_a_rug_of_one_pair(self, row, share):
        rug = PersianRug(2, torch.tensor([row]))
        assert interference(rug, SparseFeatures(2, 0.1)).paired_share == share


class TestPairs:
    @pytest.mark.parametrize(("alpha", "balanced"), [(1.0, 1.0), (1.2, 1.0), (3.0, 0.0)])
    def test_antipodal_pairs_of_any_norms(self, alpha, balanced, rng):
        model = of_pairs(8, alpha)
        found = interference(model, SparseFeatures(16, 0.05))
        assert found.paired_share == 1
        assert found.balanced_share == balanced
        assert found.dominant.tolist() == [i ^ 1 for i in range(16)]
        np.testing.assert_allclose(found.dominant_ratio, np.tile([-alpha, -1 / alpha], 8), rtol=gamma(4, float))
        order = torch.from_numpy(rng.permutation(16))
        with torch.no_grad():
            model.W_enc.copy_(model.W_enc[:, order])
            model.W_dec.copy_(model.W_dec[order])
        assert interference(model, SparseFeatures(16, 0.05)).paired_share == 1

    def test_a_little_interference_of_others_is_let_pass(self):
        W = np.kron(np.eye(4), [[1, -1], [-1, 1]])
        for level, share in ((0.1, 1.0), (0.2, 0.0)):  # 6 others of level² against 1: shares 0.94 and 0.81
            assert interference(of_matrix(W + level * (W == 0)), SparseFeatures(8, 0.1)).paired_share == share

    @pytest.mark.parametrize(
        "block",
        [
            [[1, 1], [1, 1]],  # the same direction
            [[1, -1], [0, 1]],  # one-sided
            [[1, -1], [1, 1]],  # of mixed signs
            [[1, -1], [-0.5, 1]],  # of two dimensions
            [[1, -1.5], [-1.5, 1]],
            [[1, 0], [0, 1]],
            [[1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1]],  # three of a plane
            [[1, -3], [-1 / 3, 1e-3]],  # with a dead one
        ],
    )
    def test_control_other_blocks_are_none(self, block):
        W = np.kron(np.eye(2), block)
        assert interference(of_matrix(W), SparseFeatures(len(W), 0.1)).paired_share == 0

    def test_unequal_probabilities_weigh_the_shares(self):
        W = np.eye(3)
        W[0, 1] = W[1, 0] = -1
        W[0, 2] = 1.0
        rare, common = (SparseFeatures(3, np.array([0.1, 0.1, p])) for p in (0.001, 0.1))
        assert interference(of_matrix(W), rare).paired.tolist() == [True, True, False]
        assert not interference(of_matrix(W), common).paired.any()


class TestLimits:
    def test_no_interference_has_no_shape(self):
        for model in (of_matrix(2 * np.eye(9)), of_matrix(np.eye(9) + 1e-9 * np.arange(81).reshape(9, 9))):
            found = interference(model, PLAIN)
            assert found.live.all()
            assert np.isnan([found.skewness, found.excess_kurtosis, found.row_skewness]).all()
            assert np.isnan([found.pooled_skewness, found.element_skewness]).all()

    def test_linear_optimum(self):
        found = interference(LinearAutoencoder.fit(PLAIN, 4), PLAIN)
        assert found.live.sum() == 4
        assert found.variance[found.live].tolist() == [0] * 4

    def test_all_dead(self):
        found = interference(of_matrix(np.zeros((9, 9))), PLAIN)
        assert not found.live.any()
        assert np.isnan(found.pooled_skewness)

    def test_a_single_feature(self):
        found = interference(Autoencoder(1, 1), SparseFeatures(1, 0.1))
        assert (found.variance[0], found.largest_share[0], found.paired_share) == (0, 0, 0)

    def test_equal_elements_have_no_shape(self):
        found = interference(of_matrix(np.full((9, 9), 1 / 3)), PLAIN)
        assert np.isnan(found.row_skewness).all()
        assert np.isnan(found.element_excess_kurtosis)
        assert (found.skewness > 0).all()

    def test_values_that_never_vary(self):
        found = interference(Autoencoder(9, 3), SparseFeatures(9, 1.0, Constant()))
        assert (found.variance == 0).all()
        assert np.isnan(found.skewness).all()


@pytest.mark.parametrize("place", [(3, 4), (3, 3)])
def test_damaged_weights_are_refused(weights, place):
    W, b = weights
    W[place] = np.nan
    model = of_matrix(np.eye(9), b)
    with torch.no_grad():
        model.W_dec[place] = float("nan")
    with pytest.raises(ValueError, match="`W` must be finite"):
        interference(model, PLAIN)


def test_bad_arguments_are_refused(weights):
    with pytest.raises(ValueError, match="must have the model's n_features = 5, got 9"):
        interference(Autoencoder(5, 2), PLAIN)
    with pytest.raises(ValueError, match="`b_dec` must be finite"):
        interference(of_matrix(weights[0], np.full(9, np.inf)), PLAIN)
