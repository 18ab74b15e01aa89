import numpy as np
import pytest
import torch

from superposition import (
    Autoencoder,
    Beta,
    Constant,
    Empirical,
    LinearAutoencoder,
    PersianRug,
    SparseFeatures,
    TrainingConfig,
    Uniform,
    held_out_loss,
    theory,
    train,
)
from superposition._random import torch_generator
from superposition.diagnostics import interference, loss_split, split
from superposition.features.sampling import SparseBatch
from superposition.models import TopK
from tests.diagnostics.weights import of_matrix, of_pairs
from tests.rounding import assert_within, conditioned_bound, gamma
from tests.statistics import Z_BOUND

FEATURES = SparseFeatures(6, np.linspace(0.1, 0.9, 6), Uniform(0.5, 1.5), importance=np.array([1, 0, 3, 0.5, 2, 1]))
ZEROS = SparseFeatures(6, 0.4, Empirical([0.0, 2.0]), importance=2.0)
PARTS = ("loss", "off", "on", "off_bias", "off_variance", "on_bias", "on_variance")


def naive_parts(W, b, features, n_samples, seed, rectified=True):
    """Sample after sample, feature after feature, over a single chunk; the other of a pair is half a chunk away."""
    batch = features.sample_sparse(n_samples, torch_generator(seed, "loss split", 0), dtype=torch.float64)
    x = batch.to_dense().numpy()
    # Who is active, even at value 0: the positions of the batch.
    ones = SparseBatch(batch.positions, torch.ones_like(batch.values), batch.shape)
    active = ones.to_dense().numpy() > 0
    importance, n = features.per_feature(features.importance), features.n_features
    parts = {name: np.zeros(n_samples) for name in ("off", "on", "off_bias", "on_bias")}
    responses = np.zeros((2, n))
    for k in range(n_samples):
        partner = (k + n_samples // 2) % n_samples
        for i in range(n):
            errors = []
            for source in (k, partner):
                y = W[i, i] * x[k, i] + b[i] + sum(W[i, j] * x[source, j] for j in range(n) if j != i)
                errors.append((max(y, 0.0) if rectified else y) - x[k, i])
            state = "on" if active[k, i] else "off"
            parts[state][k] += importance[i] * errors[0] ** 2 / n
            parts[state + "_bias"][k] += importance[i] * errors[0] * errors[1] / n
            responses[:, i] += active[k, i] * np.array([1, errors[0] + x[k, i] > 0])
    half = n_samples // 2
    result = {"loss": parts["off"] + parts["on"], "off": parts["off"], "on": parts["on"]}
    for state in ("off", "on"):
        whole, bias = ((v[:half] + v[half:]) / 2 for v in (parts[state], parts[state + "_bias"]))
        result |= {state + "_bias": bias, state + "_variance": whole - bias}
    return result, responses[1] / responses[0]


@pytest.mark.parametrize("features", [FEATURES, ZEROS])
@pytest.mark.parametrize("rectified", [True, False])
def test_naive_twin_loop(features, rectified, rng):
    W, b = rng.normal(size=(6, 6)) * 0.4 + np.eye(6), rng.normal(size=6) * 0.3
    if rectified:
        model = of_matrix(W, b)
    else:
        model = LinearAutoencoder(torch.eye(6).double(), torch.from_numpy(W), torch.from_numpy(b))
    found = loss_split(model, features, n_samples=200, seed=3)
    expected, share = naive_parts(W, b, features, 200, 3, rectified)
    assert set(expected) == set(PARTS)

    def estimates(W, b):
        parts = naive_parts(W, b, features, 200, 3, rectified)[0].values()
        return np.array([[values.mean(), values.std(ddof=1) / np.sqrt(len(values))] for values in parts])

    # Errors of seven terms, their squares summed over 200 samples of 6 features.
    bound = conditioned_bound(estimates, W, b, roundings=16 + 200 * 6)
    measured = [getattr(found, name) for name in expected]
    found_numbers = [[part.value, part.standard_error] for part in measured]
    assert_within(found_numbers, estimates(W, b), bound, resolution=1e-9)
    assert [part.count for part in measured] == [len(values) for values in expected.values()]
    assert found.on_share.tolist() == share.tolist()


def test_the_parts_add_up_to_the_held_out_loss():
    model = Autoencoder(6, 3)
    found, loss = loss_split(model, FEATURES, n_samples=40_000), held_out_loss(model, FEATURES, n_samples=40_000)
    # Means of 40 000 squares, noted in float64 of numbers in float32 at worst.
    sums = gamma(8, np.float32) + gamma(40_000, np.float64)
    assert found.off.value + found.on.value == pytest.approx(found.loss.value, rel=sums)
    assert found.off_bias.value + found.off_variance.value == pytest.approx(found.off.value, rel=sums)
    assert found.on_bias.value + found.on_variance.value == pytest.approx(found.on.value, rel=sums)
    assert abs(found.loss.value - loss.value) < Z_BOUND * np.hypot(found.loss.standard_error, loss.standard_error)
    assert found.gaussian_off + found.gaussian_on == pytest.approx(found.gaussian, rel=gamma(16, float))
    difference = found.loss.value - found.gaussian
    assert found.beyond_gaussian.value == pytest.approx(difference, abs=gamma(16, float) * found.loss.value)
    assert found.beyond_gaussian_on.standard_error == found.on.standard_error


def test_every_sample_counts_once_whatever_the_chunk(monkeypatch):
    model = Autoencoder(6, 2)
    whole = loss_split(model, FEATURES, n_samples=10_006)
    monkeypatch.setattr(split, "_CHUNK_ENTRIES", 7 * 6)  # an odd number of samples: rounded down to pairs
    parts = loss_split(model, FEATURES, n_samples=10_006)
    for name in PARTS:
        one, other = getattr(whole, name), getattr(parts, name)
        assert one.count == other.count
        assert abs(one.value - other.value) < Z_BOUND * np.hypot(one.standard_error, other.standard_error)
        assert other.standard_error == pytest.approx(one.standard_error, rel=0.15)


def agrees(estimate, expected, resolution):
    """Within 4.5 standard errors, which must tell `resolution` of the expected value."""
    assert Z_BOUND * estimate.standard_error < resolution * expected
    return abs(estimate.z_score(expected)) < Z_BOUND


class TestPairs:
    def test_antipodal_pairs_in_closed_form(self):
        p, features = 0.3, SparseFeatures(64, 0.3)
        found = loss_split(of_pairs(32), features, n_samples=20_000)
        assert found.off.value == 0
        assert found.off_variance.value == 0
        assert agrees(found.loss, theory.antipodal_loss(0.5, p, stretch=1.0), 0.05)
        # The error at given u is −c′ min(u, u′): its mean is −p (u − u²/2).
        assert agrees(found.on_bias, p**3 * 2 / 15, 0.15)
        assert agrees(found.on_variance, p**2 / 6 - p**3 * 2 / 15, 0.05)
        assert not agrees(found.on_bias, p**2 / 6, 0.5)
        assert (found.on_share > 0.8).all()

    @pytest.mark.parametrize("alpha", [1.0, 3.0])
    def test_pairs_of_unequal_norms(self, alpha):
        # E min(u, αu′)² = 1/3 − 1/(6α) for α ≥ 1; least at α = 3, where the loss is 25/27 of that of equal norms.
        found = loss_split(of_pairs(32, alpha), SparseFeatures(64, 0.3), n_samples=20_000)
        assert agrees(found.loss, 0.3**2 * (1 / 3 - 1 / (6 * alpha)) * (1 + alpha**-2) / 2, 0.05)

    def test_inactive_features_beside_an_equal_one(self):
        p, b = 0.2, -0.25
        model = of_pairs(32, sign=1.0, b=np.full(64, b))
        found = loss_split(model, SparseFeatures(64, p), n_samples=20_000)
        first, second = p * (1 + b) ** 2 / 2, p * (1 + b) ** 3 / 3  # of ReLU(x′ + b)
        assert agrees(found.off, (1 - p) * second, 0.05)
        assert agrees(found.off_bias, (1 - p) * first**2, 0.25)
        assert agrees(found.off_variance, (1 - p) * (second - first**2), 0.05)

    def test_simulation_standard_errors_are_the_spread_over_seeds(self):
        model, features = of_pairs(4, sign=1.0), SparseFeatures(8, 0.3)
        runs = [loss_split(model, features, n_samples=200, seed=seed) for seed in range(200)]
        for name in PARTS:
            estimates = [getattr(run, name) for run in runs]
            spread = np.std([estimate.value for estimate in estimates], ddof=1)
            reported = np.mean([estimate.standard_error for estimate in estimates])
            assert spread == pytest.approx(reported, rel=Z_BOUND / np.sqrt(2 * 200)), name


def naive_gaussian(a, b, s, p, law_nodes):
    """E (x − ReLU(a x + b + s g))² on a grid of g, over the values of a law."""
    g = np.linspace(-12, 12, 40_001)
    density = np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi) * (g[1] - g[0])
    off = density @ np.maximum(b + s * g, 0) ** 2
    on = sum(w * (density @ (np.maximum(a * u + b + s * g, 0) - u) ** 2) for u, w in zip(*law_nodes, strict=True))
    return (1 - p) * off, p * on


