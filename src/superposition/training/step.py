"""One training step: the loss of a batch and its gradients, written out by hand."""

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.features import SparseFeatures
from superposition.models import Autoencoder


class GradientStep:
    """Computes a batch's loss and fills `.grad` of an autoencoder's three parameters.

    Five products and no graph: nothing is saved but what the gradients need.

    Args:
        model: The model; its parameters get gradient buffers.
        features: Where batches come from; its importances weigh the loss.
    """

    def __init__(self, model: Autoencoder, features: SparseFeatures) -> None:
        self._model = model
        self._importance: Tensor | float
        importance = features.importance
        self._importance = importance if isinstance(importance, float) else torch.tensor(importance).to(model.W_enc)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "batch n_features"]) -> Float[Tensor, ""]:
        """Returns the mean loss per feature of the batch, and sets the gradients to its gradient."""
        model = self._model
        hidden = x @ model.W_enc.T
        error = torch.addmm(model.b_dec, hidden, model.W_dec.T).relu_()
        active = error > 0
        error -= x
        weighted = error * self._importance
        loss = torch.dot(error.flatten(), weighted.flatten()) / x.numel()
        slope = weighted.mul_(active).mul_(2 / x.numel())
        assert model.W_enc.grad is not None
        assert model.W_dec.grad is not None
        assert model.b_dec.grad is not None
        torch.mm(slope.T, hidden, out=model.W_dec.grad)
        torch.mm((slope @ model.W_dec).T, x, out=model.W_enc.grad)
        torch.sum(slope, dim=0, out=model.b_dec.grad)
        return loss
