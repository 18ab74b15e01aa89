"""Support recovery by one layer of ReLUs: every k-sparse x, from all corners of its values."""

import itertools

import numpy as np
import pytest
import torch

from superposition import PersianRug, hadamard_transform
from superposition.theory import support_thresholds


def supports_found(A, k, values, epsilon):
    """Whether ReLU(Aᵀ A x − ε) is on at the support alone, of all supports of size k and values at the corners."""
    gram, n = A.T @ A, A.shape[1]
    for support in itertools.combinations(range(n), k):
        for corner in itertools.product(values, repeat=k):
            x = np.zeros(n)
            x[list(support)] = corner
            if not np.array_equal(gram @ x - epsilon > 1e-12, x > 0):
                return False
    return True


@pytest.mark.parametrize("k", [1, 2, 3])
def test_certificate_every_support_is_recovered_between_the_ends(k):
    # Sylvester's columns beside the unit vectors: coherence 1/4.
    H = hadamard_transform(torch.eye(16, dtype=torch.float64)).numpy() / 4
    A = np.hstack([np.eye(16)[:, :6], H[:, :6]])
    found = support_thresholds(0.25, k, 0.9)
    assert found.possible == (k < (1 + 0.9 / 0.25) / 2)
    assert found.most_active == 2
    if found.possible:
        for share in (0.0, 0.5, 0.999):
            assert supports_found(A, k, (0.9, 1.0), found.low + share * (found.high - found.low))


@pytest.mark.parametrize("sign", [1, -1])
def test_both_ends_are_attained(sign):
    """By five columns of equal inner products: 0.1, or −0.1."""
    c, k = 0.1, 3
    A = np.linalg.cholesky((1 - sign * c) * np.eye(5) + sign * c).T
    found = support_thresholds(c, k, 0.8)
    assert found.possible
    within = (found.low + found.high) / 2
    assert supports_found(A, k, (0.8, 1.0), within)
    beyond = found.low - 1e-6 if sign > 0 else found.high + 1e-6
    assert not supports_found(A, k, (0.8, 1.0), beyond)


def test_of_a_rug_and_broadcast():
    c = float(PersianRug.draw(64, 32).matrix().fill_diagonal_(0).abs().max())
    found = support_thresholds(c, np.arange(1, 9), 0.5)
    assert found.low.shape == (8,)
    assert found.possible.tolist() == [k <= found.most_active[0] for k in range(1, 9)]
    assert np.isinf(support_thresholds(0.0, 3, 0.5).most_active)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1.1, 1, 0.5), "`coherence` must"), ((0.1, 0, 0.5), "`k` must"), ((0.1, 1, 0.0), "`least` must"),
     ((0.1, 1, 0.5, 0.4), "`largest` must be at least `least`")],
)  # fmt: skip
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        support_thresholds(*arguments)
