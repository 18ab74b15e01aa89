"""The untied autoencoder, activation(W_dec W_enc x, b_dec): with a ReLU if no other is given."""

import copy
from math import sqrt
from typing import Any, ClassVar, Literal, Self, final, get_args

import torch
from torch import Tensor

from superposition import _checks, _tensors
from superposition._random import torch_generator
from superposition.models.activation import Activation
from superposition.models.activations import ReLU, activation_of
from superposition.models.base import Model
from superposition.models.dense import DenseModel

Initialization = Literal["tied", "linear"]


@final
class Autoencoder(DenseModel):
    """The toy model of superposition: x̂ = ReLU(W_dec W_enc x + b_dec), W_enc and W_dec independent.

    Args:
        n_features: Number of features, ≥ 1.
        n_hidden: Width of the bottleneck, in [1, n_features].
        seed: Seed of the initial weights, ≥ 0.
        initialization: "tied" starts at W_dec = W_encᵀ with entries N(0, 1/n_hidden) and b_dec = 0, so that
            every feature is alive (W_ii ≈ 1); "linear" is that of two torch.nn.Linear layers, as in the paper.
        activation: What becomes of W x and b_dec, a ReLU if not given.
        hidden_noise: Standard deviation of noise on every hidden unit, in [0, 1e15], over the root mean square over
            hidden units of theirs without it.

    Attributes:
        W_enc: Encoder, shape (n_hidden, n_features).
        W_dec: Decoder, shape (n_features, n_hidden).
        b_dec: Bias, shape (n_features,).

    Raises:
        ValueError: A size or the initialization is not valid.

    Reference: The Persian Rug, eq. 1; Toy Models of Superposition (there with −b).

    >>> Autoencoder(n_features=6, n_hidden=2).W_enc.shape
    torch.Size([2, 6])
    """

    kind: ClassVar[str] = "Autoencoder"

    W_enc: torch.nn.Parameter
    W_dec: torch.nn.Parameter
    b_dec: torch.nn.Parameter

    def __init__(
        self,
        n_features: int,
        n_hidden: int,
        *,
        seed: int = 0,
        initialization: Initialization = "tied",
        activation: Activation | None = None,
        hidden_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden_noise = _checks.one("hidden_noise", _checks.hidden_noise(hidden_noise))
        self.n_features = _checks.whole_number("n_features", n_features)
        self.n_hidden = _checks.hidden_width(n_hidden, n_features)
        _checks.choice("initialization", initialization, get_args(Initialization))
        generator = torch_generator(seed, "weights")
        if initialization == "tied":
            W_enc = torch.randn(n_hidden, n_features, generator=generator) / sqrt(n_hidden)
            # A clone: for one dimension the transpose counts as contiguous and would share memory.
            W_dec, b_dec = W_enc.T.clone(memory_format=torch.contiguous_format), torch.zeros(n_features)
        else:
            W_enc = _uniform((n_hidden, n_features), 1 / sqrt(n_features), generator)
            W_dec = _uniform((n_features, n_hidden), 1 / sqrt(n_hidden), generator)
            b_dec = _uniform((n_features,), 1 / sqrt(n_hidden), generator)
        # Kept feature by feature in memory, for products over active features alone.
        self.W_enc = torch.nn.Parameter(W_enc.T.clone(memory_format=torch.contiguous_format).T)
        self.W_dec = torch.nn.Parameter(W_dec)
        self.b_dec = torch.nn.Parameter(b_dec)
        self.activation = ReLU() if activation is None else _fitting(activation, n_features)

    @classmethod
    @torch.no_grad()
    def from_model(cls, model: Model) -> Self:
        """Returns an autoencoder that does what a model does, with weights of its own to train.

        Args:
            model: Of any kind and activation, such as a rug.

        Raises:
            ValueError: It is no model.

        >>> from superposition.models import PersianRug
        >>> Autoencoder.from_model(PersianRug.draw(8, 4)).W_enc.shape
        torch.Size([4, 8])
        """
        _checks.instance("model", model, Model, "a model")
        copied = copy.deepcopy(model.activation)
        own = cls(model.n_features, model.n_hidden, activation=copied, hidden_noise=model.hidden_noise)
        bias = model.bias_vector()
        own = own.to(bias)
        own.W_enc.copy_(model.encode(torch.eye(model.n_features).to(bias)).T)
        own.W_dec.copy_(model.read_out(torch.eye(model.n_hidden).to(bias)).T)
        own.b_dec.copy_(bias)
        return own

    @classmethod
    def restored(cls, n_features: int, n_hidden: int, tensors: dict[str, Tensor], settings: dict[str, Any]) -> Self:
        """Returns the model of saved tensors, and of the activation that the settings name."""
        sizes: dict[str, tuple[int, ...]] = {
            "W_enc": (n_hidden, n_features), "W_dec": (n_features, n_hidden), "b_dec": (n_features,)
        }  # fmt: skip
        _tensors.check_shapes({name: tensor for name, tensor in tensors.items() if name in sizes}, sizes)
        activation = activation_of(settings.get("activation"), n_features)
        model = cls(n_features, n_hidden, activation=activation, hidden_noise=settings.get("hidden_noise", 0.0))
        _tensors.check_shapes(tensors, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
        model = model.to(tensors["W_enc"].dtype)
        model.load_state_dict(tensors)  # copied: W_enc keeps its order in memory, on which rounding depends
        return model

    def settings(self) -> dict[str, Any]:
        """Returns the activation, unless it is a ReLU, and the hidden noise, if any."""
        kind = self.activation.kind
        activation = {} if kind == ReLU.kind else {"activation": {"kind": kind, **self.activation.settings()}}
        return activation | super().settings()

    def extra_repr(self) -> str:
        """Returns the sizes."""
        return f"n_features={self.n_features}, n_hidden={self.n_hidden}"


def _fitting(activation: Activation, n_features: int) -> Activation:
    """Returns an activation; raises ValueError unless it takes so many features."""
    _checks.instance("activation", activation, Activation, "an Activation such as TopK(4)")
    try:
        with torch.no_grad():
            fits = activation(torch.zeros(1, n_features), torch.zeros(n_features)).shape == (1, n_features)
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"`activation` must be for {n_features} features, got {activation}")
    return activation.to(torch.get_default_dtype())  # as the weights are, that files hold one type


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1) * bound
