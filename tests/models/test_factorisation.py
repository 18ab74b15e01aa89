import numpy as np
import pytest
import torch

from superposition import PersianRug
from superposition.models import factorise
from tests.rounding import gamma


@pytest.mark.parametrize(("n", "rank", "n_hidden"), [(9, 4, 4), (9, 4, 6), (1, 1, 1), (6, 6, 6), (5, 0, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identity_the_factors_multiply_to_w_and_are_balanced(n, rank, n_hidden, dtype, generator):
    W = torch.randn(n, rank, generator=generator, dtype=torch.float64) @ torch.randn(
        rank, n, generator=generator, dtype=torch.float64
    )
    W = W.to(dtype)
    W_enc, W_dec = factorise(W, n_hidden)
    assert W_enc.shape == (n_hidden, n)
    assert W_dec.shape == (n, n_hidden)
    assert W_enc.dtype == W_dec.dtype == dtype
    # The SVD is backward stable; singular values that count as none are left out; both factors are rounded.
    type_ = np.float32 if dtype == torch.float32 else float
    size = float(torch.linalg.matrix_norm(W.double(), 2)) if rank else 0.0
    bound = gamma(8 * n, type_) * max(size, 1e-30)
    torch.testing.assert_close(W_dec.double() @ W_enc.double(), W.double(), rtol=0, atol=bound)
    gram = W_enc.double() @ W_enc.double().T
    torch.testing.assert_close(gram, W_dec.double().T @ W_dec.double(), rtol=0, atol=bound)
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), rtol=0, atol=bound)
    values = torch.linalg.svdvals(W.double())[:n_hidden]
    torch.testing.assert_close(gram.diagonal(), values, rtol=0, atol=bound)
    least = W_enc.square().sum() + W_dec.square().sum()
    assert float(least) == pytest.approx(2 * float(values.sum()), abs=2 * n * bound)


def test_signs_are_settled():
    W_enc, _ = factorise(torch.tensor([[1.0, -2.0], [-0.5, 1.0]]), 1)
    assert float(W_enc[0, W_enc.abs().argmax()]) > 0


def test_round_trip_of_a_rug():
    rug = PersianRug.draw(20, 6, seed=1)
    W_enc, W_dec = factorise(rug.matrix(), 6)
    np.testing.assert_allclose(W_dec @ W_enc, rug.matrix(), rtol=0, atol=gamma(400, np.float32))


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_units_do_not_matter(unit):
    W = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    W_enc, W_dec = factorise(unit * W, 1)
    np.testing.assert_allclose((W_dec @ W_enc) / unit, W, rtol=1e-5)


@pytest.mark.parametrize(
    ("W", "n_hidden", "message"),
    [
        (torch.eye(3), 2, "`n_hidden` must be at least the rank of W, 3, got 2: the next singular value is 1 of the"),
        (torch.eye(3), 4, r"`n_hidden` must be a whole number in \[1, 3\]"),
        (torch.tensor([[float("nan")]]), 1, "`W` must be finite"),
    ],
)
def test_bad_arguments_are_refused(W, n_hidden, message):
    with pytest.raises(ValueError, match=message):
        factorise(W, n_hidden)
