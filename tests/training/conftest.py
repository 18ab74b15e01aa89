import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig


@pytest.fixture
def small():
    """Everything `train` needs for a run of a fraction of a second."""

    class Small:
        features = SparseFeatures(12, 0.2)
        config = TrainingConfig(n_steps=60, batch_size=16)

        def model(self, seed=0):
            return Autoencoder(12, 3, seed=seed)

    return Small()


@pytest.fixture
def same_weights():
    def compare(one, other):
        return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))

    return compare
