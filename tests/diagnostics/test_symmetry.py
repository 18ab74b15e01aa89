import numpy as np
import pytest
import torch

from superposition import (
    Autoencoder,
    PersianRug,
    SparseFeatures,
    Uniform,
    predicted_symmetry,
    symmetry,
    symmetry_of_weights,
)
from superposition.diagnostics import permutation_symmetry
from tests.rounding import as_array, assert_within, conditioned_bound, gamma

PLAIN = SparseFeatures(9, 0.2)
UNEQUAL = SparseFeatures(9, np.linspace(0.1, 1, 9), Uniform(0.5, 2.0))


def naive_statistics(W, b, features, power=1.5):
    """Section 3.2 and appendix A, feature by feature, over the live ones."""
    n = len(W)
    mean, variance = features.per_feature(features.mean), features.per_feature(features.variance)
    live = [i for i in range(n) if abs(W[i, i]) > 0.05 * np.abs(np.diag(W)).max()]
    noise_mean, noise_variance, skewness = [], [], []
    for i in live:
        others = [j for j in range(n) if j != i]
        noise_mean.append(sum(W[i, j] * mean[j] for j in others) / W[i, i])
        noise_variance.append(sum(W[i, j] ** 2 * variance[j] for j in others) / W[i, i] ** 2)
        skewness.append(sum(abs(W[i, j]) ** 3 for j in others) / sum(W[i, j] ** 2 for j in others) ** power)
    spreads = {"diagonal": np.diag(W), "bias": b, "noise_mean": noise_mean, "noise_variance": noise_variance}
    result = {}
    for name, values in spreads.items():
        v = np.array(values)
        result[name] = (
            v.mean(),
            ((v - v.mean()) ** 2).mean(),
            np.sqrt(((v - v.mean()) ** 2).mean()),
            v.max() - v.min(),
        )
    return result, max(skewness), n - len(live)


def flat(statistics):
    """All numbers in a row."""
    spreads, skewness, _ = statistics
    return np.array([*(number for values in spreads.values() for number in values), skewness])


def assert_equal(measured, W, b, features):
    expected = naive_statistics(W, b, features)
    # A statistic is some sums over a row, a quotient, and a mean over features.
    bound = conditioned_bound(lambda W, b: flat(naive_statistics(W, b, features)), W, b, roundings=8 * 9)
    spreads = [getattr(measured, name) for name in expected[0]]
    found = [number for each in spreads for number in (each.mean, each.mean_square, each.root_mean_square, each.extent)]
    assert_within([*found, measured.non_gaussianity], flat(expected), bound, resolution=1e-9)
    assert measured.dead_features == expected[2]
    assert measured.n_features == 9


@pytest.fixture
def weights(rng):
    W = rng.normal(size=(9, 9)) * 0.3
    W[np.diag_indices(9)] = rng.uniform(0.5, 1.5, 9)
    return W, rng.normal(size=9)


@pytest.mark.parametrize("features", [PLAIN, UNEQUAL])
@pytest.mark.parametrize("block", [1, 9, 4 * 9, 1 << 22])
def test_naive_twin_at_any_block_size(weights, features, block, monkeypatch):
    monkeypatch.setattr(permutation_symmetry, "_BLOCK_ENTRIES", block)
    W, b = weights
    measured = symmetry_of_weights(torch.from_numpy(W), torch.from_numpy(b), features)
    assert_equal(measured, W, b, features)


def test_mutant_without_the_power_differs(weights):
    W, b = weights
    measured = symmetry_of_weights(torch.from_numpy(W), torch.from_numpy(b), PLAIN)
    assert measured.non_gaussianity != pytest.approx(naive_statistics(W, b, PLAIN, power=1.0)[1], rel=0.05)


def test_naive_twin_of_a_model(monkeypatch):
    monkeypatch.setattr(permutation_symmetry, "_BLOCK_ENTRIES", 20)
    model = Autoencoder(9, 4, initialization="linear")
    with torch.no_grad():
        model.W_dec.mul_(3)
    W_enc, W_dec, b = (as_array(parameter) for parameter in (model.W_enc, model.W_dec, model.b_dec))
    measured = symmetry(model, UNEQUAL)
    expected = naive_statistics(W_dec @ W_enc, b, UNEQUAL)

    def variance(W_enc, W_dec):
        return naive_statistics(W_dec @ W_enc, b, UNEQUAL)[0]["noise_variance"][0]

    # W is a product in float32; all else is float64.
    bound = conditioned_bound(variance, W_enc, W_dec, roundings=4, dtype=np.float32)
    assert measured.dead_features == expected[2]
    assert_within(measured.noise_variance.mean, expected[0]["noise_variance"][0], bound)


