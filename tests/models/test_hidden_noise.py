"""Noise on the hidden units: its size, its losses against exact ones and the theory, training that resumes, files."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch

from superposition import (
    Autoencoder,
    LinearAutoencoder,
    PersianRug,
    SparseFeatures,
    TrainingConfig,
    held_out_loss,
    load,
    predicted_symmetry,
    save,
    theory,
    train,
    train_many,
)
from superposition._random import torch_generator
from superposition.diagnostics import loss_split
from superposition.models import HiddenActivations, Model, ReLU, TRec
from superposition.training.engine import ByAutograd
from superposition.training.objective import Reconstruction
from superposition.training.ranks import Ranks
from tests.rounding import assert_close, assert_within, gamma, trained_bound
from tests.statistics import Z_BOUND

FEATURES = SparseFeatures(24, np.linspace(0.05, 0.5, 24), importance=np.linspace(0.5, 1.5, 24))


class Plain(Model):
    """A kind that knows no shorter way to anything."""

    kind: ClassVar[str] = "tests.plain"

    def __init__(self, of):
        super().__init__()
        self.of, self.activation, self.hidden_noise = of, ReLU(), of.hidden_noise
        self.n_features, self.n_hidden = of.n_features, of.n_hidden

    def encode(self, x):
        return self.of.encode(x)

    def read_out(self, hidden):
        return self.of.read_out(hidden)

    def bias_vector(self):
        return self.of.bias_vector()


def naive_variance(W_enc, covariance):
    return np.mean([W_enc[k] @ covariance @ W_enc[k] for k in range(len(W_enc))])


@pytest.mark.parametrize(
    "make", [lambda: Autoencoder(24, 6, seed=1), lambda: PersianRug.draw(32, 8)], ids=["dense", "rug"]
)
def test_naive_twin_hidden_variance(make):
    model = make()
    n = model.n_features
    W_enc = model.encode(torch.eye(n)).T.detach().double().numpy()
    probability = np.linspace(0.05, 0.5, n)
    independent = SparseFeatures(n, probability)
    # A projection of other features: they are dependent.
    dependent = HiddenActivations(
        np_to_torch(np.random.default_rng(0).standard_normal((n, 2 * n))), SparseFeatures(2 * n, 0.3)
    )
    for features, covariance in ((independent, np.diag(independent.variance)), (dependent, dependent.covariance)):
        expected = naive_variance(W_enc, covariance)
        for each in (model, Plain(model)):
            # Sums of n² products of up to three factors, in float32.
            assert_close(float(each.hidden_variance(features).detach()), expected, gamma(4 * n, torch.float32))


def np_to_torch(array):
    return torch.from_numpy(array).float()


def test_simulation_the_noise_is_as_large_as_it_says():
    model = Autoencoder(24, 6, seed=1, hidden_noise=0.5)
    x = FEATURES.sample(100_000, torch_generator(0, "test"))
    with torch.no_grad():
        hidden = model.encode(x).double()
        noise = model.drawn_noise(100_000, FEATURES, torch_generator(1, "test")).double()
    ratio = float((noise**2).mean() / hidden.var(dim=0).mean())
    # Six means of squares over 100 000 samples each: of the noise good to √(2/600 000); of sparse units within 1%.
    assert abs(ratio / 0.25 - 1) < 0.02
    assert model.drawn_noise(5, FEATURES, torch_generator(1, "test")).shape == (5, 6)
    assert Autoencoder(24, 6).drawn_noise(5, FEATURES, torch_generator(1, "test")) is None


def exact_linear_loss(model, features):
    """n⁻¹ Σ M_i E (x_i − x̂_i)² of a linear model, and of its noise, entry by entry."""
    W_enc, W_dec, b = (getattr(model, name).double().numpy() for name in ("W_enc", "W_dec", "b_dec"))
    v, mean = features.per_feature(features.variance), features.per_feature(features.mean)
    missed = np.eye(len(v)) - W_dec @ W_enc
    added = model.hidden_noise**2 * naive_variance(W_enc, np.diag(v))
    losses = (missed**2) @ v + (missed @ mean - b) ** 2 + added * (W_dec**2).sum(1)
    return (features.per_feature(features.importance) * losses).mean()


def test_simulation_of_a_linear_model_is_exact(generator):
    W_enc, W_dec = torch.randn(6, 24, generator=generator) / 3, torch.randn(24, 6, generator=generator) / 3
    model = LinearAutoencoder(W_enc, W_dec, torch.zeros(24), hidden_noise=0.7)
    measured = held_out_loss(model, FEATURES, n_samples=100_000)
    expected = exact_linear_loss(model, FEATURES)
    assert abs(measured.z_score(expected)) < Z_BOUND
    without = exact_linear_loss(LinearAutoencoder(W_enc, W_dec, torch.zeros(24)), FEATURES)
    assert abs(measured.z_score(without)) > 2 * Z_BOUND


def test_simulation_a_tight_frame_has_the_best_linear_loss():
    features, rug, noise = SparseFeatures(64, 0.1), PersianRug.draw(64, 16, seed=1), 0.6
    best = 0.25 / (1 + noise**2)
    W_enc = rug.encode(torch.eye(64)).T.contiguous()
    bias = torch.full((64,), float(features.mean)) * (1 - best * rug.apply_R(torch.ones(64)))
    model = LinearAutoencoder(W_enc, best * W_enc.T.contiguous(), bias, hidden_noise=noise)
    measured, expected = held_out_loss(model, features), theory.linear_loss(0.25, 0.1, hidden_noise=noise)
    assert Z_BOUND * measured.standard_error < 0.02 * expected
    assert abs(measured.z_score(expected)) < Z_BOUND
    assert abs(measured.z_score(theory.linear_loss(0.25, 0.1))) > Z_BOUND


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_simulation_mean_field_predicts_a_rugs_loss(noise):
    features = SparseFeatures(4096, 0.1)
    rug = PersianRug.fit(features, 1024, hidden_noise=noise)
    measured = held_out_loss(rug, features, n_samples=1500)
    expected = theory.symmetric_optimum(0.25, 0.1, hidden_noise=noise).loss
    error = Z_BOUND * measured.standard_error
    assert error < 0.03 * expected
    # At this size 1% is what mean field leaves out.
    assert abs(measured.value - expected) < error + 0.01 * expected
    assert measured.value > 1.05 * theory.symmetric_optimum(0.25, 0.1).loss
    # Scale and bias for no noise lose more.
    plain = PersianRug.fit(features, 1024)
    plain.hidden_noise = noise
    assert held_out_loss(plain, features, n_samples=1500).value > measured.value
    found = predicted_symmetry(features, 1024, hidden_noise=noise)
    assert_close(found.diagonal, float(rug.scale), gamma(4, float))
    assert_close(found.noise_variance, theory.minimal_noise_variance(0.25, 0.1), gamma(10, float))


def test_neither_larger_weights_nor_another_basis_make_the_noise_less(generator):
    model = Autoencoder(24, 6, seed=1, hidden_noise=0.7).double()
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    loss = held_out_loss(model, FEATURES, n_samples=40_000)
    with torch.no_grad():
        model.W_enc.mul_(16.0)
        model.W_dec.div_(16.0)
        assert held_out_loss(model, FEATURES, n_samples=40_000).value == loss.value  # powers of two
        model.W_enc.copy_(turn @ model.W_enc)
        model.W_dec.copy_(model.W_dec @ turn.T)
    turned = held_out_loss(model, FEATURES, n_samples=40_000)
    # The same noise in another basis is other noise; of the same samples.
    assert abs(turned.value - loss.value) < Z_BOUND * math.hypot(turned.standard_error, loss.standard_error)


def test_naive_twin_a_steps_loss_and_gradient(generator):
    """What the engine descends, by differences: the size of the noise moves with W_enc."""
    features = SparseFeatures(8, 0.4)
    model = Autoencoder(8, 3, seed=2, hidden_noise=0.8).double()
    batch = features.sample_sparse(16, generator, dtype=torch.float64)
    x = batch.to_dense()
    normal = torch.randn((16, 3), generator=torch_generator(5, "hidden noise", 3), dtype=torch.float64)

    def loss(W_enc):
        std = 0.8 * np.sqrt(naive_variance(W_enc.numpy(), float(features.variance) * np.eye(8)))
        output = torch.relu((x @ W_enc.T + std * normal) @ model.W_dec.detach().T + model.b_dec.detach())
        return float(((output - x) ** 2).mean())

    start, direction = model.W_enc.detach().clone(), torch.randn(3, 8, generator=generator, dtype=torch.float64)
    engine = ByAutograd(model, features, TrainingConfig(n_steps=10, batch_size=16), Reconstruction(), 5)
    found = float(engine._gradients(batch, 3))
    assert_close(found, loss(start), gamma(300, float))
    slope = float((model.W_enc.grad * direction).sum())
    h = 1e-6
    by_differences = (loss(start + h * direction) - loss(start - h * direction)) / (2 * h)
    # Rounding over the step, 1e-16/1e-6 of a loss of 0.1, and its square times the third derivative.
    assert abs(slope - by_differences) < 1e-8
    assert abs(slope) > 1e-3
    engine.release()


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
def test_naive_twin_the_step_by_hand_is_that_of_autograd(monkeypatch, is_sparse):
    from superposition.training import step

    monkeypatch.setattr(step, "_SMALL", 0 if is_sparse else math.inf)
    features = SparseFeatures(24, 0.05, importance=np.linspace(0.5, 1.5, 24))
    config = TrainingConfig(n_steps=40, batch_size=64)

    def results(model, **options):
        run = train(model, features, config, seed=5, n_held_out=10, **options)
        return [getattr(run.model, name) for name in ("W_enc", "W_dec", "b_dec")]

    def start():
        return Autoencoder(24, 6, seed=3, hidden_noise=0.7).double()

    # In float64; the loss of a batch is the longest sum, of 64 · 24 terms.
    bounds = trained_bound(results, start(), config.n_steps, 64 * 24, np.float64)
    by_autograd = results(start(), objective=Reconstruction())
    for found, expected, bound in zip(results(start()), by_autograd, bounds, strict=True):
        assert_within(found, expected, bound, resolution=1e-6)


def test_naive_twin_models_together_meet_the_noise_that_each_would_alone():
    config = TrainingConfig(n_steps=40, batch_size=64)
    makes = [lambda: Autoencoder(24, 6, seed=3, hidden_noise=0.7), lambda: Autoencoder(24, 4, seed=2)]

    def alone(make):
        return train(make().double(), FEATURES, config, seed=5, n_held_out=100).model

    together = train_many([make().double() for make in makes], FEATURES, config, seed=5, n_held_out=100)
    for run, make in zip(together, makes, strict=True):
        expected = alone(make)
        for name in ("W_enc", "W_dec", "b_dec"):
            found = getattr(run.model, name).detach()
            # In float64 rounding does not grow to be seen; other noise would be.
            assert_within(found, getattr(expected, name).detach(), 1e-9, resolution=1e-6)
            assert getattr(run.model, name).grad is None
    quiet = train_many([make().double() for make in (makes[1], makes[1])], FEATURES, config, seed=5, n_held_out=100)
    assert together[1].loss.value == pytest.approx(quiet[0].loss.value, rel=1e-9)


def test_training_allows_for_the_noise():
    features, config = SparseFeatures(32, 0.1), TrainingConfig(n_steps=400, batch_size=256)
    noisy = train(Autoencoder(32, 8, seed=3, hidden_noise=1.0), features, config, n_held_out=20_000)
    assert noisy.stopped == "completed"
    expected = theory.symmetric_optimum(0.25, 0.1, hidden_noise=1.0).loss
    assert 0.7 * expected < noisy.loss.value < theory.linear_loss(0.25, 0.1, hidden_noise=1.0)
    plain = train(Autoencoder(32, 8, seed=3), features, config, n_held_out=20_000)
    plain.model.hidden_noise = 1.0
    untaught = held_out_loss(plain.model, features, n_samples=20_000)
    assert noisy.loss.value < untaught.value - Z_BOUND * untaught.standard_error


@pytest.mark.parametrize("activation", [ReLU(), TRec()], ids=["by hand", "by autograd"])
def test_an_interrupted_noisy_run_goes_on_bit_for_bit(tmp_path, monkeypatch, activation):
    from superposition.training import loop

    def run(folder, **options):
        model = Autoencoder(24, 6, activation=activation, hidden_noise=0.5)
        return train(
            model, FEATURES, TrainingConfig(n_steps=60, batch_size=64), folder=folder, n_held_out=500, **options
        )

    whole = run(tmp_path / "whole")
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(loop, "_CHECKPOINT_SHARE", 0)

    def pressed(done, *_):
        if done == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", progress=pressed)
    other = Autoencoder(24, 6, activation=activation, hidden_noise=0.4)
    with pytest.raises(ValueError, match="`hidden_noise` must be that of the unfinished run"):
        train(other, FEATURES, TrainingConfig(n_steps=60, batch_size=64), folder=tmp_path / "cut", resume=True)
    cut = run(tmp_path / "cut", resume=True)
    assert cut.loss == whole.loss
    assert cut.curve == whole.curve
    loaded = load(tmp_path / "cut")
    assert loaded.hidden_noise == 0.5
    assert torch.equal(loaded.W_enc, whole.model.W_enc)


def test_processes_see_the_noise_that_one_would(generator):
    features, config = SparseFeatures(8, 0.4), TrainingConfig(n_steps=10, batch_size=17)
    batch = features.sample_sparse(17, generator, dtype=torch.float64)

    def gradient(rank, size):
        model = Autoencoder(8, 3, seed=2, hidden_noise=0.8).double()
        engine = ByAutograd(model, features, config, Reconstruction(), 5, Ranks(rank, size))
        return engine._gradients(batch, 3), model.W_enc.grad.clone()

    for whole, first, second in zip(gradient(0, 1), gradient(0, 2), gradient(1, 2), strict=True):
        # Means over 8 and 9 samples, of sums of 8 · 17 terms of either sign.
        assert_within((8 * first + 9 * second) / 17, whole, 10 * gamma(136, float), resolution=1e-9)


def test_processes_share_out_the_rows_of_a_batch():
    for size in (1, 2, 3, 7):
        bounds = [Ranks(rank, size).rows(10) for rank in range(size)]
        assert [row for first, last in bounds for row in range(first, last)] == list(range(10))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Autoencoder(8, 4, hidden_noise=0.25),
        lambda: PersianRug.fit(SparseFeatures(8, 0.2), 4, hidden_noise=0.25),
        lambda: LinearAutoencoder(torch.eye(4, 8), torch.eye(8, 4), torch.zeros(8), hidden_noise=0.25),
    ],
    ids=["autoencoder", "rug", "linear"],
)
def test_round_trip_through_files(tmp_path, make):
    model, features = make(), SparseFeatures(8, 0.2)
    loaded = load(save(model, tmp_path / "model"))
    assert loaded.hidden_noise == 0.25
    assert held_out_loss(loaded, features, n_samples=500) == held_out_loss(model, features, n_samples=500)
    # Without noise the file is the one of before.
    model.hidden_noise = 0.0
    assert "hidden_noise" not in (save(model, tmp_path / "plain") / "config.json").read_text()
    assert load(tmp_path / "plain").hidden_noise == 0.0
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace("0.25", "-0.25"))
    with pytest.raises(ValueError, match=r"`hidden_noise` must be finite and not negative, got -0\.25"):
        load(config.parent)


def test_without_noise_a_loss_is_what_it_was():
    model = Autoencoder(24, 6, seed=1)
    x = FEATURES.sample(300, torch_generator(1, "held-out", 0))
    weights = torch.tensor(FEATURES.importance, dtype=torch.float32)
    with torch.no_grad():
        errors = ((model(x) - x).square() @ weights / 24).double()
    assert_within(held_out_loss(model, FEATURES, n_samples=300).value, float(errors.mean()), gamma(400, torch.float32))


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf"), 1e16])
def test_noise_that_is_none_is_refused(noise):
    for make in (
        lambda: Autoencoder(8, 4, hidden_noise=noise),
        lambda: PersianRug.draw(8, 4, hidden_noise=noise),
        lambda: LinearAutoencoder(torch.eye(4, 8), torch.eye(8, 4), torch.zeros(8), hidden_noise=noise),
    ):
        with pytest.raises(ValueError, match="`hidden_noise` must be"):
            make()


@pytest.mark.parametrize("make", [Autoencoder, lambda n, m, **more: PersianRug.draw(n, m, **more)], ids=["free", "rug"])
def test_naive_twin_of_the_noise_at_the_outputs(make):
    model, features = make(16, 8, hidden_noise=0.7), SparseFeatures(16, np.linspace(0.1, 0.5, 16))
    W_enc, W_dec = (
        each.detach().double().numpy().T for each in (model.encode(torch.eye(16)), model.read_out(torch.eye(8)))
    )
    per_unit = 0.7**2 * np.mean([sum(W_enc[k] ** 2 * features.variance) for k in range(8)])
    expected = [np.sqrt(per_unit * sum(row**2)) for row in W_dec]
    assert_within(model.output_noise(features), expected, gamma(40, np.float32) * np.array(expected))
    assert not make(16, 8).output_noise(features).any()


def test_simulation_a_split_knows_the_noise():
    """Parts add up to the held-out loss, and for a large rug the Gaussian model is the mean field of theory."""
    features = SparseFeatures(1024, 0.1)
    rug = PersianRug.fit(features, 256, hidden_noise=0.7)
    found, loss = loss_split(rug, features, n_samples=4000), held_out_loss(rug, features, n_samples=4000)
    assert abs(found.loss.value - loss.value) < Z_BOUND * np.hypot(found.loss.standard_error, loss.standard_error)
    expected = theory.symmetric_optimum(0.25, 0.1, hidden_noise=0.7).loss
    assert found.gaussian == pytest.approx(expected, rel=1e-5)  # of weights in float32
    plain = loss_split(PersianRug.fit(features, 256), features, n_samples=2)
    assert found.gaussian > 1.1 * plain.gaussian
    # Noise is no bias: with scale and bias as they are the mean of an output that is on hardly moves.
    assert found.off_variance.value > plain.gaussian_off


def test_naive_twin_of_the_variance_that_noise_adds():
    """Of a linear model the loss is bias and variance in closed form: Σ_k W_dec² τ² more than without noise."""
    features = SparseFeatures(6, 0.3)
    model = LinearAutoencoder(torch.eye(3, 6), torch.eye(6, 3), torch.zeros(6), hidden_noise=0.8)
    found = loss_split(model, features, n_samples=40_000)
    without = LinearAutoencoder(torch.eye(3, 6), torch.eye(6, 3), torch.zeros(6))
    more = 0.8**2 * float(features.variance) / 2  # of three outputs in six
    assert found.gaussian - loss_split(without, features, n_samples=2).gaussian == pytest.approx(more, rel=1e-6)
    assert abs(found.off_variance.z_score(0.7 * more)) < Z_BOUND
    assert abs(found.on_variance.z_score(0.3 * more)) < Z_BOUND
    assert Z_BOUND * found.on_variance.standard_error < 0.3 * more
