"""One training step: the loss of a batch and its gradients, written out by hand."""

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.features import SparseFeatures
from superposition.models import Autoencoder


class GradientStep:
    """Computes a batch's loss and fills `.grad` of an autoencoder's three parameters.

    Five products, no graph, and buffers that are made once for a batch size: fresh memory of this size costs
    as much as the arithmetic on it.

    Args:
        model: The model; its parameters get gradient buffers.
        features: Where batches come from; its importances weigh the loss.
    """

    def __init__(self, model: Autoencoder, features: SparseFeatures) -> None:
        self._model = model
        importance = torch.tensor(features.per_feature(features.importance)).to(model.W_enc)
        self._importance = None if bool((importance == 1).all()) else importance
        self._buffers: tuple[Tensor, ...] = ()
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "batch n_features"]) -> Float[Tensor, ""]:
        """Returns the mean loss per feature of the batch, and sets the gradients to its gradient."""
        model = self._model
        output, error, weighted, hidden, slope_hidden = self._workspace(x)
        torch.mm(x, model.W_enc.T, out=hidden)
        torch.addmm(model.b_dec, hidden, model.W_dec.T, out=output).relu_()
        torch.sub(output, x, out=error)
        if self._importance is None:
            weighted = error
        else:
            torch.mul(error, self._importance, out=weighted)
        loss = torch.dot(error.view(-1), weighted.view(-1)) / x.numel()
        # The slope of the loss in the pre-activation, but for the factor 2/size, which the products take along.
        slope = torch.ops.aten.threshold_backward.grad_input(weighted, output, 0, grad_input=output)
        factor = 2 / x.numel()
        torch.addmm(self._gradient(model.W_dec), slope.T, hidden, beta=0, alpha=factor, out=model.W_dec.grad)
        torch.mm(slope, model.W_dec, out=slope_hidden)
        torch.addmm(self._gradient(model.W_enc), slope_hidden.T, x, beta=0, alpha=factor, out=model.W_enc.grad)
        torch.sum(slope, dim=0, out=self._gradient(model.b_dec)).mul_(factor)
        return loss

    def _workspace(self, x: Tensor) -> tuple[Tensor, ...]:
        """Returns three buffers of the batch's shape and two of its hidden shape."""
        if not self._buffers or self._buffers[0].shape != x.shape:
            wide = tuple(torch.empty_like(x) for _ in range(3))
            narrow = tuple(x.new_empty(len(x), self._model.n_hidden) for _ in range(2))
            self._buffers = wide + narrow
        return self._buffers

    @staticmethod
    def _gradient(parameter: torch.nn.Parameter) -> Tensor:
        assert parameter.grad is not None
        return parameter.grad
