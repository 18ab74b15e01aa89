"""The autoencoder as compressed sensing: how coherent an encoder is, and what is recovered exactly."""

from superposition.sensing.vectors import sparse_vectors

__all__ = ["sparse_vectors"]
