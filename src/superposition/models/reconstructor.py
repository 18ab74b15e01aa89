"""What is trained, measured and saved: a map from features to their reconstructions."""

import abc
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _tensors
from superposition.features import Features


class Reconstructor(torch.nn.Module, abc.ABC):
    """A map from features to their reconstructions, with what training, the held-out loss and files ask of it.

    `Model` is the one through a linear bottleneck, of which diagnostics and decoders know more.

    Attributes:
        kind: Name of the kind in files; empty for one that is not saved.
        n_features: Number of features.
        n_hidden: Number of hidden dimensions between features and reconstructions.
        hidden_noise: Standard deviation of noise on them, relative to theirs without it, for kinds that have some.
    """

    kind: ClassVar[str] = ""

    n_features: int
    n_hidden: int
    hidden_noise: float = 0.0

    @abc.abstractmethod
    def forward(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns reconstructions of a batch of features."""

    def drawn_noise(
        self,
        n_samples: int,  # noqa: ARG002
        features: Features,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor | None:
        """Returns noise for so many samples, a second argument of `forward`; None for a kind that has none."""
        return None

    def noisy(self, x: Float[Tensor, "batch n_features"], noise: Tensor | None) -> Float[Tensor, "batch n_features"]:
        """Returns reconstructions with the noise that was drawn, if any."""
        return self(x) if noise is None else self(x, noise)  # type: ignore[no-any-return]

    def after_step(self) -> None:
        """Called after every step of training by autograd: where a kind brings parameters back to a constraint."""
        return

    def settings(self) -> dict[str, Any]:
        """Returns what a saved model needs beside its sizes and tensors, as plain data."""
        return {}

    @classmethod
    def restored(cls, n_features: int, n_hidden: int, tensors: dict[str, Tensor], settings: dict[str, Any]) -> Self:
        """Returns the model of saved tensors and settings: made of sizes and settings, and loaded.

        It is made of tensors without memory first, so that sizes that a file claims are held against what it has before
        anything of that size is made. A kind that cannot be made so says by itself how it is restored.

        Raises:
            ValueError: They do not fit each other.
        """
        with torch.device("meta"):
            shapes = {
                name: tuple(tensor.shape) for name, tensor in cls(n_features, n_hidden, **settings).state_dict().items()
            }
        _tensors.check_shapes(tensors, shapes)
        model = cls(n_features, n_hidden, **settings)
        model.load_state_dict(tensors, assign=True)
        return model
