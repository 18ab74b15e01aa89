from math import sqrt

import numpy as np
import pytest
import torch

from superposition import Autoencoder, Constant, LinearAutoencoder, SparseFeatures
from tests.rounding import Bounded, assert_within, gamma, linear, product_bound
from tests.statistics import Z_BOUND


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("initialization", ["tied", "linear"])
def test_naive_twin_forward(batch, initialization, generator):
    model = Autoencoder(7, 3, initialization=initialization)
    x = torch.rand(*batch, 7, generator=generator)
    W_enc, W_dec, b_dec = (parameter.detach().double() for parameter in (model.W_enc, model.W_dec, model.b_dec))
    expected = torch.clamp(torch.einsum("ij,...j->...i", W_dec @ W_enc, x.double()) + b_dec, min=0)
    bound = linear(Bounded.given(x, np.float32) @ W_enc.T.numpy(), W_dec.numpy(), b_dec.numpy()).error
    assert_within(model(x), expected, bound)
    assert_within(model.W_rows(2, 5), (W_dec @ W_enc)[2:5], product_bound(W_dec[2:5], W_enc, np.float32))
    assert torch.equal(model.bias_vector(), model.b_dec)


def test_tied_starts_with_every_feature_alive():
    model = Autoencoder(500, 200)
    assert torch.equal(model.W_dec, model.W_enc.T)
    assert not model.b_dec.any()
    diagonal = torch.diagonal(model.W_dec @ model.W_enc).detach().numpy()
    z = (diagonal.mean() - 1) / (np.sqrt(2 / 200) / np.sqrt(500))
    assert abs(z) < Z_BOUND
    assert diagonal.min() > 0.5
    entries = model.W_enc.detach().double().flatten().numpy()
    assert abs(entries.mean()) * sqrt(200 * 1e5) < Z_BOUND
    assert entries.var() * 200 == pytest.approx(1, abs=Z_BOUND * sqrt(2 / 1e5))


@pytest.mark.parametrize("n_hidden", [1, 2, 6])
@pytest.mark.parametrize("n_features", [1, 6])
def test_encoder_and_decoder_share_no_memory(n_features, n_hidden):
    model = Autoencoder(n_features, min(n_hidden, n_features))
    with torch.no_grad():
        model.W_enc += 1
    assert not torch.equal(model.W_dec, model.W_enc.T)
    linear = LinearAutoencoder.fit(SparseFeatures(n_features, 0.5), min(n_hidden, n_features))
    assert linear.W_enc.data_ptr() != linear.W_dec.data_ptr()


def test_linear_is_the_law_of_torch_linear_layers():
    n_features, n_hidden = 400, 100
    model = Autoencoder(n_features, n_hidden, initialization="linear")
    encoder, decoder = torch.nn.Linear(n_features, n_hidden, bias=False), torch.nn.Linear(n_hidden, n_features)
    for mine, theirs in ((model.W_enc, encoder.weight), (model.W_dec, decoder.weight), (model.b_dec, decoder.bias)):
        assert mine.shape == theirs.shape
        bound = 1 / sqrt(n_features if theirs is encoder.weight else n_hidden)
        assert float(mine.detach().abs().max()) <= bound
        assert float(theirs.detach().abs().max()) <= bound
        values = mine.detach().double().flatten().numpy() / bound
        distance = np.abs(np.sort(values) - (2 * (np.arange(values.size) + 0.5) / values.size - 1)).max() / 2
        assert distance * sqrt(values.size) < 2.3  # Kolmogorov: false-alarm rate 5e-5
        assert float(mine.detach().abs().max()) > 0.98 * bound


def test_seeds():
    same, other = Autoencoder(5, 2, seed=1), Autoencoder(5, 2, seed=2)
    torch.manual_seed(7)
    again = Autoencoder(5, 2, seed=1)
    assert torch.equal(same.W_enc, again.W_enc)
    assert not torch.equal(same.W_enc, other.W_enc)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Autoencoder(0, 1), "`n_features` must be a whole number of at least 1, got 0"),
        (lambda: Autoencoder(4, 5), r"`n_hidden` must be a whole number in \[1, 4\], got 5"),
        (lambda: Autoencoder(4, 0), r"`n_hidden` must be a whole number in \[1, 4\], got 0"),
        (lambda: Autoencoder(4, 2, seed=-1), "`seed` must be a whole number of at least 0, got -1"),
        (lambda: LinearAutoencoder.fit(SparseFeatures(4, 0.1), 5), "`n_hidden` must be a whole number"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_linear_optimum_keeps_the_most_important_variance(generator):
    features = SparseFeatures(4, np.array([0.5, 0.1, 1.0, 0.3]), Constant(2.0), importance=np.array([1, 9, 1, 0.1]))
    model = LinearAutoencoder.fit(features, 2)
    x = features.sample(10, generator)
    # M Var x = 1·1, 9·0.36, 1·0, 0.1·0.84: the first two are kept, the others become their means 2 and 0.6.
    expected = torch.cat([x[:, :2], torch.tensor([[2.0, 0.6]]).expand(10, 2)], dim=1)
    # Products with 0 and 1 round nothing; the means are products of a few numbers.
    few = {"rtol": gamma(8, np.float32), "atol": 0}
    torch.testing.assert_close(model(x), expected, **few)
    torch.testing.assert_close(model.W_rows(0, 4), torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0])), **few)
    torch.testing.assert_close(model.bias_vector(), torch.tensor([0.0, 0.0, 2.0, 0.6]), **few)
