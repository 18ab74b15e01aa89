"""What a model does before its output: the pre-activations, and the output as a function of them."""

from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.models import Autoencoder, LinearAutoencoder, Model, PersianRug


def check_supported(model: Model) -> None:
    """Raises ValueError unless the model is one whose weights are known."""
    if not isinstance(model, (Autoencoder, LinearAutoencoder, PersianRug)):
        raise ValueError(
            f"`model` must be an Autoencoder, LinearAutoencoder or PersianRug, got {_checks.shown(model)}: "
            "pre-activations and factors of others are not known"
        )


def pre_activations(model: Model, x: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_features"]:
    """Returns y = W x + b of a model that `check_supported` lets pass."""
    if isinstance(model, PersianRug):
        return model.scale * model.apply_R(x) + model.bias
    if isinstance(model, Autoencoder):
        return x @ model.W_enc.T @ model.W_dec.T + model.b_dec
    return model(x)  # type: ignore[no-any-return]


def is_rectified(model: Model) -> bool:
    """Whether the output is ReLU(y); it is y itself for a linear model."""
    return not isinstance(model, LinearAutoencoder)
