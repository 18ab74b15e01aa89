"""ReLU networks that compress: an encoder into the hidden dimensions and a decoder out of them."""

from collections.abc import Sequence
from typing import Literal, Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition.models import Reconstructor

Construction = Literal["segments", "minimal"]


@final
class CompressionNetwork(Reconstructor):
    """Two perceptrons, features → hidden → reconstructions, each of linear layers with ReLU between them.

    Args:
        encoder: Linear layers in turn with ReLUs, from features to hidden.
        decoder: The same, from hidden to features.

    Attributes:
        n_features: Number of features.
        n_hidden: Number of hidden dimensions, linear outputs of the encoder.
        n_neurons: Number of ReLUs in both.
    """

    encoder: torch.nn.Sequential
    decoder: torch.nn.Sequential

    def __init__(self, encoder: torch.nn.Sequential, decoder: torch.nn.Sequential) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.n_features, self.n_hidden = linear_layers(encoder)[0].in_features, linear_layers(decoder)[0].in_features
        if linear_layers(encoder)[-1].out_features != self.n_hidden:
            raise ValueError(f"`decoder` must take what `encoder` gives, got {self.n_hidden} dimensions")

    @classmethod
    def from_layers(cls, *parts: Sequence[tuple[Tensor, Tensor]]) -> Self:
        """Returns the network of given weights (outputs, inputs) and biases (outputs,), encoder then decoder."""
        if len(parts) != 2:
            raise ValueError(f"`parts` must be two, an encoder and a decoder, got {len(parts)}")
        encoder, decoder = (_perceptron(_checks.sequence("parts", layers, "layers")) for layers in parts)
        return cls(encoder, decoder)

    @property
    def n_neurons(self) -> int:
        """Number of ReLUs in the encoder and the decoder."""
        return sum(layer.out_features for part in (self.encoder, self.decoder) for layer in linear_layers(part)[:-1])

    def forward(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction of features."""
        weight = linear_layers(self.encoder)[0].weight
        _tensors.alike("x", _tensors.rows("x", x, self.n_features), "the network", weight.dtype, weight.device)
        decoded: Tensor = self.decoder(self.encoder(x))
        return decoded


def linear_layers(perceptron: torch.nn.Sequential) -> list[torch.nn.Linear]:
    """Returns the linear layers; raises ValueError unless the modules are linear, ReLU, linear … linear."""
    modules = list(_checks.instance("perceptron", perceptron, torch.nn.Sequential, "a torch.nn.Sequential"))
    expected = [torch.nn.Linear, torch.nn.ReLU] * (len(modules) // 2) + [torch.nn.Linear]
    if len(modules) != len(expected) or not all(map(isinstance, modules, expected)):
        names = ", ".join(type(module).__name__ for module in modules)
        raise ValueError(f"a perceptron must be Linear, ReLU, Linear … Linear, got {names or 'nothing'}")
    return [module for module in modules if isinstance(module, torch.nn.Linear)]


def _perceptron(layers: Sequence[tuple[Tensor, Tensor]]) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for layer in layers:
        pair = _checks.sequence("layers", layer, "a weight and a bias")
        if len(pair) != 2:
            raise ValueError(f"`layers` must be pairs of a weight and a bias, got {len(pair)} members")
        weight = _tensors.real("weight", pair[0], "outputs", "inputs")
        bias = _tensors.real("bias", pair[1], weight.shape[0])
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])
