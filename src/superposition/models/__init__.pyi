from . import activations as activations, storage as storage
from .activation import Activation as Activation
from .activations import (
    BatchTopK as BatchTopK,
    Gated as Gated,
    JumpReLU as JumpReLU,
    NoActivation as NoActivation,
    ReLU as ReLU,
    TopK as TopK,
    TRec as TRec,
    activation_named as activation_named,
    register_activation as register_activation,
)
from .autoencoder import Autoencoder as Autoencoder
from .base import Model as Model, encoder_of as encoder_of
from .dictionary import Dictionary as Dictionary
from .encoders import DenseEncoder as DenseEncoder, Encoder as Encoder, RugEncoder as RugEncoder
from .factorisation import factorise as factorise
from .frames import paired_frame as paired_frame, projection_root as projection_root, realise as realise
from .hadamard import hadamard_transform as hadamard_transform
from .hadamard_constructions import hadamard_orders as hadamard_orders
from .hidden_activations import HiddenActivations as HiddenActivations
from .linear import LinearAutoencoder as LinearAutoencoder
from .reconstructor import Reconstructor as Reconstructor
from .rug import PersianRug as PersianRug, encoder_named as encoder_named
from .spectrum import Spectrum as Spectrum
from .storage import (
    Loaded as Loaded,
    load as load,
    load_with_features as load_with_features,
    register_model as register_model,
    save as save,
)
