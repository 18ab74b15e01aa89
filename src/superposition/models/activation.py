"""What an activation is: a function of W x and the bias, the same in training and in decoding."""

import abc
from typing import Any, ClassVar, NamedTuple, Self

import torch
from jaxtyping import Float
from torch import Tensor


class Gate(NamedTuple):
    """The function (slope m + bias) 1[m > threshold]."""

    slope: float
    bias: float
    threshold: float


class Activation(torch.nn.Module, abc.ABC):
    """A function of m = W x and the bias. It may have parameters of its own, one a feature or one for all.

    Attributes:
        kind: Its name in files, cells and on the command line.
        setting: Name of the setting that is chosen for a task, such as k; None if it has none.
    """

    kind: ClassVar[str] = ""
    setting: ClassVar[str | None] = None

    @abc.abstractmethod
    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""

    @property
    def name(self) -> str:
        """A short name for tables."""
        return type(self).__name__

    def gate(self, bias: float) -> Gate | None:  # noqa: ARG002
        """Returns what it is at one bias for all features, as a gate; None where it is none, or not alike for all."""
        return None

    def settings(self) -> dict[str, Any]:
        """Returns what makes another one like it, beside the number of features and its parameters, as plain data."""
        return {}

    @classmethod
    def of(cls, n_features: int | None, settings: dict[str, Any]) -> Self:  # noqa: ARG003
        """Returns one of these settings for so many features; its parameters shared by all if that is None."""
        return cls(**settings)
