"""The autoencoder as compressed sensing: how coherent an encoder is, and what is recovered exactly."""

from superposition.sensing.isometry import Coherence, RestrictedIsometry, coherence, restricted_isometry
from superposition.sensing.measurements import Measurements, measurements
from superposition.sensing.recovery import Recovery, recover
from superposition.sensing.vectors import sparse_vectors

__all__ = [
    "Coherence",
    "Measurements",
    "Recovery",
    "RestrictedIsometry",
    "coherence",
    "measurements",
    "recover",
    "restricted_isometry",
    "sparse_vectors",
]