def test_property_permuting_features_changes_nothing(weights, rng):
    W, b = weights
    order = rng.permutation(9)
    straight = symmetry_of_weights(torch.from_numpy(W), torch.from_numpy(b), PLAIN)
    shuffled = symmetry_of_weights(torch.from_numpy(W[np.ix_(order, order)]), torch.from_numpy(b[order]), PLAIN)

    def both(W):
        spreads, skewness, _ = naive_statistics(W, b, PLAIN)
        return np.array([spreads["noise_mean"][1], skewness])

    bound = 2 * conditioned_bound(both, W, roundings=8 * 9)
    found = (shuffled.noise_mean.mean_square, shuffled.non_gaussianity)
    assert_within(found, [straight.noise_mean.mean_square, straight.non_gaussianity], bound, resolution=1e-9)


def test_the_argument_is_left_alone(weights):
    W = torch.from_numpy(weights[0].copy())
    symmetry_of_weights(W, torch.zeros(9), PLAIN)
    assert np.array_equal(W.numpy(), weights[0])


def test_dead_features_are_counted_and_left_out(weights):
    W, b = weights
    W[2, 2], W[5, 5] = 1e-12, -0.001
    measured = symmetry_of_weights(torch.from_numpy(W), torch.from_numpy(b), PLAIN)
    assert measured.dead_features == 2
    assert measured.noise_variance.extent < 1e3
    assert_equal(measured, W, b, PLAIN)


def test_limit_all_dead():
    measured = symmetry_of_weights(torch.zeros(9, 9), torch.zeros(9), PLAIN)
    assert measured.dead_features == 9
    assert np.isnan(measured.noise_mean.mean)
    assert np.isnan(measured.non_gaussianity)  # as the other statistics over no feature
    assert measured.diagonal.mean == 0


def test_limit_no_interference():
    measured = symmetry_of_weights(2 * torch.eye(9), torch.zeros(9), PLAIN)
    assert measured.diagonal.mean == 2
    assert (measured.noise_mean.extent, measured.noise_variance.mean, measured.non_gaussianity) == (0, 0, 0)
    assert measured.dead_features == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_identity_a_rug_is_the_exact_prediction(seed):
    features = SparseFeatures(64, 0.045)
    rug = PersianRug.fit(features, 16, seed=seed)
    measured, predicted = symmetry(rug, features), predicted_symmetry(features, 16)
    # Entries of W, up to a > 0, are off by δ = γ₈ a in float32: rows, divided by a, by 2δ/a in each of 64 places.
    entry = gamma(8, np.float32)
    of_mean = 2 * entry * 64 * features.mean
    of_variance = 4 * entry * np.abs(rug.matrix().double().numpy()).sum(1).max() * features.variance
    for spread, bound in (
        (measured.diagonal, entry * predicted.diagonal),
        (measured.bias, 0.0),
        (measured.noise_mean, of_mean),
        (measured.noise_variance, of_variance),
    ):
        assert spread.extent <= 2 * bound
    assert measured.diagonal.mean == pytest.approx(predicted.diagonal, rel=entry)
    assert measured.noise_variance.mean == pytest.approx(predicted.noise_variance, abs=of_variance)
    assert measured.noise_mean.mean == pytest.approx(rug.interference_mean(features), abs=of_mean)
    effective = measured.bias.mean + measured.diagonal.mean * measured.noise_mean.mean
    assert effective == pytest.approx(predicted.effective_bias, abs=2 * of_mean * predicted.diagonal)
    assert of_variance < 1e-3 * predicted.noise_variance
    assert of_mean < 1e-3
    assert measured.dead_features == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_damaged_weights_are_refused(weights, bad):
    W, b = weights
    W[3, 4] = bad
    with pytest.raises(ValueError, match="`W` must be finite"):
        symmetry_of_weights(torch.from_numpy(W), torch.from_numpy(b), PLAIN)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetry(Autoencoder(5, 2), PLAIN), "must have the model's n_features = 5, got 9"),
        (lambda: symmetry_of_weights(torch.eye(8), torch.zeros(8), PLAIN), r"`W` must have shape \(9, 9\)"),
        (lambda: symmetry_of_weights(torch.eye(9), torch.tensor([float("nan")] * 9), PLAIN), "`b_dec` must be finite"),
        (lambda: predicted_symmetry(UNEQUAL, 3), "`features` must be symmetric"),
        (lambda: predicted_symmetry(PLAIN, 10), "`n_hidden` must be a whole number"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
