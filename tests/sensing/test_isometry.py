import itertools

import numpy as np
import pytest
import torch

from superposition import Autoencoder, PersianRug
from superposition.models.encoders import DenseEncoder, encoder_of
from superposition.sensing import coherence, restricted_isometry


def test_known_equiangular_frame_attains_the_welch_bound():
    angle = 2 * np.pi * torch.arange(3, dtype=torch.float64) / 3
    found = coherence(torch.stack([torch.cos(angle), torch.sin(angle)]))
    assert found.mutual_coherence == pytest.approx(found.welch_bound, rel=1e-12) == 0.5
    assert abs(found.welch_gap) < 1e-12
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
    products = np.abs(unit @ unit.T) - np.eye(n)
    found = coherence(source)
    assert found.mutual_coherence == pytest.approx(products.max(), rel=1e-5)
    assert found.mutual_coherence > found.welch_bound
    assert found.largest_norm == pytest.approx(np.linalg.norm(W, axis=1).max(), rel=1e-5)


def test_blocks_make_no_difference(monkeypatch):
    encoder = DenseEncoder.gaussian(100, 40, seed=1)
    whole = coherence(encoder).mutual_coherence
    monkeypatch.setattr("superposition.sensing.isometry._ROWS", 7)
    assert coherence(encoder).mutual_coherence == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_naive_twin_restricted_isometry_over_all_supports(k):
    W = DenseEncoder.gaussian(9, 6, seed=2, dtype=torch.float64).W_enc
    expected = 0.0
    for support in itertools.combinations(range(9), k):
        singular = np.linalg.svd(W[:, list(support)].numpy(), compute_uv=False)
        expected = max(expected, abs(singular[0] ** 2 - 1), abs(singular[-1] ** 2 - 1))
    found = restricted_isometry(W, k)
    assert found.exhaustive
    assert found.lower == pytest.approx(expected, rel=1e-9)
    assert found.lower <= found.upper * (1 + 1e-12)
    if k == 1:
        assert found.lower == pytest.approx(found.upper)


def test_property_sampled_bounds_are_ordered_and_grow_with_k():
    rug = PersianRug.draw(256, 128, seed=1)
    found = [restricted_isometry(rug, k, n_samples=500) for k in (2, 4, 8)]
    assert [one.exhaustive for one in found] == [True, False, False]
    assert all(one.lower <= one.upper * (1 + 1e-5) for one in found)
    assert found[0].lower < found[1].lower < found[2].lower
    # For two unit columns both bounds are their inner product.
    assert found[0].lower == pytest.approx(found[0].upper, rel=1e-5)
    assert found[0].upper == pytest.approx(coherence(rug).mutual_coherence, rel=1e-5)


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