class TestGaussian:
    def test_mean_of_the_mean_field_loss(self):
        model = Autoencoder(6, 4)
        found, noise = loss_split(model, FEATURES, n_samples=2), interference(model, FEATURES)
        losses = theory.relu_loss(
            noise.diagonal, noise.effective_bias, np.sqrt(noise.variance), FEATURES.probability, FEATURES.law
        )
        assert found.gaussian == pytest.approx(np.mean(FEATURES.importance * losses), rel=gamma(1000, float))

    @pytest.mark.parametrize("law", [Constant(1.5), Uniform(0.2, 1.0), Beta(0.5, 2.0)])
    def test_dead_and_negative_diagonals_too(self, law, rng):
        W = rng.normal(size=(5, 5)) * 0.4
        W[np.diag_indices(5)] = [1.0, -0.8, 0.01, 0.0, -1e-12]
        b, features = rng.normal(size=5) * 0.3, SparseFeatures(5, np.linspace(0.2, 0.8, 5), law)
        model = of_matrix(W, b)
        found, noise = loss_split(model, features, n_samples=2), interference(model, features)
        nodes = law.nodes(0.0, 0.0)
        if nodes[0].size > 1:  # a plain rule: many Gauss–Legendre panels in the distribution function
            import scipy.stats

            t, w = np.polynomial.legendre.leggauss(200)
            ppf = (scipy.stats.beta(0.5, 2.0) if isinstance(law, Beta) else scipy.stats.uniform(0.2, 0.8)).ppf
            nodes = ppf((t + 1) / 2), w / 2
        expected = [
            naive_gaussian(W[i, i], noise.effective_bias[i], noise.output_std[i], features.probability[i], nodes)
            for i in range(5)
        ]
        off, on = np.mean(expected, axis=0)
        # Of the plain rule: steps of 6e-4 in g cost h²/8 at the kink of the slope, and 200 nodes in the distribution
        # function resolve the kink over u as far as s smooths it.
        assert (found.gaussian_off, found.gaussian_on) == pytest.approx((off, on), rel=1e-4)

    def test_a_linear_model_sees_no_more_than_two_moments(self, rng):
        W, b = rng.normal(size=(6, 6)) * 0.4, rng.normal(size=6)
        model = LinearAutoencoder(torch.eye(6).double(), torch.from_numpy(W), torch.from_numpy(b))
        found = loss_split(model, FEATURES, n_samples=100_000)
        for part, expected in (
            (found.loss, found.gaussian),
            (found.off, found.gaussian_off),
            (found.on, found.gaussian_on),
        ):
            assert agrees(part, expected, 0.05)

    def test_linear_optimum(self):
        features = SparseFeatures(64, 0.2)
        found = loss_split(LinearAutoencoder.fit(features, 16), features, n_samples=4000)
        assert found.gaussian == pytest.approx(theory.linear_loss(0.25, 0.2), rel=gamma(8, np.float32))
        assert agrees(found.loss, found.gaussian, 0.05)

    def test_no_noise_at_all(self):
        found = loss_split(of_matrix(np.eye(6)), FEATURES, n_samples=100)
        assert found.gaussian == pytest.approx(0, abs=gamma(16, float))
        assert found.loss.value == 0

    def test_a_large_rug_is_gaussian(self):
        features = SparseFeatures(4096, 0.045)
        rug = PersianRug.fit(features, 1024)
        found = loss_split(rug, features, n_samples=4000)
        # Entries of rows are integers times a few factors in float32; at the optimum the loss is stationary in scale
        # and bias, and grows more slowly than the square of the variance, which is off by twice as much as they are.
        expected = theory.symmetric_optimum(0.25, 0.045).loss
        assert found.gaussian == pytest.approx(expected, rel=4 * gamma(8, np.float32))
        for beyond, of, tolerance in (
            (found.beyond_gaussian, found.loss, 0.02),
            (found.beyond_gaussian_off, found.off, 0.05),
            (found.beyond_gaussian_on, found.on, 0.02),
        ):
            assert abs(beyond.value) + Z_BOUND * beyond.standard_error < tolerance * of.value

    def test_trained_pairs_are_not(self):
        features = SparseFeatures(32, 0.05)
        model = train(Autoencoder(32, 16), features, TrainingConfig(n_steps=600, batch_size=512), n_held_out=100).model
        found, noise = loss_split(model, features, n_samples=20_000), interference(model, features)
        assert noise.paired_share > 0.8
        assert found.loss.value < 0.2 * found.gaussian
        assert found.beyond_gaussian_off.z_score(0) < -10 * Z_BOUND


