import numpy as np
import pytest
import torch

from superposition import PersianRug, SparseFeatures, held_out_loss
from superposition.theory import symmetric_optimum
from tests.models.naive_hadamard import naive_hadamard
from tests.rounding import Bounded, assert_within, gamma
from tests.statistics import Z_BOUND

# Of an entry of R, a sum of integers divided by m, at most 1, with a square root or two.
ENTRY = gamma(8, np.float32)
SIZES = [(1, 1), (2, 1), (8, 3), (64, 16), (128, 127), (256, 256), (12, 5), (36, 36), (48, 20)]


def dense_R(rug):
    """n_hidden⁻¹ Σ_{k∈S} H_·k H_·kᵀ, as it is written."""
    H = naive_hadamard(rug.n_features).astype(float)[:, rug.rows.numpy()]
    return H @ H.T / rug.n_hidden


@pytest.fixture(params=SIZES, ids=str)
def rug(request):
    drawn = PersianRug.draw(*request.param, seed=3)
    return PersianRug(drawn.n_features, drawn.rows, scale=1.3, bias=-0.2)


def test_naive_twin_matrix(rug):
    np.testing.assert_allclose(rug.matrix(), dense_R(rug), rtol=0, atol=ENTRY)


def test_identity_diagonal_rows_and_projector(rug):
    R, ratio = rug.matrix().double().numpy(), rug.n_hidden / rug.n_features
    assert (np.float32(np.round(R * rug.n_hidden) / rug.n_hidden) == R).all()  # integers, divided once
    np.testing.assert_allclose(np.diag(R), 1, rtol=ENTRY)
    # Both factors of each product are off.
    off = 2 * ENTRY * np.abs(R).sum(1).max()
    np.testing.assert_allclose((R**2).sum(1) - 1, 1 / ratio - 1, rtol=0, atol=off)
    np.testing.assert_allclose(R @ R, R / ratio, rtol=0, atol=off + ENTRY / ratio)
    np.testing.assert_array_equal(R, R.T)
    if ratio < 0.5:
        assert not np.allclose(R @ R, R, atol=0.1)  # eq. 42–45 drop the factor


def test_identity_entries_depend_on_the_exclusive_or_in_sylvester_order(rug):
    R = rug.matrix().numpy()
    if not rug.rows_are_alike:
        assert rug.n_features in (12, 36, 48)
        return
    i, j = np.indices(R.shape)
    np.testing.assert_allclose(R, R[0][i ^ j], rtol=0, atol=2 * ENTRY)


def test_naive_twin_forward(rug, generator):
    x = torch.rand(2, 5, rug.n_features, generator=generator)
    expected = np.maximum(1.3 * x.double().numpy() @ dense_R(rug) - 0.2, 0)
    H = naive_hadamard(rug.n_features)[:, rug.rows.numpy()].astype(float)

    def bound(dtype):
        hidden = (Bounded.given(x, dtype) @ H) * Bounded.rounded(1 / rug.n_hidden, dtype)
        return ((hidden @ H.T) * Bounded.rounded(1.3, dtype) + Bounded.rounded(-0.2, dtype)).error

    assert_within(rug(x), expected, bound(np.float32))
    in_double = rug(x.double())
    assert in_double.dtype == torch.float64
    assert_within(in_double, expected, 2 * bound(np.float64), resolution=1e-10)


def test_naive_twin_encode_rows_and_bias(rug, generator):
    x = torch.rand(4, rug.n_features, generator=generator)
    rows = naive_hadamard(rug.n_features)[rug.rows.numpy()] / np.sqrt(rug.n_hidden)
    hidden = rug.encode(x)
    assert hidden.shape == (4, rug.n_hidden)
    exact = (Bounded.given(x, np.float32) @ (np.sqrt(rug.n_hidden) * rows.T)) * Bounded.rounded(
        1 / np.sqrt(rug.n_hidden), np.float32
    )
    assert_within(hidden, exact.value, exact.error)
    applied = exact @ rows  # rounded in another order: of both sides
    assert_within(rug.apply_R(x), hidden.double().numpy() @ rows, 2 * applied.error)
    stop = min(rug.n_features, 5)
    np.testing.assert_allclose(rug.W_rows(1, stop), 1.3 * dense_R(rug)[1:stop], rtol=0, atol=1.3 * ENTRY)
    assert torch.equal(rug.bias_vector(), torch.full((rug.n_features,), -0.2))


@pytest.mark.parametrize("n", [16, 20])
@pytest.mark.parametrize("rows", [[0, 3, 5], [1, 3, 5], [0], list(range(16))])
def test_naive_twin_interference_mean_with_and_without_the_constant_row(rows, n):
    rug, features = PersianRug(n, torch.tensor(rows)), SparseFeatures(n, 0.3)
    R = dense_R(rug)
    expected = (R.sum(1) - 1) * features.mean
    np.testing.assert_allclose(rug.interference_mean(features), expected, rtol=0, atol=gamma(64, float) * 16)


