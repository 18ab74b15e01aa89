import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard

from superposition import hadamard_transform
from superposition.models.hadamard import sylvester


@pytest.mark.parametrize("order", [1 << k for k in range(11)])
def test_naive_twin_dense_matrix(order, generator):
    x = torch.randn(3, order, generator=generator, dtype=torch.float64)
    dense = torch.from_numpy(hadamard(order)).double()
    torch.testing.assert_close(hadamard_transform(x), x @ dense.T, rtol=0, atol=1e-11)
    torch.testing.assert_close(hadamard_transform(torch.eye(order)), dense.float(), rtol=0, atol=0)


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,), (2, 1, 3)])
@pytest.mark.parametrize("order", [1, 8, 128])
def test_leading_dimensions(batch, order, generator):
    x = torch.randn(*batch, order, generator=generator, dtype=torch.float64)
    dense = torch.from_numpy(hadamard(order)).double()
    torch.testing.assert_close(hadamard_transform(x), x @ dense)


@given(bits=st.integers(0, 15), seed=st.integers(0, 9))
def test_identity_involution_and_energy(bits, seed):
    x = torch.randn(2, 1 << bits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    n = 1 << bits
    torch.testing.assert_close(hadamard_transform(hadamard_transform(x)), n * x)
    torch.testing.assert_close(hadamard_transform(x).square().sum(), n * x.square().sum())


def test_identity_entries_are_parities():
    H = hadamard_transform(torch.eye(256))
    for i, j in ((3, 5), (255, 255), (0, 77), (128, 131)):
        assert H[i, j] == (-1) ** bin(i & j).count("1")


@pytest.mark.parametrize("order", [1, 4, 128])
def test_the_argument_is_left_alone(order):
    x = torch.ones(2, order)
    hadamard_transform(x).zero_()
    assert torch.equal(x, torch.ones(2, order))
    transposed = torch.arange(2.0 * order).reshape(order, 2).T
    torch.testing.assert_close(hadamard_transform(transposed), hadamard_transform(transposed.clone()))


def test_gradients_pass_even_after_inference_mode():
    sylvester.cache_clear()
    with torch.inference_mode():
        hadamard_transform(torch.ones(128))
    x = torch.ones(128, requires_grad=True)
    (hadamard_transform(x) * torch.arange(128.0)).sum().backward()
    torch.testing.assert_close(x.grad, hadamard_transform(torch.arange(128.0)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    assert hadamard_transform(torch.ones(128, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(("n", "message"), [(3, "got 3: use 2 or 4"), (100, "got 100: use 64 or 128"), (0, "got 0")])
def test_other_orders_are_refused(n, message):
    with pytest.raises(ValueError, match=f"`n_features` must be a power of two.*{message}"):
        hadamard_transform(torch.ones(n))
