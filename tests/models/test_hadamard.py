import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy.linalg import hadamard

from superposition import hadamard_transform
from superposition.models.hadamard import sylvester
from tests.rounding import assert_within, gamma, product_bound


@pytest.mark.parametrize("order", [1 << k for k in range(11)])
def test_naive_twin_dense_matrix(order, generator):
    x = torch.randn(3, order, generator=generator, dtype=torch.float64)
    dense = torch.from_numpy(hadamard(order)).double()
    assert_within(hadamard_transform(x), x @ dense.T, 2 * product_bound(x, dense.T, np.float64), resolution=1e-9)
    torch.testing.assert_close(hadamard_transform(torch.eye(order)), dense.float(), rtol=0, atol=0)


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,), (2, 1, 3)])
@pytest.mark.parametrize("order", [1, 8, 128])
def test_leading_dimensions(batch, order, generator):
    x = torch.randn(*batch, order, generator=generator, dtype=torch.float64)
    dense = torch.from_numpy(hadamard(order)).double()
    expected, bound = (x.reshape(-1, order) @ dense).reshape(x.shape), 2 * gamma(order, float)
    assert_within(hadamard_transform(x), expected, bound * x.abs().sum(-1, keepdim=True).expand(x.shape))


@given(bits=st.integers(0, 15), seed=st.integers(0, 9))
def test_identity_involution_and_energy(bits, seed):
    x = torch.randn(2, 1 << bits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    n = 1 << bits
    # The second transform adds up n values, each of n terms.
    bound = 2 * gamma(2 * n, float) * n * x.abs().sum(-1, keepdim=True)
    assert_within(hadamard_transform(hadamard_transform(x)), n * x, bound.expand(x.shape), resolution=1e-4)
    energy = n * x.square().sum()
    assert_within(hadamard_transform(x).square().sum(), energy, gamma(6 * n, float) * np.sqrt(n) * energy)


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
    assert torch.equal(hadamard_transform(transposed), hadamard_transform(transposed.clone()))  # sums of integers


def test_gradients_pass_even_after_inference_mode():
    sylvester.cache_clear()
    with torch.inference_mode():
        hadamard_transform(torch.ones(128))
    x = torch.ones(128, requires_grad=True)
    (hadamard_transform(x) * torch.arange(128.0)).sum().backward()
    assert torch.equal(x.grad, hadamard_transform(torch.arange(128.0)))  # sums of integers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    assert hadamard_transform(torch.ones(128, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(("n", "message"), [(3, "got 3: use 2 or 4"), (100, "got 100: use 64 or 128"), (0, "got 0")])
def test_other_orders_are_refused(n, message):
    with pytest.raises(ValueError, match=f"`n_features` must be a power of two.*{message}"):
        hadamard_transform(torch.ones(n))
