import pytest
import torch

from superposition import PersianRug, SparseFeatures
from superposition.decoders.fitting import observed
from superposition.models.base import encoder_of
from superposition.models.encoders import DenseEncoder


@pytest.fixture(scope="session")
def rug():
    return encoder_of(PersianRug.draw(4096, 1024, seed=1))


@pytest.fixture(scope="session")
def gaussian():
    return DenseEncoder.gaussian(4096, 1024, seed=1)


@pytest.fixture(scope="session")
def small():
    """A small encoder without structure, in double precision."""
    return DenseEncoder.gaussian(64, 32, seed=3, dtype=torch.float64)


@pytest.fixture
def batch():
    """Features and hidden activations of an encoder."""

    def make(encoder, probability, count=64, noise=0.0, **more):
        features = SparseFeatures(encoder.n_features, probability, **more)
        return features, *observed(encoder, features, count, noise, 0, "test")

    return make
