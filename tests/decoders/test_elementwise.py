"""Elementwise decoders: naive twins, the best parameters, mean field against measurement, order of the ceilings."""

import dataclasses

import numpy as np
import pytest
import torch

from superposition import SparseFeatures, Uniform, theory
from superposition.decoders import Bayes, Elementwise, OracleSupport, compare_decoders, fit_decoder
from superposition.decoders.calibration import Calibration
from superposition.decoders.elementwise import _mean_field_loss
from superposition.decoders.fitting import fitted, observed
from superposition.decoders.readout import best_readout, matched
from superposition.models import Activation, Autoencoder, BatchTopK, Gated, JumpReLU, NoActivation, ReLU, TopK, TRec
from superposition.models.base import encoder_of
from superposition.models.encoders import DenseEncoder
from tests.rounding import assert_close, assert_within, gamma
from tests.statistics import Z_BOUND

FAMILIES = [Elementwise(activation) for activation in (ReLU(), JumpReLU(), Gated(), TRec())]


RELU = FAMILIES[0]


def test_known_values():
    identity, features = torch.eye(4, dtype=torch.float64), SparseFeatures(4, 0.5)
    z = torch.tensor([[0.9, 0.5, 0.2, -0.3]], dtype=torch.float64)
    for decoder, expected in (
        (Elementwise(ReLU(), 2.0, -0.5), [1.3, 0.5, 0, 0]),
        (Elementwise(JumpReLU(threshold=0.6), 2.0, -0.5), [1.3, 0, 0, 0]),
        (Elementwise(Gated(gate_bias=-0.6), 2.0, -0.5), [1.3, 0.5, 0, 0]),
        (Elementwise(Gated(gate_bias=-1.2), 2.0), [1.8, 0, 0, 0]),
        (Elementwise(TRec(), 2.0, -0.9), [1.8, 1.0, 0, 0]),
        (Elementwise(TRec(), 2.0, 0.3), [1.8, 1.0, 0.4, 0]),
        (Elementwise(TopK(1), bias=0.1), [1.0, 0, 0, 0]),
        (Elementwise(TopK(4)), [0.9, 0.5, 0.2, 0]),
        (Elementwise(NoActivation(), 2.0, 0.1), [1.9, 1.1, 0.5, -0.5]),
    ):
        decoded = decoder(z, identity, features)
        assert_within(decoded.features, [expected], gamma(10, float))
        residual = np.linalg.norm(z.numpy() - np.array(expected)) / np.linalg.norm(z)
        assert_close(float(decoded.residual), residual, gamma(40, float))  # differences of numbers up to four times it
        assert decoded.converged.all()
        assert decoded.iterations.tolist() == [1]


def test_batch_top_k_keeps_the_largest_of_the_batch():
    z = torch.tensor([[0.9, 0.8, 0.1], [0.2, 0.3, 0.05]])
    decoded = Elementwise(BatchTopK(1))(z, torch.eye(3), SparseFeatures(3, 0.5))
    assert torch.equal(decoded.features, torch.tensor([[0.9, 0.8, 0], [0, 0, 0]]))


