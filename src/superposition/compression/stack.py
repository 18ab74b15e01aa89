"""Many perceptron pairs of one depth in a few tensors, so that one program runs them all."""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.compression.network import CompressionNetwork, linear_layers


@final
class NetworkStack(torch.nn.Module):
    """Networks features → hidden → reconstructions of equal depth, run side by side.

    Attributes:
        weights: Of each layer, shape (n_runs, inputs, outputs).
        biases: Of each layer, shape (n_runs, 1, outputs).
        n_encoder_layers: How many of the layers are the encoder's.
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor], n_encoder_layers: int) -> None:
        super().__init__()
        self.weights, self.biases = torch.nn.ParameterList(weights), torch.nn.ParameterList(biases)
        self.n_encoder_layers = n_encoder_layers

    @classmethod
    def drawn(cls, encoder: Sequence[int], decoder: Sequence[int], n_runs: int, generator: torch.Generator) -> Self:
        """Returns networks with the initial weights of torch.nn.Linear.

        Args:
            encoder: Widths from the features to the hidden dimensions.
            decoder: Widths from the hidden dimensions to the features.
            n_runs: Number of networks.
            generator: Source of the weights.
        """
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for inputs, outputs in (*pairwise(encoder), *pairwise(decoder)):
            for part, rows in ((weights, inputs), (biases, 1)):
                drawn = torch.rand(n_runs, rows, outputs, generator=generator, device=generator.device)
                part.append((2 * drawn - 1) / sqrt(inputs))
        return cls(weights, biases, len(encoder) - 1)

    @classmethod
    def of(cls, networks: Sequence[CompressionNetwork]) -> Self:
        """Returns copies of networks of equal depth.

        Narrower ones are padded with neurons of no weights, whose gradients are zero: they stay so in training.

        Raises:
            ValueError: The networks differ in depth, or in their numbers of features or hidden dimensions.
        """
        layers = [[*linear_layers(network.encoder), *linear_layers(network.decoder)] for network in networks]
        ends = {(len(linear_layers(network.encoder)), len(linear_layers(network.decoder)), network.n_features,
                 network.n_hidden) for network in networks}  # fmt: skip
        if len(ends) != 1:
            raise ValueError(f"`networks` must be of one depth and have the same features, got {len(ends)} kinds")
        weights, biases = [], []
        for level in zip(*layers, strict=True):
            inputs, outputs = (max(getattr(layer, name) for layer in level) for name in ("in_features", "out_features"))
            weight = level[0].weight.new_zeros(len(level), inputs, outputs)
            bias = level[0].weight.new_zeros(len(level), 1, outputs)
            for run, layer in enumerate(level):
                weight[run, : layer.in_features, : layer.out_features] = layer.weight.detach().T
                bias[run, 0, : layer.out_features] = layer.bias.detach()
            weights.append(weight)
            biases.append(bias)
        return cls(weights, biases, len(linear_layers(networks[0].encoder)))

    @property
    def n_runs(self) -> int:
        """Number of networks."""
        return len(self.biases[0])

    def forward(self, x: Float[Tensor, "samples n_features"]) -> Float[Tensor, "n_runs samples n_features"]:
        """Returns what each network makes of the same batch."""
        linear = {self.n_encoder_layers - 1, len(self.weights) - 1}
        values = x.expand(self.n_runs, *x.shape)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, values, weight)
            if layer not in linear:
                values = torch.relu(values)
        return values

    def network(self, run: int) -> CompressionNetwork:
        """Returns a copy of one of the networks."""
        layers = [
            (weight[run].detach().T.clone(), bias[run, 0].detach().clone())
            for weight, bias in zip(self.weights, self.biases, strict=True)
        ]
        return CompressionNetwork.from_layers(layers[: self.n_encoder_layers], layers[self.n_encoder_layers :])

    @torch.no_grad()
    def write_to(self, networks: Sequence[CompressionNetwork]) -> None:
        """Gives networks of which `of` took copies the weights of these."""
        for run, network in enumerate(networks):
            layers = [*linear_layers(network.encoder), *linear_layers(network.decoder)]
            for layer, weight, bias in zip(layers, self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[run, : layer.in_features, : layer.out_features].T)
                layer.bias.copy_(bias[run, 0, : layer.out_features])
