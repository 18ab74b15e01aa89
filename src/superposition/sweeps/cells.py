"""A cell: everything that decides one trained model."""

import hashlib
import json
from dataclasses import asdict, dataclass

from superposition.features import SparseFeatures
from superposition.models import Autoencoder
from superposition.training import TrainingConfig
from superposition.training.config import INITIALIZATION, Protocol

# Raised whenever the same cell would train to another model by other code than its configuration, so that stored
# models are not mistaken for it.
TRAINING_VERSION = 2


@dataclass(frozen=True)
class TrainedCell:
    """One symmetric model to train.

    Args:
        n_features: Number of features.
        n_hidden: Width of the bottleneck.
        probability: Probability that a feature is active.
        protocol: Training protocol; "paper" starts at the initialization of torch.nn.Linear.
        n_steps: Steps of the default protocol, its own number if not given.
        n_held_out: Samples behind the held-out loss.
        seed: Seed of weights, batches and held-out samples.
    """

    n_features: int
    n_hidden: int
    probability: float
    protocol: Protocol = "default"
    n_steps: int | None = None
    n_held_out: int = 100_000
    seed: int = 0

    @property
    def key(self) -> str:
        """A name made of the content: equal cells, and only they, share it."""
        training = {name: str(value) for name, value in asdict(self.config()).items()}
        content = json.dumps({**asdict(self), "training": training, "version": TRAINING_VERSION}, sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=10).hexdigest()

    def features(self) -> SparseFeatures:
        """Returns the features the model sees."""
        return SparseFeatures(self.n_features, self.probability)

    def model(self) -> Autoencoder:
        """Returns the model before training."""
        initialization = INITIALIZATION[self.protocol]
        return Autoencoder(self.n_features, self.n_hidden, seed=self.seed, initialization=initialization)

    def config(self) -> TrainingConfig:
        """Returns the training configuration."""
        config = TrainingConfig.named(self.protocol)
        return config if self.n_steps is None else config.replace(n_steps=self.n_steps)
