"""Hadamard matrices as they are defined, entry by entry."""

import numpy as np
from scipy.linalg import hadamard

from superposition.models.hadamard_constructions import construction_of


def naive_hadamard(n):
    """Sylvester's matrix, or its Kronecker product with one of Paley's of a prime q, by Euler's criterion."""
    made = construction_of(n)
    core = np.ones((1, 1), int)
    if made.paley == 1:
        core = np.array([[_first(a, b, made.q) for b in range(-1, made.q)] for a in range(-1, made.q)])
    if made.paley == 2:
        core = np.block([[_second(a, b, made.q) for b in range(-1, made.q)] for a in range(-1, made.q)])
        core = core * core[0] * core[0, :, None]
    return np.kron(hadamard(made.sylvester), core)


def _character(a, q):
    value = pow(int(a) % q, (q - 1) // 2, q)
    return -1 if value == q - 1 else value


def _first(a, b, q):
    """Row a and column b, of which −1 is the first: of ones."""
    if -1 in (a, b):
        return 1
    return -1 if (a + b) % q == 0 else _character(a + b, q)


def _second(a, b, q):
    """A block of two rows and columns."""
    if a == b:
        return np.array([[1, -1], [-1, -1]])
    return (1 if -1 in (a, b) else _character(a - b, q)) * np.array([[1, 1], [1, -1]])
