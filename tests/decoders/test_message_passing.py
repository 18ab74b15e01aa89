"""AMP and OAMP: state evolution against simulation, thresholds, noise, divergence, and a million features."""

import time

import numpy as np
import pytest
import torch

from superposition import Constant, PersianRug, SparseFeatures, theory
from superposition.decoders import AMP, OAMP, Bayes, compare_decoders
from superposition.decoders.fitting import observed
from superposition.models import Autoencoder
from superposition.models.base import encoder_of
from superposition.models.encoders import DenseEncoder
from tests.rounding import assert_within, likely_gamma
from tests.statistics import Z_BOUND


def carried(decoder, hidden, encoder, features, roundings):
    """Bound on the error of a decoder in float32, by how far it carries a change of the activations, in float64.

    Iterations carry the roundings of each step, as many in a row as given, as they carry a change at their beginning.
    """
    change = 2.0**-16
    signs = torch.randint(0, 2, hidden.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    straight, changed = (
        decoder(hidden.double() * (1 + size * signs), encoder, features).features for size in (0.0, change)
    )
    return float((changed - straight).abs().max()) / change * likely_gamma(roundings, torch.float32)


@pytest.mark.parametrize(("p", "noise"), [(0.15, 0.0), (0.05, 1e-3)])
@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
def test_simulation_of_state_evolution_step_by_step(kind, p, noise, rug, gaussian):
    """Loss after each of the first steps: below the threshold without noise, above it with."""
    encoder, algorithm = (gaussian, AMP) if kind == "gaussian" else (rug, OAMP)
    features = SparseFeatures(4096, p)
    x, hidden = observed(encoder, features, 400, noise, 0, "test")
    predicted = theory.state_evolution(0.25, p, noise, ensemble=kind)
    for steps in (1, 2, 3):
        decoded = algorithm(n_steps=steps, noise_variance=noise, tolerance=1e-12)(hidden, encoder, features)
        errors = (decoded.features - x).double().square().mean(dim=1).numpy()
        error = Z_BOUND * errors.std(ddof=1) / np.sqrt(len(errors))
        expected = predicted.loss[steps - 1]
        assert error < 0.08 * expected
        # A matrix of this size is a draw itself: 1% is what remains of its average.
        assert abs(errors.mean() - expected) < error + 0.01 * expected
        assert abs(errors.mean() - 1.2 * expected) > error + 0.01 * expected, "control"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
def test_simulation_fixed_point_with_noise_known_or_not(kind, known, rug, gaussian):
    encoder, algorithm = (gaussian, AMP) if kind == "gaussian" else (rug, OAMP)
    features, noise = SparseFeatures(4096, 0.05), 2e-4
    x, hidden = observed(encoder, features, 200, noise, 0, "test")
    decoded = algorithm(noise_variance=noise if known else None)(hidden, encoder, features)
    assert decoded.converged.all()
    expected = theory.state_evolution(0.25, 0.05, noise, ensemble=kind).reached_loss
    errors = (decoded.features - x).double().square().mean(dim=1).numpy()
    error = Z_BOUND * errors.std(ddof=1) / np.sqrt(len(errors))
    assert error < 0.06 * expected
    # Of an encoder this size 1% remains, as above, and of the noise where it is not known.
    assert abs(errors.mean() - expected) < error + 0.01 * expected
    predicted = theory.state_evolution(0.25, 0.05, noise, ensemble="orthogonal").reached_loss
    assert OAMP(noise_variance=noise).predicted_loss(rug, features, noise) == predicted


@pytest.mark.parametrize("law", [None, Constant()], ids=str)
@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
def test_known_recovery_on_both_sides_of_the_threshold(kind, law, rug, gaussian):
    encoder, algorithm = (gaussian, AMP) if kind == "gaussian" else (rug, OAMP)
    more = {} if law is None else {"law": law}
    thresholds = np.array([0.1, 0.2]) if law is None else np.array([0.06, 0.15])
    below, above = thresholds  # p at which δ = 0.25 is well above, and well below, what it takes
    assert theory.amp_threshold(below, law) < 0.22 < 0.28 < theory.amp_threshold(above, law)
    for p, recovers in ((below, True), (above, False)):
        features = SparseFeatures(4096, float(p), **more)
        x, hidden = observed(encoder, features, 20, 0.0, 0, "test")
        decoded = algorithm()(hidden, encoder, features)
        # What is not recovered errs by tenths; what is, by the rounding of float32 at most.
        exact = (decoded.features - x).abs().amax(dim=1) < 1e-3
        assert exact.all() == recovers
        assert exact.any() == recovers


def test_float64_recovers_to_its_own_precision():
    features = SparseFeatures(4096, 0.05)
    encoder = encoder_of(PersianRug.draw(4096, 1024))
    x = features.sample(3, torch.Generator().manual_seed(0), dtype=torch.float64)
    decoded = OAMP()(encoder.encode(x), encoder, features)
    assert decoded.converged.all()
    # Iterations end when the loss expected is 1e3 ε² E u²: the worst of 12 288 errors is some five times its root.
    floor = np.sqrt(1e3) * np.finfo(float).eps
    assert_within(decoded.features, x, 5 * floor)
    assert (decoded.residual < 5 * floor).all()


def test_identity_the_first_step_is_the_bayes_decoder_of_the_rug(rug):
    features = SparseFeatures(4096, 0.05)
    x, hidden = observed(rug, features, 50, 0.0, 0, "test")
    one = OAMP(n_steps=1)(hidden, rug, features)
    assert not one.converged.any()
    assert one.why == "50 of 50 samples: it was still changing at the last step"
    # OAMP's first read-out takes the mean of the interference out of each sample and Bayes that of all.
    bayes = Bayes()(hidden, rug, features).features
    losses = [float((found - x).double().square().mean()) for found in (one.features, bayes)]
    # One of 205 active features on average, some 14 more or less, in what is taken out of some samples.
    assert abs(losses[0] / losses[1] - 1) < 0.02


def test_samples_do_not_influence_each_other(rug):
    features = SparseFeatures(4096, 0.05)
    _, hidden = observed(rug, features, 6, 0.0, 0, "test")
    for decoder in (OAMP(n_steps=6), AMP(n_steps=6)):
        whole = decoder(hidden, rug, features).features
        # Two transforms a step, of two sums of 64 each.
        bound = 2 * carried(decoder, hidden, rug, features, 6 * 2 * 128)
        assert_within(whole[2:3], decoder(hidden[2:3], rug, features).features, bound)


def test_dense_and_fast_products_give_the_same(rug):
    features, dense = SparseFeatures(4096, 0.05), DenseEncoder(rug.columns(torch.arange(4096)).T)
    _, hidden = observed(rug, features, 8, 1e-3, 0, "test")
    fast = OAMP(n_steps=5, noise_variance=1e-3)(hidden, rug, features).features
    # Dense products are sums of 4096 and 1024 terms, after a rotation by eigenvectors.
    bound = 2 * carried(OAMP(n_steps=5, noise_variance=1e-3), hidden, rug, features, 5 * (4096 + 2 * 1024))
    assert_within(OAMP(n_steps=5, noise_variance=1e-3)(hidden, dense, features).features, fast, bound)


def test_an_encoder_of_any_spectrum_can_be_decoded():
    """Columns of any norm and rows that are not orthogonal: OAMP recovers where its noise-free threshold is far."""
    encoder = encoder_of(Autoencoder(1024, 512, seed=1))
    stretched = DenseEncoder(torch.diag(torch.linspace(0.3, 3, 512)) @ encoder.W_enc)
    features = SparseFeatures(1024, 0.05)
    x, hidden = observed(stretched, features, 20, 0.0, 0, "test")
    decoded = OAMP()(hidden, stretched, features)
    assert decoded.converged.all()
    assert (decoded.features - x).abs().max() < 1e-3  # recovered: far below the values, above float32's rounding
    with pytest.raises(ValueError, match="`W_enc` must have columns of norm about 1 for AMP, got norms from"):
        AMP()(hidden, stretched, features)


def test_divergence_is_detected_and_damping_helps():
    """Entries with a common mean break AMP: it must stop and say so."""
    generator = torch.Generator().manual_seed(0)
    W = (torch.randn(256, 512, generator=generator) + 0.7) / np.sqrt(256)
    W = W / W.norm(dim=0)
    features = SparseFeatures(512, 0.1)
    x, hidden = observed(DenseEncoder(W), features, 30, 0.0, 0, "test")
    decoded = AMP()(hidden, W, features)
    assert not decoded.converged.all()
    assert "its noise estimate grew: try more damping" in decoded.why
    assert decoded.features.isfinite().all()
    assert (decoded.iterations < 100).any()
    damped = OAMP(damping=0.3)(hidden, W, features)
    assert damped.converged.double().mean() > decoded.converged.double().mean()
    errors = (damped.features - x).abs().amax(dim=1)
    assert (errors < 1e-2).double().mean() > 0.5


def test_damping_reaches_the_same_fixed_point(rug):
    features = SparseFeatures(4096, 0.05)
    results = compare_decoders(
        rug, features, [OAMP(noise_variance=1e-3), OAMP(noise_variance=1e-3, damping=0.3)], 64, noise_variance=1e-3
    )
    # Samples settle when a step changes the loss by less than 1e-3, some steps before their end.
    assert abs(results[1].loss.value / results[0].loss.value - 1) < 10 * OAMP().tolerance
    assert results[1].iterations > results[0].iterations


def test_a_million_features_by_fast_transforms():
    n = 2**20
    encoder, features = encoder_of(PersianRug.draw(n, n // 4)), SparseFeatures(n, 0.05)
    x, hidden = observed(encoder, features, 1, 0.0, 0, "test")
    started = time.process_time()
    decoded = OAMP()(hidden, encoder, features)
    assert time.process_time() - started < 30
    assert decoded.converged.all()
    assert (decoded.features - x).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OAMP(noise_variance=-1.0), "`noise_variance` must be finite and not negative, got -1"),
        (lambda: OAMP(damping=1.0), r"`damping` must be in \[0, 1\), got 1"),
        (lambda: AMP(n_steps=0), "`n_steps` must be a whole number of at least 1"),
        (lambda: AMP(tolerance=float("nan")), "`tolerance` must be in"),
        (
            lambda: OAMP()(torch.zeros(1, 4), DenseEncoder.gaussian(8, 4), SparseFeatures(8, np.full(8, 0.1))),
            "`features` must be symmetric for OAMP",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
