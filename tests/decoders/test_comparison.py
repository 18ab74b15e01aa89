"""One protocol for all decoders: the same samples, honest errors, limits of time."""

import numpy as np
import pytest
import torch

from superposition import Autoencoder, PersianRug, SparseFeatures, held_out_loss
from superposition.decoders import OAMP, OMP, Elementwise, OracleSupport, compare_decoders, fit_decoder
from superposition.decoders.fitting import observed
from superposition.models import ReLU
from tests.rounding import assert_within, likely_gamma
from tests.statistics import Z_BOUND


def test_naive_twin_loss_over_chunks_with_importances():
    features = SparseFeatures(64, 0.1, importance=np.linspace(0, 2, 64))
    encoder = PersianRug.draw(64, 16).encoder
    (found,) = compare_decoders(encoder, features, [Elementwise(ReLU(), 1.2, -0.3)], 40_000, seed=7)
    errors, moved = [], []
    for index, size in enumerate((16384, 16384, 7232)):
        x, hidden = observed(encoder, features, size, 0.0, 7, "compare", index)
        decoded = Elementwise(ReLU(), 1.2, -0.3)(hidden, encoder, features).features
        wrong = (decoded - x).double()
        errors.append((wrong**2 * torch.tensor(features.importance)).mean(dim=1))
        # A slow machine decodes a chunk in parts: of other shapes, in sums of 64 and 16 in another order.
        rounding = 1.2 * likely_gamma(64 + 16, torch.float32) * hidden.norm(dim=1, keepdim=True).double()
        moved.append((2 * wrong.abs() * rounding * torch.tensor(features.importance)).mean(dim=1))
    errors, moved = torch.cat(errors).numpy(), torch.cat(moved).numpy()
    assert_within(found.loss.value, errors.mean(), moved.mean())
    # Each deviation from the mean by its own error, at most, and by that of the mean.
    deviation = moved.std() + moved.mean()
    assert_within(found.loss.standard_error, errors.std(ddof=1) / 200, deviation / 200)
    assert (found.loss.count, found.converged, found.iterations) == (40_000, 1, 1)
    assert 0 < found.residual < 1


def test_a_slow_decoder_sees_the_first_samples_only():
    features, rug = SparseFeatures(128, 0.05), PersianRug.draw(128, 64).encoder
    (fast,) = compare_decoders(rug, features, [Elementwise(ReLU())], 4000, seconds=600)
    (slow,) = compare_decoders(rug, features, [OMP(40)], 4000, seconds=1e-6)
    assert fast.loss.count == 4000
    assert 1 <= slow.loss.count < 4000
    assert slow.seconds > 0


def test_oracles_are_told_and_others_are_not():
    features = SparseFeatures(256, 0.05)
    oracle, message_passing = compare_decoders(
        PersianRug.draw(256, 128).encoder, features, [OracleSupport(), OAMP()], 50
    )
    assert oracle.loss.value > 0
    assert message_passing.converged > 0.9
    assert message_passing.predicted == 0


def test_a_model_is_compared_as_it_is_and_what_was_not_fitted_says_so():
    features = SparseFeatures(64, 0.1, importance=np.linspace(0, 2, 64))
    model = Autoencoder(64, 16, seed=3)
    own, plain, fitted = compare_decoders(
        model,
        features,
        [Elementwise(ReLU()), fit_decoder(Elementwise(ReLU()), model, features, n_samples=2000)],
        20_000,
    )
    assert own.decoder == "model as it is"
    expected = held_out_loss(model, features, n_samples=20_000)
    spread = np.hypot(own.loss.standard_error, expected.standard_error)
    assert abs(own.loss.value - expected.value) < Z_BOUND * spread
    assert spread < 0.02 * expected.value
    # A tied start has no bias and unit columns but for its draw: it does what an unfitted ReLU does, not what a fitted.
    assert fitted.loss.value < 0.9 * own.loss.value
    assert "not fitted: use fit_decoder" in plain.why
    assert own.why == fitted.why == ""


def test_bad_arguments_are_refused():
    features, rug = SparseFeatures(8, 0.1), PersianRug.draw(8, 4)
    for change, message in (
        ({"n_samples": 0}, "`n_samples` must be a whole number"),
        ({"noise_variance": -1.0}, "`noise_variance` must be finite and not negative"),
        ({"seconds": 0.0}, "`seconds` must be in"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_decoders(rug, features, [Elementwise(ReLU())], **change)
    with pytest.raises(ValueError, match="`features` must have the encoder's n_features = 8"):
        compare_decoders(rug, SparseFeatures(9, 0.1), [Elementwise(ReLU())])
