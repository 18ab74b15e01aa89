import itertools

import numpy as np
import pytest
import torch

from superposition import Autoencoder, PersianRug
from superposition.diagnostics import coherence, restricted_isometry
from superposition.models.base import encoder_of
from superposition.models.encoders import DenseEncoder
from tests.rounding import assert_close, assert_within, gamma, unit_roundoff

SINGLE, DOUBLE = torch.float32, torch.float64


def products(n_hidden, dtype):
    """Bound on the error of an inner product of two unit columns: their norms, and the product itself."""
    return gamma(3 * n_hidden + 4, dtype)


def test_known_equiangular_frame_attains_the_welch_bound():
    angle = 2 * np.pi * torch.arange(3, dtype=torch.float64) / 3
    found = coherence(torch.stack([torch.cos(angle), torch.sin(angle)]))
    # Angles of up to 4π/3 are rounded, of which cosines move as much.
    assert_within(found.mutual_coherence, 0.5, products(2, DOUBLE) + gamma(10, DOUBLE))
    assert_close(found.welch_bound, 0.5, gamma(5, DOUBLE))
    assert_within(found.welch_gap, 0, products(2, DOUBLE) + gamma(15, DOUBLE))
    assert coherence(torch.eye(4)).mutual_coherence == 0


@pytest.mark.parametrize("kind", ["rug", "gaussian", "model"])
def test_naive_twin_coherence(kind):
    source = {
        "rug": lambda: PersianRug.draw(128, 40, seed=1),
        "gaussian": lambda: DenseEncoder.gaussian(100, 40, seed=1),
        "model": lambda: Autoencoder(100, 40, seed=1),
    }[kind]()
    n = source.n_features
    W = encoder_of(source).columns(torch.arange(n)).double().numpy()
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    between = np.abs(unit @ unit.T) - np.eye(n)
    found = coherence(source)
    assert_within(found.mutual_coherence, between.max(), products(40, SINGLE))
    assert found.mutual_coherence > found.welch_bound
    assert_close(found.largest_norm, np.linalg.norm(W, axis=1).max(), gamma(40, SINGLE))


def test_blocks_make_no_difference(monkeypatch):
    encoder = DenseEncoder.gaussian(100, 40, seed=1)
    whole = coherence(encoder).mutual_coherence
    monkeypatch.setattr("superposition.diagnostics.isometry._ROWS", 7)
    assert_within(coherence(encoder).mutual_coherence, whole, 2 * products(40, SINGLE))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_naive_twin_restricted_isometry_over_all_supports(k):
    W = DenseEncoder.gaussian(9, 6, seed=2, dtype=torch.float64).W_enc
    expected = 0.0
    for support in itertools.combinations(range(9), k):
        singular = np.linalg.svd(W[:, list(support)].numpy(), compute_uv=False)
        expected = max(expected, abs(singular[0] ** 2 - 1), abs(singular[-1] ** 2 - 1))
    found = restricted_isometry(W, k)
    assert found.exhaustive
    # Inner products of 6 terms, and eigenvalues of a matrix of k (LAPACK: k² roundings of its norm, at most k times
    # the largest product), from the Gram matrix here and from the columns there.
    bound = 2 * (gamma(6, DOUBLE) + k**2 * unit_roundoff(DOUBLE)) * k * float((W**2).sum(dim=0).max())
    assert_within(found.lower, expected, bound)
    assert found.lower <= found.upper + bound
    if k == 1:
        assert_within(found.lower, found.upper, bound)


def test_property_sampled_bounds_are_ordered_and_grow_with_k():
    rug = PersianRug.draw(256, 128, seed=1)
    found = [restricted_isometry(rug, k, n_samples=500) for k in (2, 4, 8)]
    assert [one.exhaustive for one in found] == [True, False, False]
    # k² products of columns make up a deviation.
    assert all(one.lower <= one.upper + k**2 * products(128, SINGLE) for one, k in zip(found, (2, 4, 8), strict=True))
    assert found[0].lower < found[1].lower < found[2].lower
    # For two unit columns both bounds are their inner product.
    assert_within(found[0].lower, found[0].upper, 4 * products(128, SINGLE))
    assert_within(found[0].upper, coherence(rug).mutual_coherence, 2 * products(128, SINGLE))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: coherence(torch.tensor([[1.0, 0.0]])),
            "`encoder` must have no column of norm 0, got one for feature 1",
        ),
        (lambda: restricted_isometry(torch.eye(3), 4), r"`k` must be a whole number in \[1, 3\], got 4"),
        (lambda: restricted_isometry(torch.eye(3), 2, n_samples=0), "`n_samples` must be a whole number"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