def test_outputs_that_are_never_on():
    b = np.array([0, 0, -5.0, 0, 0, 0])
    found = loss_split(of_matrix(np.eye(6), b), FEATURES, n_samples=200)
    assert found.on_share.tolist() == [1, 1, 0, 1, 1, 1]
    assert found.never_on == 1
    rare = SparseFeatures(2, np.array([1e-9, 0.5]))
    found = loss_split(of_matrix(np.eye(2)), rare, n_samples=10)
    assert np.isnan(found.on_share[0])
    assert found.never_on == 0


def test_seeds_global_state_and_what_is_at_hand():
    model = PersianRug.fit(SparseFeatures(64, 0.2), 16)
    features = SparseFeatures(64, 0.2)
    torch.manual_seed(1)
    first = loss_split(model, features, n_samples=100)
    torch.manual_seed(2)
    again = loss_split(model, features, n_samples=100, interference=interference(model, features))
    assert (again.loss, again.gaussian) == (first.loss, first.gaussian)
    assert loss_split(model, features, n_samples=100, seed=2).loss != first.loss


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: loss_split(Autoencoder(5, 2), FEATURES), "must have the model's n_features = 5, got 6"),
        (lambda: loss_split(Autoencoder(6, 2), FEATURES, n_samples=0), "`n_samples` must be a whole number"),
        (lambda: loss_split(Autoencoder(6, 2), FEATURES, n_samples=7), "`n_samples` must be even, got 7"),
        (lambda: loss_split(Autoencoder(6, 2), FEATURES, n_samples=2, seed=-1), "`seed` must be"),
        (
            lambda: loss_split(Autoencoder(6, 2, activation=TopK(1)), FEATURES),
            "`model` must have a ReLU or no activation, got topk",
        ),
        (
            lambda: loss_split(
                Autoencoder(6, 2), FEATURES, interference=interference(Autoencoder(5, 2), SparseFeatures(5, 0.1))
            ),
            "`interference` must be of the same 6 features, got 5",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
