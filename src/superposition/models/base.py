"""What every model offers: it maps features to reconstructions and shows rows of its W = W_dec W_enc."""

import abc

import torch
from jaxtyping import Float
from torch import Tensor


class Model(torch.nn.Module, abc.ABC):
    """A map from features to reconstructions through a bottleneck of n_hidden dimensions.

    Attributes:
        n_features: Number of features.
        n_hidden: Width of the bottleneck.
    """

    n_features: int
    n_hidden: int

    # Whether every row of W is a rearrangement of every other one, the diagonal in its place.
    rows_are_alike = False

    @abc.abstractmethod
    def forward(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns reconstructions of a batch of features."""

    @abc.abstractmethod
    def W_rows(self, start: int, stop: int) -> Float[Tensor, "rows n_features"]:
        """Returns rows start … stop − 1 of W = W_dec W_enc, without forming the others."""

    @abc.abstractmethod
    def bias_vector(self) -> Float[Tensor, " n_features"]:
        """Returns the bias added to every pre-activation."""
