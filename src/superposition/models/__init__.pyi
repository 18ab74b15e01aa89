from . import activations as activations, storage as storage
from .activations import (
    Activation as Activation,
    GatedActivation as GatedActivation,
    JumpReLUActivation as JumpReLUActivation,
    NoActivation as NoActivation,
    ReLUActivation as ReLUActivation,
    TopKActivation as TopKActivation,
    TRecActivation as TRecActivation,
    register_activation as register_activation,
)
from .autoencoder import Autoencoder as Autoencoder
from .base import Model as Model, encoder_of as encoder_of
from .encoders import DenseEncoder as DenseEncoder, Encoder as Encoder, RugEncoder as RugEncoder
from .frames import projection_root as projection_root, realise as realise
from .hadamard import hadamard_transform as hadamard_transform
from .linear import LinearAutoencoder as LinearAutoencoder
from .rug import PersianRug as PersianRug, encoder_named as encoder_named
from .spectrum import Spectrum as Spectrum
from .storage import (
    Loaded as Loaded,
    load as load,
    load_with_features as load_with_features,
    register_model as register_model,
    save as save,
)
