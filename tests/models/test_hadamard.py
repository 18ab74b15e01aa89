import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from superposition import hadamard_transform
from superposition.models import hadamard_orders
from superposition.models.hadamard import sylvester
from superposition.models.hadamard_constructions import check_order, construction_of
from tests.models.naive_hadamard import naive_hadamard
from tests.rounding import assert_within, gamma, product_bound

# Paley's first kind, alone and times Sylvester's; the second kind; both of prime powers: 27 = 3³, 25 = 5².
OTHER_ORDERS = [12, 20, 24, 36, 96, 304]


@pytest.mark.parametrize("order", [1 << k for k in range(11)] + OTHER_ORDERS)
def test_naive_twin_dense_matrix(order, generator):
    x = torch.randn(3, order, generator=generator, dtype=torch.float64)
    dense = torch.from_numpy(naive_hadamard(order)).double()
    assert_within(hadamard_transform(x), x @ dense.T, 2 * product_bound(x, dense.T, np.float64), resolution=1e-9)
    torch.testing.assert_close(hadamard_transform(torch.eye(order)), dense.float(), rtol=0, atol=0)


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,), (2, 1, 3)])
@pytest.mark.parametrize("order", [1, 8, 128, 24])
def test_leading_dimensions(batch, order, generator):
    x = torch.randn(*batch, order, generator=generator, dtype=torch.float64)
    dense = torch.from_numpy(naive_hadamard(order)).double()
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


@pytest.mark.parametrize("order", [1, 4, 128, 12])
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


def test_identity_every_order_has_a_symmetric_matrix_with_a_row_of_ones():
    for n in hadamard_orders(320):
        H = hadamard_transform(torch.eye(n))
        assert torch.equal(H.abs(), torch.ones(n, n)), n
        assert torch.equal(H, H.T), n
        assert torch.equal(H[0], torch.ones(n)), n
        assert torch.equal(H @ H, n * torch.eye(n)), n


# The multiples of 4 up to 1000 that neither Sylvester's nor Paley's construction reaches: sequence A046116 of the OEIS.
UNREACHED = (
    *(92, 116, 156, 172, 184, 188, 232, 236, 260, 268, 292, 324, 356, 372, 376, 404, 412, 428, 436, 452, 472, 476),
    *(508, 520, 532, 536, 584, 596, 604, 612, 652, 668, 712, 716, 732, 756, 764, 772, 808, 836, 852, 856, 872, 876),
    *(892, 904, 932, 940, 944, 952, 956, 964, 980, 988, 996),
)


def test_known_value_the_orders_up_to_1000():
    reached = [n for n in range(4, 1001, 4) if n not in UNREACHED]
    assert hadamard_orders(1000) == [1, 2, *reached]
    assert hadamard_orders(1) == [1]


@pytest.mark.parametrize(
    ("n", "sylvester", "core", "paley", "q"),
    [(1024, 1024, 1, 0, 1), (12, 1, 12, 1, 11), (28, 1, 28, 1, 27), (52, 1, 52, 2, 25), (24, 2, 12, 1, 11),
     (100, 1, 100, 2, 49), (1000, 2, 500, 1, 499), (6 * 2**20, 2**19, 12, 1, 11)],
)  # fmt: skip
def test_constructions_do_not_change_for_files_hold_rows_by_number(n, sylvester, core, paley, q):
    made = construction_of(n)
    assert (made.sylvester, made.core, made.paley, made.q) == (sylvester, core, paley, q)


def test_known_value_the_matrices_of_two_fields():
    """Rows 7 of the matrices from the fields of 27 and 25 elements, written down once: files of rugs depend on them."""
    for n, row in ((28, "+++--+--+-++++---+++---++---"), (52, "+++-+---+-+--+-+-++-+--++--+-++-+--+-++--++-+--+-+-+")):
        H = hadamard_transform(torch.eye(n))
        assert "".join("+" if sign > 0 else "-" for sign in H[7]) == row


@pytest.mark.parametrize(
    ("n", "message"),
    [(3, "got 3: use 2 or 4"), (92, "got 92: use 88 or 96"), (5, "got 5: use 4 or 8"), (0, "got 0: use 1"),
     (9 * 2**20 + 1, "got 9437185: use 9437184 or 9469952")],
)  # fmt: skip
def test_other_orders_are_refused(n, message):
    with pytest.raises(ValueError, match=f"`n_features` must be the order of a Hadamard matrix.*{message}"):
        check_order(n)


def test_the_transform_refuses_other_orders():
    with pytest.raises(ValueError, match="got 92: use 88 or 96"):
        hadamard_transform(torch.ones(92))
