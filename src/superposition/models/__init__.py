"""What we study: the untied autoencoder, the linear optimum and the Persian Rug."""

from superposition.models.autoencoder import Autoencoder
from superposition.models.base import Model
from superposition.models.encoders import DenseEncoder, Encoder, RugEncoder, encoder_of
from superposition.models.frames import projection_root, realise
from superposition.models.hadamard import hadamard_transform
from superposition.models.linear import LinearAutoencoder
from superposition.models.rug import PersianRug
from superposition.models.storage import Loaded, load, load_with_features, save

__all__ = [
    "Autoencoder",
    "DenseEncoder",
    "Encoder",
    "LinearAutoencoder",
    "Loaded",
    "Model",
    "PersianRug",
    "RugEncoder",
    "encoder_of",
    "hadamard_transform",
    "load",
    "load_with_features",
    "projection_root",
    "realise",
    "save",
]
