"""What decoders refuse, and what they say of samples that leave the range of their type."""

import numpy as np
import pytest
import torch

from superposition import Constant, PersianRug, SparseFeatures
from superposition.decoders import AMP, OAMP, BasisPursuit, Bayes, Elementwise, ThresholdLeastSquares
from superposition.models import ReLU, TopK
from superposition.models.encoders import DenseEncoder

FEATURES = SparseFeatures(16, 0.1)
RUG = PersianRug.draw(16, 8).encoder
ITERATIVE = (AMP(), OAMP(), OAMP(noise_variance=None))
DECODERS = (Elementwise(ReLU()), Elementwise(TopK(2)), Bayes(), ThresholdLeastSquares(2, rounds=3), *ITERATIVE)


def batch(size, dtype=torch.float32):
    """Two samples of k = 2 features, the second so many times larger."""
    x = torch.zeros(2, 16, dtype=dtype)
    x[:, [3, 7]] = torch.tensor([0.5, 0.8], dtype=dtype)
    return RUG.encode(x) * torch.tensor([[1.0], [size]], dtype=dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_activations_that_are_not_finite_are_refused(decoder, value):
    hidden = batch(1.0)
    hidden[1, 5] = value
    with pytest.raises(ValueError, match=rf"^`hidden` must be finite, got {value:g} at index \(1, 5\)$"):
        decoder(hidden, RUG, FEATURES)


@pytest.mark.parametrize("size", [1e18, 1e25, 3e37, 1e38])
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_no_sample_converges_that_the_type_cannot_hold(decoder, size):
    decoded = decoder(batch(size), RUG, FEATURES)
    assert torch.isfinite(decoded.features).all()
    assert not (decoded.converged & ~torch.isfinite(decoded.residual)).any()
    assert bool(decoded.converged.all()) == (decoded.why == "")


@pytest.mark.parametrize("decoder", ITERATIVE, ids=lambda decoder: decoder.name)
def test_samples_out_of_range_end_at_the_prior_mean_and_leave_the_others_alone(decoder):
    decoded, alone = decoder(batch(1e30), RUG, FEATURES), decoder(batch(1.0)[:1], RUG, FEATURES)
    assert decoded.converged.tolist() == [bool(alone.converged[0]), False]
    assert "1 of 2 samples: its activations left the range of their type" in decoded.why
    torch.testing.assert_close(decoded.features[1], torch.full((16,), float(FEATURES.mean)))
    torch.testing.assert_close(decoded.features[:1], alone.features)


def test_one_step_out_of_range_says_so():
    decoded = Elementwise(ReLU(), scale=1e30)(batch(1e20), RUG, FEATURES)
    assert decoded.converged.tolist() == [True, False]
    assert decoded.why == "1 of 2 samples: they left the range of torch.float32"
    assert decoded.residual[1] == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.zeros(0, 8)}, "`hidden` must hold at least one sample"),
        ({"hidden": torch.zeros(2, 8, dtype=torch.float16)}, "`hidden` must be of float32 or float64"),
        ({"hidden": torch.zeros(2, 8, dtype=torch.float64)}, r"must have W_enc's dtype torch.float32"),
        ({"features": SparseFeatures(16, 0.1, Constant(1e30))}, "`law` must have a root mean square in"),
        ({"W_enc": torch.full((8, 16), 1e20)}, "`W_enc` must have a largest entry in"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(change, message):
    given = {"hidden": torch.zeros(2, 8), "W_enc": torch.eye(16)[:8], "features": FEATURES} | change
    with pytest.raises(ValueError, match=message):
        Elementwise(ReLU())(**given)


@pytest.mark.parametrize("decoder", [BasisPursuit(), BasisPursuit(nonnegative=False)])
def test_basis_pursuit_has_no_unit(decoder):
    for size in (1e-150, 1.0, 1e150):
        decoded = decoder(batch(1.0, torch.float64) * size, RUG, FEATURES)
        assert decoded.converged.all()


def test_weights_changed_from_outside_change_nothing():
    W = torch.eye(4)
    encoder, decoder = DenseEncoder(W), Elementwise(ReLU(), W_dec=W)
    W[0, 0] = 7.0
    assert float(encoder.column_norms()[0]) == 1.0
    hidden = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert decoder(hidden, encoder, SparseFeatures(4, 0.5)).features[0, 0] == 1.0


@pytest.mark.parametrize("decoder", [AMP(), OAMP()], ids=lambda decoder: decoder.name)
def test_features_whose_variance_the_type_cannot_hold_are_refused(decoder):
    rare = SparseFeatures(16, 1e-40)
    with pytest.raises(ValueError, match=r"^`features` must have variances of at least 1e-31"):
        decoder(torch.zeros(2, 8), RUG, rare)
    assert decoder(torch.zeros(2, 8, dtype=torch.float64), RUG, rare).features.isfinite().all()
