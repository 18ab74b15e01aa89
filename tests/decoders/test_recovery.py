import numpy as np
import pytest
import torch

from superposition import Autoencoder, Constant, LinearAutoencoder, PersianRug, SparseFeatures
from superposition.decoders import AMP, BasisPursuit, recover
from superposition.features.exactly_sparse import sparse_vectors
from superposition.models.encoders import DenseEncoder
from superposition.theory import measurements
from tests.rounding import assert_within, likely_gamma
from tests.statistics import Z_BOUND


def solved(n_features, k, condition=2.0):
    """Bound on the error of least squares on k columns in float32, of values up to 1.

    An inner product with a unit column is rounded in units of the activations' norm, √k at most, as the sums of 64 of
    the passes of a transform are; one step of refinement leaves that times the columns' condition number, squared in
    normal equations.
    """
    passes = np.ceil(np.log2(n_features) / 6)
    return condition**2 * np.sqrt(k) * likely_gamma(64 * passes, torch.float32)


def test_a_rug_recovers_exactly_and_says_so():
    rug, x = PersianRug.draw(1024, 512, seed=1), sparse_vectors(1024, 5, 100, seed=1, lowest=0.5)
    found = recover(rug, rug.encode(x), 5)
    assert (found.condition < 2).all()
    assert_within(found.x, x, solved(1024, 5))
    assert torch.equal(found.support, x.nonzero()[:, 1].view(100, 5))
    assert found.certified.double().mean() > 0.9
    assert (found.residual < solved(1024, 5)).all()
    assert found.why == ""


def test_further_rounds_recover_what_one_misses():
    rug, x = PersianRug.draw(1024, 256, seed=1), sparse_vectors(1024, 20, 100, seed=1)
    once, more = (recover(rug, rug.encode(x), 20, rounds=rounds) for rounds in (1, 20))
    # A wrong support errs by the size of values, some tenths.
    exact = [(found.x - x).abs().amax(dim=1) < solved(1024, 20, condition=4) for found in (once, more)]
    assert exact[0].double().mean() < 0.3
    assert exact[1].double().mean() > 0.9
    assert exact[1][exact[0]].all()
    assert not more.certified[~exact[1]].any()


def test_scale_and_bias_of_a_model_change_nothing():
    rug, x = PersianRug.draw(256, 128, seed=1), sparse_vectors(256, 3, 20, seed=1, lowest=0.3)
    fitted = PersianRug(256, rug.rows, scale=1.4, bias=-0.5)
    model = Autoencoder(256, 128)
    with torch.no_grad():
        W = rug.encode(torch.eye(256)).T
        model.W_enc.copy_(W)
        model.W_dec.copy_(1.4 * W.T)
        model.b_dec.fill_(-0.5)
    found = recover(rug, rug.encode(x), 3)
    for other in (recover(fitted, rug.encode(x), 3), recover(model, rug.encode(x), 3)):
        assert_within(other.x, found.x, 2 * solved(256, 3))
        assert torch.equal(other.certified, found.certified)


def test_wrong_supports_are_not_certified():
    rug, x = PersianRug.draw(256, 32, seed=1), sparse_vectors(256, 16, 100, seed=1)
    found = recover(rug, rug.encode(x), 16)
    wrong = (found.x - x).abs().amax(dim=1) > 1e-3  # far above what rounding does, far below the values
    assert wrong.double().mean() > 0.9
    assert not found.certified[wrong].any()


@pytest.mark.parametrize(
    ("k", "y", "message"),
    [
        (9, torch.zeros(1, 8), r"`k` must be a whole number in \[1, 8\], got 9"),
        (0, torch.zeros(1, 8), "`k` must be a whole number"),
        (2, torch.zeros(1, 7), r"`hidden` must have shape \(batch, 8\), got \(1, 7\)"),
        (2, torch.full((1, 8), torch.nan), "`hidden` must be finite, got nan"),
    ],
)
def test_bad_input_is_refused(k, y, message):
    with pytest.raises(ValueError, match=message):
        recover(PersianRug.draw(16, 8), y, k)


def test_any_model_gives_a_first_estimate():
    model = LinearAutoencoder.fit(SparseFeatures(4, 0.5), 2)  # the first two features, whole
    assert recover(model, torch.tensor([[0.0, 0.3]]), 1).x.tolist() == [[0, torch.tensor(0.3).item(), 0, 0]]


def test_sparse_vectors_are_what_they_say():
    x = sparse_vectors(50, 3, 4000, seed=1, lowest=0.5, dtype=torch.float64)
    assert ((x > 0).sum(dim=1) == 3).all()
    assert x[x > 0].min() > 0.5
    assert x.max() <= 1
    counts = (x > 0).sum(dim=0)
    # Of 50 features: binomial of 4000 and 0.06.
    assert abs(counts.double() - 240).max() < Z_BOUND * np.sqrt(240 * 0.94)
    with pytest.raises(ValueError, match=r"`k` must be a whole number in \[1, 4\], got 5"):
        sparse_vectors(4, 5, 1)


def test_known_numbers_of_measurements_are_ordered():
    for n, k in ((100, 30), (10**6, 3), (2, 1)):
        found = measurements(n, k)
        assert found.information <= found.message_passing + 1 <= n + 1
        assert found.message_passing <= found.l1_nonnegative <= found.l1_signed <= found.l1_sufficient <= n
    assert measurements(1000, 10, Constant()).message_passing != measurements(1000, 10).message_passing
    with pytest.raises(ValueError, match="`k` must be a whole number"):
        measurements(10, 10)


def test_simulation_recovery_changes_where_the_numbers_say():
    """Well above its number each method recovers almost always, well below almost never."""
    n, k, count = 400, 40, 12
    found = measurements(n, k)
    for expected, decoder in ((found.l1_nonnegative, BasisPursuit()), (found.message_passing, AMP())):
        rates = []
        for m in (round(0.75 * expected), round(1.3 * expected)):
            encoder, x = DenseEncoder.gaussian(n, m, seed=m), sparse_vectors(n, k, count, seed=m)
            decoded = decoder(encoder.encode(x), encoder, SparseFeatures(n, k / n))
            # What is not recovered errs by tenths, what is by the solver's tolerance or AMP's, far below.
            rates.append(float(((decoded.features - x).abs().amax(dim=1) < 1e-2).double().mean()))
        assert rates[0] < 0.2 < 0.8 < rates[1], (decoder.name, rates)
