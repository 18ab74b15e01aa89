"""A model's own decoder."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from superposition.decoders.base import Decoded, Decoder, one_step
from superposition.features import SparseFeatures
from superposition.models import Model
from superposition.models.encoders import Encoder


@final
@dataclass(frozen=True, eq=False)
class AsItIs(Decoder):
    """x̂ as the model has it: its own W_dec, bias and activation.

    Args:
        model: Whose encoder made the activations.

    >>> import torch
    >>> from superposition.models import PersianRug
    >>> rug, features = PersianRug.draw(8, 4), SparseFeatures(8, 0.1)
    >>> bool(torch.equal(AsItIs(rug)(rug.encode(torch.eye(8)), rug.encoder, features).features, rug(torch.eye(8))))
    True
    """

    model: Model

    @property
    def name(self) -> str:
        """A short name for tables."""
        return "model as it is"

    def decode(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Decoded:  # noqa: ARG002
        """Decodes a batch."""
        return one_step(self.model.decode(hidden), hidden, encoder)