@pytest.mark.parametrize("seed", [0, 1])
def test_fit_takes_the_mean_interference_out_of_the_bias(seed):
    features = SparseFeatures(64, 0.045)
    rug = PersianRug.fit(features, 16, seed=seed)
    best = symmetric_optimum(0.25, 0.045)
    assert rug.scale.item() == best.scale
    absorbed = rug.scale.item() * rug.interference_mean(features)
    # A difference that is undone.
    undone = gamma(4, float) * (abs(best.bias) + abs(absorbed))
    assert rug.bias.item() + absorbed == pytest.approx(best.bias, rel=0, abs=undone)


@pytest.mark.parametrize(("p", "ratio"), [(0.045, 0.25), (0.1, 0.5)])
def test_simulation_loss_is_the_theory_at_large_n(p, ratio):
    features = SparseFeatures(4096, p)
    expected = symmetric_optimum(ratio, p).loss
    measured = held_out_loss(PersianRug.fit(features, int(4096 * ratio)), features, n_samples=6000)
    assert Z_BOUND * measured.standard_error < 0.01 * expected
    assert measured.value == pytest.approx(expected, rel=0.02)


def test_simulation_the_constant_row_costs_nothing_but_the_wrong_bias_does():
    features = SparseFeatures(1024, 0.045)
    rug = PersianRug.fit(features, 256, seed=next(s for s in range(9) if PersianRug.draw(1024, 256, seed=s).rows[0]))
    with_constant = PersianRug(1024, torch.cat([torch.tensor([0]), rug.rows[rug.rows != 0][:255]]))
    losses = []
    for shift in (with_constant.interference_mean(features), 0.0):
        best = symmetric_optimum(0.25, 0.045)
        model = PersianRug(1024, with_constant.rows, scale=best.scale, bias=best.bias - best.scale * shift)
        losses.append(held_out_loss(model, features, n_samples=4000).value)
    assert losses[0] == pytest.approx(held_out_loss(rug, features, n_samples=4000).value, rel=0.03)
    assert losses[1] > 1.1 * losses[0]


@pytest.mark.parametrize("n", [16, 20])
def test_identity_at_ratio_one_the_rug_is_the_identity(n, generator):
    features = SparseFeatures(n, 0.3)
    rug = PersianRug.fit(features, n)
    x = features.sample(20, generator)
    # Scale 1, bias 0 but for roundings of integers: R is the identity.
    assert_within(rug(x), x, gamma(4 * n, np.float32) * x.sum(1, keepdim=True).expand(x.shape))
    assert held_out_loss(rug, features, n_samples=100).value < 1e-12


def test_simulation_a_rug_of_paleys_matrix_is_as_good_as_one_of_sylvesters():
    """Order 1004 = 2 (501 + 1) is none; 1000 = 2 (499 + 1) is."""
    features = SparseFeatures(1000, 0.1)
    expected = symmetric_optimum(0.5, 0.1).loss
    rug = PersianRug.fit(features, 500)
    assert not rug.rows_are_alike
    measured = held_out_loss(rug, features, n_samples=4000)
    assert Z_BOUND * measured.standard_error < 0.02 * expected
    assert measured.value == pytest.approx(expected, rel=0.04)


def test_drawn_rows_are_those_of_the_seed_and_cover_all():
    assert torch.equal(PersianRug.draw(64, 16, seed=5).rows, PersianRug.draw(64, 16, seed=5).rows)
    assert not torch.equal(PersianRug.draw(64, 16, seed=5).rows, PersianRug.draw(64, 16, seed=6).rows)
    counts = torch.cat([PersianRug.draw(16, 4, seed=seed).rows for seed in range(1000)]).bincount(minlength=16)
    assert (np.abs(counts.numpy() - 250) / np.sqrt(1000 * 0.25 * 0.75)).max() < Z_BOUND


def test_rows_are_sorted():
    assert PersianRug(8, torch.tensor([5, 1, 3])).rows.tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PersianRug(14, torch.tensor([1])), "must be the order of a Hadamard matrix .* got 14: use 12 or 16"),
        (lambda: PersianRug(8, torch.tensor([1, 1])), r"`rows` must be distinct and in \[0, 7\]"),
        (lambda: PersianRug(8, torch.tensor([8])), r"`rows` must be distinct and in \[0, 7\]"),
        (lambda: PersianRug(8, torch.tensor([-1])), r"`rows` must be distinct and in \[0, 7\]"),
        (lambda: PersianRug(2, torch.arange(3)), r"`n_hidden` must be a whole number in \[1, 2\], got 3"),
        (lambda: PersianRug(8, torch.tensor([], dtype=torch.int64)), "`n_hidden` must be a whole number"),
        (lambda: PersianRug(8, torch.tensor([1]), scale=float("nan")), "`scale` must"),
        (lambda: PersianRug(8, torch.tensor([1]), scale=-1.0), "`scale` must"),
        (lambda: PersianRug(8, torch.tensor([1]), bias=float("inf")), "`bias` must be finite"),
        (lambda: PersianRug.draw(0, 1), "`n_features` must be a whole number of at least 1, got 0"),
        (lambda: PersianRug.draw(8, 9), r"`n_hidden` must be a whole number in \[1, 8\], got 9"),
        (lambda: PersianRug.fit(SparseFeatures(2, np.array([0.1, 0.2])), 1), "`features` must be symmetric for a rug"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
