"""Of which orders Hadamard matrices are constructed here, and their cores: Sylvester, Paley, and Kronecker products."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice, product
from math import isqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from superposition import _checks

# Of a core, which is a dense matrix: 16 MB in float32.
LARGEST_CORE = 2048


@dataclass(frozen=True)
class Construction:
    """How the Hadamard matrix of an order is made: H = H_sylvester ⊗ H_core, the core as small as there is.

    An order's construction is a rule and does not change: files of rugs hold rows of the matrix by their numbers.

    Attributes:
        sylvester: 2^k, the order of the factor that has a fast transform.
        core: Order of the other one, 1 for none.
        paley: I (q + 1, q ≡ 3 mod 4) or II (2 (q + 1), q ≡ 1 mod 4) for a core; 0 without one.
        q: The power of an odd prime of which the core is made; 1 without one.
    """

    sylvester: int
    core: int
    paley: Literal[0, 1, 2]
    q: int


def hadamard_orders(most: int = 1000) -> list[int]:
    """Orders up to `most` of which Hadamard matrices are constructed here, increasing.

    They are 2^k, 2^k (q + 1) with q ≡ 3 mod 4 and 2^(k+1) (q + 1) with q ≡ 1 mod 4, q a power of a prime and the
    factor without 2^k at most 2048 (Sylvester 1867, Paley 1933). Of the multiples of 4 up to 1000 these leave out 55,
    the least of which is 92; matrices of some of those are known, but have no such construction.

    Args:
        most: The largest order asked for, in [1, 100000].

    Raises:
        ValueError: `most` is out of range.

    Reference: The Persian Rug, section 4.2.2 and appendix F, where any Hadamard matrix will do.

    >>> hadamard_orders(40)
    [1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    """
    most = _checks.whole_number("most", most, high=100_000)
    return [n for n in (1, 2, *range(4, most + 1, 4)) if n <= most and construction(n) is not None]


def check_order(n: int) -> int:
    """Returns n if it is the order of a Hadamard matrix made here; raises ValueError naming the nearest otherwise."""
    if construction(n) is None:
        near = " or ".join(str(order) for order in _nearest(n))
        raise ValueError(
            f"`n_features` must be the order of a Hadamard matrix that is known here (2^k, or 2^k times one of "
            f"Paley's), got {n}: use {near}"
        )
    return n


def construction_of(n: int) -> Construction:
    """Returns how the matrix of an order is made; raises ValueError if it is none."""
    found = construction(check_order(n))
    assert found is not None
    return found


@lru_cache(maxsize=4096)
def construction(n: int) -> Construction | None:
    """Returns how the matrix of order n is made, of the largest Sylvester factor that will do; None if it is not."""
    if n < 1:
        return None
    sylvester = n & -n
    if sylvester == n:
        return Construction(n, 1, 0, 1)
    while sylvester:
        core = n // sylvester
        if core > LARGEST_CORE:
            return None
        if core % 4 == 0:
            if _prime_power(core - 1):
                return Construction(sylvester, core, 1, core - 1)
            half = core // 2 - 1
            if half % 4 == 1 and _prime_power(half):
                return Construction(sylvester, core, 2, half)
        sylvester //= 2
    return None


@lru_cache(maxsize=16)
def core_matrix(paley: int, q: int) -> npt.NDArray[np.int8]:
    """Returns Paley's matrix, made symmetric, with a first row and column of ones.

    With χ the quadratic character of the field of q elements a, the rows of Paley's first matrix that belong to a are
    taken in the order of −a: H = [[1, 1ᵀ], [1, C]], C_ab = χ(a + b), and −1 where a + b = 0. The second one is
    S ⊗ [[1, 1], [1, −1]] + I ⊗ [[1, −1], [−1, −1]], S = [[0, 1ᵀ], [1, χ(a − b)]], with signs of rows and columns.
    """
    add, negative, character = _field(q)
    if paley == 1:
        C = character[add]
        C[np.arange(q), negative] = -1
        H = np.ones((q + 1, q + 1), np.int8)
        H[1:, 1:] = C
        return H
    S = np.ones((q + 1, q + 1), np.int8)
    S[0, 0] = 0
    S[1:, 1:] = character[add[:, negative]]
    H = np.kron(S, np.array([[1, 1], [1, -1]], np.int8))
    H += np.kron(np.eye(q + 1, dtype=np.int8), np.array([[1, -1], [-1, -1]], np.int8))
    return np.asarray(H * H[0] * H[0, :, None])


def _nearest(n: int) -> Iterator[int]:
    """Yields the largest known order below n, if there is one, and the smallest above."""
    # All orders near n are multiples of it, for cores are no larger than that.
    unit = 1
    while n > 2 * LARGEST_CORE * unit:
        unit *= 2
    below = max(n - 1, 0) // unit
    yield from islice((k * unit for k in range(below, 0, -1) if construction(k * unit)), 1)
    yield next(k * unit for k in count(below + 1) if k * unit > n and construction(k * unit))


def _field(q: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Returns of the field of q = p^k elements the table of sums, the negatives and the quadratic character.

    An element is a number whose digits to the base p are the coefficients of a polynomial. The non-zero ones are the
    powers of x modulo a polynomial for which they are all different; even powers are squares.
    """
    p, k = _prime_power(q) or (0, 0)
    places = p ** np.arange(k)
    digits = np.arange(q)[:, None] // places % p
    add = ((digits[:, None] + digits) % p) @ places
    negative = (-digits % p) @ places
    character = np.zeros(q, np.int8)
    powers = _powers(p, k)
    character[powers[::2]], character[powers[1::2]] = 1, -1
    return add, negative, character


def _powers(p: int, k: int) -> list[int]:
    """Returns the powers of an element of the field of p^k elements that has them all, 1 first."""
    q = p**k
    if k == 1:
        for root in range(1, p):
            powers = [1]
            while len(powers) < q and (following := powers[-1] * root % p) != 1:
                powers.append(following)
            if len(powers) == q - 1:
                return powers
    for tail in product(range(p), repeat=k):  # x^k = tail: coefficients of 1, x, …, x^(k − 1)
        powers, element = [1], [1, *[0] * (k - 1)]
        while True:
            top = element[-1]
            element = [(low + top * one) % p for low, one in zip([0, *element[:-1]], tail, strict=True)]
            number = sum(digit * p**place for place, digit in enumerate(element))
            if number in (0, 1) or len(powers) == q:
                break
            powers.append(number)
        if number == 1 and len(powers) == q - 1:
            return powers
    raise AssertionError(f"a field of {q} elements has a primitive one")


@lru_cache(maxsize=4096)
def _prime_power(q: int) -> tuple[int, int] | None:
    """Returns (p, k) with q = p^k, p an odd prime; None for other numbers."""
    if q < 3 or q % 2 == 0:
        return None
    p = next((d for d in range(3, isqrt(q) + 1, 2) if q % d == 0), q)
    k = 0
    while q % p == 0:
        q, k = q // p, k + 1
    return (p, k) if q == 1 else None
