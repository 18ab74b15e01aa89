"""What we study: the untied autoencoder, the linear optimum and the Persian Rug."""

from superposition.models.activation import Activation
from superposition.models.activations import (
    BatchTopK,
    Gated,
    JumpReLU,
    NoActivation,
    ReLU,
    TopK,
    TRec,
    activation_named,
    register_activation,
)
from superposition.models.autoencoder import Autoencoder
from superposition.models.base import Model, encoder_of
from superposition.models.dictionary import Dictionary
from superposition.models.encoders import DenseEncoder, Encoder, RugEncoder
from superposition.models.frames import projection_root, realise
from superposition.models.hadamard import hadamard_transform
from superposition.models.hidden_activations import HiddenActivations
from superposition.models.linear import LinearAutoencoder
from superposition.models.reconstructor import Reconstructor
from superposition.models.rug import PersianRug, encoder_named
from superposition.models.spectrum import Spectrum
from superposition.models.storage import Loaded, load, load_with_features, register_model, save

__all__ = [
    "Activation",
    "Autoencoder",
    "BatchTopK",
    "DenseEncoder",
    "Dictionary",
    "Encoder",
    "Gated",
    "HiddenActivations",
    "JumpReLU",
    "LinearAutoencoder",
    "Loaded",
    "Model",
    "NoActivation",
    "PersianRug",
    "ReLU",
    "Reconstructor",
    "RugEncoder",
    "Spectrum",
    "TRec",
    "TopK",
    "activation_named",
    "encoder_named",
    "encoder_of",
    "hadamard_transform",
    "load",
    "load_with_features",
    "projection_root",
    "realise",
    "register_activation",
    "register_model",
    "save",
]
