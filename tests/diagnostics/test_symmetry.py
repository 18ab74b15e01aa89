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


def assert_equal(measured, expected):
    spreads, skewness, dead = expected
    for name, values in spreads.items():
        spread = getattr(measured, name)
        found = (spread.mean, spread.mean_square, spread.root_mean_square, spread.extent)
        np.testing.assert_allclose(found, values, rtol=1e-9, atol=1e-14, err_msg=name)
    assert measured.non_gaussianity == pytest.approx(skewness, rel=1e-9)
    assert measured.dead_features == dead
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
    assert_equal(measured, naive_statistics(W, b, features))


def test_mutant_without_the_power_differs(weights):
    W, b = weights
    measured = symmetry_of_weights(torch.from_numpy(W), torch.from_numpy(b), PLAIN)
    assert measured.non_gaussianity != pytest.approx(naive_statistics(W, b, PLAIN, power=1.0)[1], rel=0.05)


def test_naive_twin_of_a_model(monkeypatch):
    monkeypatch.setattr(permutation_symmetry, "_BLOCK_ENTRIES", 20)
    model = Autoencoder(9, 4, initialization="linear")
    with torch.no_grad():
        model.W_dec.mul_(3)
    W = (model.W_dec @ model.W_enc).detach().double().numpy()
    measured = symmetry(model, UNEQUAL)
    expected = naive_statistics(W, model.b_dec.detach().double().numpy(), UNEQUAL)
    assert measured.dead_features == expected[2]
    assert measured.noise_variance.mean == pytest.approx(expected[0]["noise_variance"][0], rel=1e-4)


def test_property_permuting_features_changes_nothing(weights, rng):
    W, b = weights
    order = rng.permutation(9)
    straight = symmetry_of_weights(torch.from_numpy(W), torch.from_numpy(b), PLAIN)
    shuffled = symmetry_of_weights(torch.from_numpy(W[np.ix_(order, order)]), torch.from_numpy(b[order]), PLAIN)
    assert shuffled.noise_mean.mean_square == pytest.approx(straight.noise_mean.mean_square, rel=1e-9)
    assert shuffled.non_gaussianity == pytest.approx(straight.non_gaussianity, rel=1e-9)


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
    assert_equal(measured, naive_statistics(W, b, PLAIN))


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
    for spread in (measured.diagonal, measured.bias, measured.noise_mean, measured.noise_variance):
        assert spread.extent < 1e-5
    assert measured.diagonal.mean == pytest.approx(predicted.diagonal, rel=1e-6)
    assert measured.noise_variance.mean == pytest.approx(predicted.noise_variance, rel=1e-5)
    assert measured.noise_mean.mean == pytest.approx(rug.interference_mean(features), abs=1e-6)
    effective = measured.bias.mean + measured.diagonal.mean * measured.noise_mean.mean
    assert effective == pytest.approx(predicted.effective_bias, rel=1e-5)
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