def test_matched_readout_has_a_unit_diagonal(small, generator):
    # A product of 32 terms, over the square of a norm.
    assert_within(torch.diagonal(matched(small, small.W_enc.T)), 1, gamma(3 * 32 + 4, float))
    dead = small.W_enc.clone()
    dead[:, 5] = 0
    assert (matched(DenseEncoder(dead), torch.randn(3, 32, generator=generator, dtype=torch.float64))[:, 5] == 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_identity_best_readout_is_unbiased_and_has_the_variance_it_says(small, noise, generator):
    features = SparseFeatures(64, np.linspace(0.05, 0.5, 64))
    readout = best_readout(small, features, noise)
    W = readout.W @ small.W_enc
    # A system of 32 by its condition number: its own rounding, and 1e-12 of the diagonal that is put there.
    covariance = (small.W_enc * torch.tensor(features.variance)) @ small.W_enc.T + noise * torch.eye(32)
    bound = float(torch.linalg.cond(covariance)) * (1e-12 + gamma(32**2, float))
    assert bound < 1e-9
    assert_within(torch.diagonal(W), 1, bound)
    off = W - torch.diag(torch.diagonal(W))
    variance = off**2 @ torch.tensor(features.variance) + noise * (readout.W**2).sum(1)
    assert_close(readout.noise_std**2, variance, 10 * bound)
    assert_within(readout.mean, off @ torch.tensor(features.mean), 10 * bound)
    # Capacities add up to the width, less what the noise takes.
    capacity = features.variance / (features.variance + readout.noise_std.numpy() ** 2)
    if noise:
        assert capacity.sum() < 32 * (1 - 1e-3)
    else:
        assert_close(capacity.sum(), 32, bound)
    # No other unit-diagonal read-out has less variance.
    other = readout.W + 0.01 * torch.randn(64, 32, generator=generator, dtype=torch.float64)
    other = other / (other @ small.W_enc).diagonal()[:, None]
    V = other @ small.W_enc
    worse = (V - torch.diag(V.diagonal())) ** 2 @ torch.tensor(features.variance) + noise * (other**2).sum(1)
    assert (worse > variance * (1 + 10 * bound)).all()


def test_fit_finds_the_mean_field_optimum_on_a_rug(rug):
    features = SparseFeatures(4096, 0.045)
    fitted = fit_decoder(Elementwise(ReLU()), rug, features)
    best = theory.symmetric_optimum(0.25, 0.045)
    mean = float(best_readout(rug, features).mean)
    assert fitted.W_dec is None
    # Interference of a finite rug is Gaussian up to some 1/√n_hidden, 3%.
    assert_close(fitted.scale, best.scale, 1024**-0.5, resolution=0.05)
    assert_close(fitted.bias + fitted.scale * mean, best.bias, 2 * 1024**-0.5, resolution=0.1)


@pytest.mark.parametrize("decoder", FAMILIES, ids=lambda decoder: decoder.name)
def test_identity_no_nearby_parameters_are_better_on_the_sample(decoder, small):
    features = SparseFeatures(64, 0.1)
    x, hidden = observed(small, features, 2000, 0.0, 5, "calibration")
    best = fit_decoder(decoder, small, features, n_samples=2000, seed=5)

    def loss(candidate):
        return float((candidate(hidden, small, features).features - x).square().mean())

    least = loss(best)
    for change in (-0.03, -0.003, 0.003, 0.03):
        others = [dataclasses.replace(best, **{name: getattr(best, name) + change}) for name in ("scale", "bias")]
        match best.activation:
            case JumpReLU(log_threshold=first):
                threshold = max(first.exp().item() + change, 0)
                others.append(dataclasses.replace(best, activation=JumpReLU(threshold=threshold)))
            case Gated(gate_bias=first):
                others.append(dataclasses.replace(best, activation=Gated(gate_bias=first.item() + change)))
        for nearby in others:
            # Gates are tried half-way between entries: of 128 000 some 1e-5 apart, the loss is missed in second order,
            # and its sums are rounded by less.
            assert loss(nearby) >= least * (1 - 1e-8), (nearby, change)


def test_naive_twin_without_an_activation_it_is_the_best_straight_line(small):
    features = SparseFeatures(64, 0.1)
    x, hidden = observed(small, features, 500, 0.0, 0, "calibration")
    line = fit_decoder(Elementwise(NoActivation()), small, features, n_samples=500)
    z = (hidden @ line.W_dec.T).numpy().ravel()
    slope, start = np.polyfit(z, x.numpy().ravel(), 1)
    # Sums over 32 000 entries, in another order.
    assert_close([line.scale, line.bias], [slope, start], gamma(500 * 64, float))


class Smooth(Activation):
    """A ReLU without its corner, which no rule of ours knows."""

    def __init__(self, sharpness):
        super().__init__()
        self.sharpness = sharpness

    def forward(self, m, bias):
        return torch.nn.functional.softplus(m + bias, beta=self.sharpness)


def test_an_activation_of_ones_own_is_fitted_by_search(small):
    features, activation = SparseFeatures(64, 0.1), Smooth(30.0)
    sample = Calibration.of(*observed(small, features, 2000, 0.0, 0, "calibration"), small, features, 0.0)

    def loss(decoder):
        return float((decoder.activate(sample.z) - sample.x).square().mean())

    best = fitted(Elementwise(activation), sample)
    relu = fitted(Elementwise(ReLU()), sample)
    assert loss(best) < loss(dataclasses.replace(relu, activation=activation))
    for name in ("scale", "bias"):
        for change in (-0.01, 0.01):
            assert loss(dataclasses.replace(best, **{name: getattr(best, name) + change})) > loss(best)


def test_fit_chooses_k_or_keeps_it(rug):
    features = SparseFeatures(4096, 0.05)
    chosen = fit_decoder(Elementwise(TopK()), rug, features, n_samples=100)
    assert 150 < chosen.activation.k < 600
    assert fit_decoder(Elementwise(TopK(205)), rug, features, n_samples=100).activation.k == 205
    kept = fit_decoder(Bayes(), rug, features)
    assert isinstance(kept, Bayes)


def gate_by_quadrature(scale, bias, gate, mean, sigma, p):
    """E (x − x̂)² of x̂ = scale z + bias where z > gate, z = x + ν: Gauss rules in z on both sides, and in u."""
    nodes, weights = np.polynomial.legendre.leggauss(100)

    def error(u):
        edges = np.clip([u + mean - 10 * sigma, gate, u + mean + 10 * sigma], u + mean - 10 * sigma, None)
        total = 0.0
        for low, high, is_open in ((edges[0], edges[1], False), (max(edges[0], edges[1]), edges[2], True)):
            high = np.clip(high, low, edges[2])
            z = (low + high) / 2 + (high - low) / 2 * nodes
            density = np.exp(-(((z - u - mean) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
            decoded = scale * z + bias if is_open else 0.0
            total += (high - low) / 2 * weights @ (density * (u - decoded) ** 2)
        return total

    active = sum(w / 2 * error((1 + u) / 2) for u, w in zip(nodes, weights, strict=True))
    return (1 - p) * error(0.0) + p * active


@pytest.mark.parametrize(
    ("decoder", "scale", "bias", "gate"),
    [
        (Elementwise(ReLU(), 1.3, -0.4), 1.3, -0.4, 0.4 / 1.3),
        (Elementwise(JumpReLU(threshold=0.3), 1.2, -0.1), 1.2, -0.1, 0.4 / 1.2),
        (Elementwise(Gated(gate_bias=-0.225), 0.9, 0.05), 0.9, 0.05, 0.25),
        (Elementwise(TRec(), 1.1, -0.5), 1.1, 0.0, 0.5 / 1.1),
    ],
    ids=lambda case: case.name if isinstance(case, Elementwise) else "",
)
def test_naive_twin_predicted_loss_of_a_gate(decoder, scale, bias, gate, rug):
    features, noise = SparseFeatures(4096, 0.1), 0.01
    sigma = np.sqrt(theory.minimal_noise_variance(0.25, 0.1) + noise)
    expected = gate_by_quadrature(scale, bias, gate, float(best_readout(rug, features).mean), sigma, 0.1)
    # Sums of some hundreds of positive terms each way; ten roundings and an exponential, of up to e⁻⁵⁰, in each.
    assert_close(decoder.predicted_loss(rug, features, noise), expected, gamma(1000, float))


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize(("scale", "bias"), [(1.3, -0.4), (0.8, -0.05), (1.0, -3.0)])
def test_identity_a_gate_at_its_corner_is_the_theorys_relu(rug, scale, bias, noise):
    features = SparseFeatures(4096, 0.01)
    readout = best_readout(rug, features, noise)
    shifted = bias + scale * float(readout.mean)
    expected = theory.relu_loss(scale, shifted, float(readout.noise_std), 0.01)
    found = Elementwise(ReLU(), scale, bias).predicted_loss(rug, features, noise)
    # Quadrature against closed forms; at the mean, terms that cancel to (σ/θ)⁴ of themselves.
    assert_close(found, expected, gamma(10_000, float))


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_simulation_mean_field_predicts_every_elementwise_decoder(rug, noise):
    features = SparseFeatures(4096, 0.1)
    decoders = [fit_decoder(decoder, rug, features, noise_variance=noise) for decoder in FAMILIES]
    decoders += [Bayes(noise), OracleSupport(noise_variance=noise), Elementwise(JumpReLU(threshold=0.3), 1.2, -0.1)]
    found = compare_decoders(rug, features, decoders, 1500, noise_variance=noise)
    for result in found:
        error = Z_BOUND * result.loss.standard_error
        assert error < 0.03 * result.predicted
        # At this size 1% is what mean field leaves out.
        assert abs(result.loss.value - result.predicted) < error + 0.01 * result.predicted, result
    by_name = {result.decoder: result.loss.value for result in found[:6]}
    assert by_name["OracleSupport"] < by_name["Bayes"] < by_name["ReLU"]
    # On other samples than they were fitted to: the best of the sample is off by a share of some 1e-5.
    assert by_name["JumpReLU"] <= by_name["ReLU"] * (1 + 1e-4)
    assert by_name["ReLU"] < by_name["TRec"]


def test_bayes_on_weights_that_are_not_tight_beats_the_best_relu():
    features, encoder = SparseFeatures(128, 0.05), encoder_of(Autoencoder(128, 32, seed=2))
    relu = fit_decoder(Elementwise(ReLU()), encoder, features, n_samples=20_000)
    assert relu.W_dec is not None
    found = compare_decoders(encoder, features, [Bayes(), relu, Elementwise(ReLU())], 20_000)
    assert found[0].loss.value < found[1].loss.value < found[2].loss.value
    assert found[0].predicted is found[1].predicted is None


@pytest.mark.parametrize(
    "family", [*FAMILIES, Elementwise(TopK()), Elementwise(BatchTopK())], ids=lambda family: family.name
)
def test_limit_columns_that_are_nearly_none_cost_no_more_than_none(family):
    """A trained model with dead features: their interference is 70 times the others', and all share the parameters."""
    features, W_enc = SparseFeatures(128, 0.045), DenseEncoder.gaussian(128, 32, seed=2).W_enc.clone()
    dead = torch.arange(128) < 29
    losses = {}
    for size in (0.0, 0.015):
        encoder = DenseEncoder(torch.where(dead, size, 1.0) * W_enc)
        best = fit_decoder(family, encoder, features)
        losses[size] = compare_decoders(encoder, features, [best], 8000)[0].loss.value
        assert (best.W_dec[dead] == 0).all()
    # The nearly dead ones are noise of 0.015² of a feature's variance.
    assert abs(losses[0.015] / losses[0.0] - 1) < 0.01
    sample = Calibration.of(*observed(encoder, features, 2000, 0.0, 0, "test"), encoder, features, 0.0)
    spoilt = fitted(family, sample)
    assert float((spoilt.activate(sample.z) - sample.x).square().mean()) > 1.3 * losses[0.0]


def test_a_trained_jump_relu_is_compared_with_the_fitted_one():
    features, model = SparseFeatures(32, 0.1), Autoencoder(32, 8, activation=JumpReLU(32), seed=3)
    own = Elementwise(model.activation, W_dec=model.W_dec)
    model.activation.log_threshold.data.fill_(0.0)  # which the decoder has a copy of
    decoders = [own, fit_decoder(Elementwise(JumpReLU(32)), model, features, n_samples=4000)]
    as_it_is, copied, best = compare_decoders(model, features, decoders, 4000)
    assert (as_it_is.decoder, copied.decoder, best.decoder) == ("model as it is", "JumpReLU", "JumpReLU")
    model.activation.log_threshold.data.fill_(np.log(0.05))
    assert copied.loss == compare_decoders(model, features, [], 4000)[0].loss != as_it_is.loss
    assert best.loss.value < copied.loss.value
    assert decoders[1].activation.log_threshold.ndim == 0


def test_a_feature_without_a_column_is_decoded_as_its_mean(small):
    dead = small.W_enc.clone()
    dead[:, 5] = 0
    features = SparseFeatures(64, 0.3)
    hidden = observed(DenseEncoder(dead), features, 10, 0.0, 0, "test")[1]
    decoded = Bayes()(hidden, dead, features).features
    assert_within(decoded[:, 5], 0.15, gamma(3, float))
    assert decoded.isfinite().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Elementwise(ReLU(), scale=0.0), r"`scale` must be in \(0, inf\), got 0"),
        (lambda: Elementwise(ReLU(), bias=float("nan")), "`bias` must be finite"),
        (lambda: JumpReLU(threshold=-1.0), "`threshold` must be finite and not negative, got -1"),
        (lambda: TopK(0), "`k` must be a whole number of at least 1, got 0"),
        (lambda: Bayes(-1e-3), "`noise_variance` must be finite and not negative"),
    ],
)
def test_bad_parameters_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("decoder", "change", "message"),
    [
        (RELU, {"hidden": torch.full((2, 32), torch.nan)}, r"`hidden` must be finite, got nan at index \(0, 0\)"),
        (RELU, {"hidden": torch.zeros(2, 31)}, r"`hidden` must have shape \(batch, 32\), got \(2, 31\)"),
        (RELU, {"features": SparseFeatures(63, 0.1)}, "`features` must have the encoder's n_features = 64, got 63"),
        (Elementwise(ReLU(), W_dec=torch.zeros(64, 31)), {}, r"`W_dec` must have shape \(64, 32\), got \(64, 31\)"),
        (Elementwise(TopK()), {}, "`k` must be given, got None"),
        (Elementwise(TopK(65)), {}, r"`k` must be a whole number in \[1, 64\], got 65"),
        (Bayes(), {"features": SparseFeatures(64, np.full(64, 0.1))}, "must be symmetric for a Bayes decoder"),
        (OracleSupport(), {}, r"`active` must have shape \(2, 64\), got None: use told\(x\)"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(small, decoder, change, message):
    given = {"hidden": torch.zeros(2, 32), "features": SparseFeatures(64, 0.1)} | change
    with pytest.raises(ValueError, match=message):
        decoder(given["hidden"], DenseEncoder(small.W_enc.float()), given["features"])


def test_a_gate_without_noise_loses_what_is_below_it():
    """With ratio 1 z is x: the loss is p ∫₀^θ u² du. Gauss nodes between 0 and θ are exact but for rounding."""
    loss = _mean_field_loss(1.0, 0.0, 0.25, 0.0, 0.2, Uniform())
    assert abs(loss / (0.2 * 0.25**3 / 3) - 1) <= gamma(1000, np.float64)
