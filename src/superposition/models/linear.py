"""The best linear autoencoder: principal components of importance-weighted independent features."""

from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition.features import Features, sparse_parts
from superposition.models.activations import NoActivation
from superposition.models.dense import DenseModel


@final
class LinearAutoencoder(DenseModel):
    """A linear autoencoder with bias, x̂ = W_dec W_enc x + b_dec.

    Args:
        W_enc: Encoder, shape (n_hidden, n_features).
        W_dec: Decoder, shape (n_features, n_hidden).
        b_dec: Bias, shape (n_features,).
        hidden_noise: Standard deviation of noise on every hidden unit, in [0, 1e15], over the root mean square over
            hidden units of theirs without it.

    Raises:
        ValueError: Shapes, dtypes or devices do not fit each other, or the bottleneck is wider than the features.

    >>> from superposition.features import SparseFeatures
    >>> LinearAutoencoder.fit(SparseFeatures(4, 0.5), n_hidden=2).b_dec
    tensor([0.0000, 0.0000, 0.2500, 0.2500])
    """

    kind: ClassVar[str] = "LinearAutoencoder"

    def __init__(
        self,
        W_enc: Float[Tensor, "n_hidden n_features"],
        W_dec: Float[Tensor, "n_features n_hidden"],
        b_dec: Float[Tensor, " n_features"],
        *,
        hidden_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden_noise = _checks.one("hidden_noise", _checks.hidden_noise(hidden_noise))
        self.n_hidden, self.n_features = _tensors.real("W_enc", W_enc, "n_hidden", "n_features").shape
        _checks.hidden_width(self.n_hidden, _checks.whole_number("n_features", self.n_features))
        _tensors.real("W_dec", W_dec, self.n_features, self.n_hidden)
        _tensors.real("b_dec", b_dec, self.n_features)
        for name, tensor in (("W_enc", W_enc), ("W_dec", W_dec), ("b_dec", b_dec)):
            _tensors.alike(name, tensor, "W_enc", W_enc.dtype, W_enc.device)
            self.register_buffer(name, tensor)
        self.activation = NoActivation()

    @classmethod
    def restored(cls, n_features: int, n_hidden: int, tensors: dict[str, Tensor], settings: dict[str, Any]) -> Self:
        """Returns the model of saved tensors and its hidden noise."""
        _tensors.check_shapes(
            tensors, {"W_enc": (n_hidden, n_features), "W_dec": (n_features, n_hidden), "b_dec": (n_features,)}
        )
        return cls(tensors["W_enc"], tensors["W_dec"], tensors["b_dec"], **settings)

    @classmethod
    def fit(cls, features: Features, n_hidden: int) -> Self:
        """Returns the optimum: the n_hidden features of largest M_i Var x_i kept whole, the others at their mean.

        For symmetric features every rank-n_hidden projection is equally good; this is the sparsest of them.

        Raises:
            ValueError: `n_hidden` is not in [1, n_features].
        """
        sparse_parts(features)
        n_hidden = _checks.hidden_width(n_hidden, features.n_features)
        variance = features.per_feature(features.importance * features.variance)
        kept = np.sort(np.argsort(-variance, kind="stable")[:n_hidden])
        W_enc = torch.zeros(n_hidden, features.n_features)
        W_enc[torch.arange(n_hidden), torch.from_numpy(kept)] = 1.0
        b_dec = torch.tensor(features.per_feature(features.mean), dtype=torch.float32)
        b_dec[torch.from_numpy(kept)] = 0.0
        return cls(W_enc, W_enc.T.clone(memory_format=torch.contiguous_format), b_dec)
