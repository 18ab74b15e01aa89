"""One training step: the loss of a batch and its gradients, written out by hand."""

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.features import Features
from superposition.features.sampling import SparseBatch, where_true
from superposition.models import Autoencoder
from superposition.training.config import Precision
from superposition.training.sparse_products import SparseRows

# A product over entries alone costs as much as a dense one when some 15% are there (some 4% if that one is rounded),
# and what prepares it as much as this many multiplications (benchmarks/training.py).
_SPARSE_BELOW = 0.12
_SPARSE_BELOW_ROUNDED = 0.03
_SMALL = 5e7


class GradientStep:
    """Computes a batch's loss and fills `.grad` of an autoencoder's three parameters.

    Of the five products only the one that gives the pre-activations has to be dense. Where few features are active,
    and few outputs on, the other four run over those alone. There is no graph, and buffers are made once for a batch
    size: fresh memory of this size costs as much as the arithmetic on it.

    Args:
        model: The model; its parameters get gradient buffers.
        features: Where batches come from; its importances weigh the loss.
        precision: Of the factors of dense products; "bfloat16" keeps 8 bits of each.
        buffers: Memory to share with the steps of other models that take turns with this one.

    Attributes:
        model: The model.
        parameters: The model's parameters by name, sharing its memory, each in the order in which it lies there:
            the fused optimiser is three times slower otherwise. Their gradients are the model's.
    """

    def __init__(
        self,
        model: Autoencoder,
        features: Features,
        precision: Precision = "float32",
        buffers: dict[str, Tensor] | None = None,
    ) -> None:
        self.model = model
        importance = torch.tensor(features.per_feature(features.importance)).to(model.W_enc)
        self._importance = None if bool((importance == 1).all()) else importance
        self._is_rounded = precision == "bfloat16"
        self._buffers: dict[str, Tensor] = {} if buffers is None else buffers
        self.parameters: dict[str, torch.nn.Parameter] = {}
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            is_turned = not parameter.is_contiguous()
            view = torch.nn.Parameter(parameter.detach().T if is_turned else parameter.detach())
            view.grad = parameter.grad.T if is_turned else parameter.grad
            self.parameters[name] = view

    @torch.no_grad()
    def __call__(self, batch: SparseBatch, noise: Tensor | None = None) -> Float[Tensor, ""]:
        """Returns the mean loss per feature of the batch, and sets the gradients to its gradient.

        Noise is added to the hidden layer; the gradient goes on through it to what its size depends on.
        """
        is_sparse = self._is_sparse(len(batch.positions), batch)
        return self._over_entries(batch, noise) if is_sparse else self._dense(batch, noise)

    def _is_sparse(self, n_entries: int, batch: SparseBatch) -> bool:
        """Whether a product over so many entries is faster than a dense one."""
        size = batch.shape[0] * batch.shape[1]
        # Sparse rows are SciPy's, which has no type of fewer bits.
        on_processor = self.model.W_enc.device.type == "cpu" and self.model.W_enc.dtype.itemsize >= 4
        most = _SPARSE_BELOW_ROUNDED if self._is_rounded else _SPARSE_BELOW
        return on_processor and size * self.model.n_hidden >= _SMALL and n_entries < most * size

    def _dense(self, batch: SparseBatch, noise: Tensor | None) -> Tensor:
        model = self.model
        x = batch.to_dense(out=self._buffer("x", *batch.shape))
        x_factor, W_enc = self._factor("x", x), self._factor("W_enc", model.W_enc.T)
        hidden = self._product(x_factor, W_enc, self._buffer("hidden", len(x), model.n_hidden))
        slope_hidden = self._buffer("slope_hidden", *hidden.shape)
        loss = self.decode(x, add_noise(hidden, noise), slope_hidden)
        self._product(x_factor.T, self._factor("slope_hidden", slope_hidden), self._gradient(model.W_enc).T)
        add_slope(noise, slope_hidden)
        return loss

    def decode(
        self,
        x: Float[Tensor, "batch n_features"],
        hidden: Float[Tensor, "batch n_hidden"],
        slope_hidden: Float[Tensor, "batch n_hidden"],
    ) -> Float[Tensor, ""]:
        """The decoder's half of a dense step: returns the loss, sets the decoder's gradients and `slope_hidden`."""
        W_dec = self._factor("W_dec", self.model.W_dec)
        output = self._pre_activations(hidden, W_dec).relu_()
        if self._is_rounded:
            output = self._buffer("wide output", *x.shape).copy_(output)
        error = torch.sub(output, x, out=self._buffer("error", *x.shape))
        weighted = self._weighted(error)
        loss = torch.dot(error.view(-1), weighted.view(-1)) / x.numel()
        slope = torch.ops.aten.threshold_backward.grad_input(weighted, output, 0, grad_input=output)
        self._decoder_gradients(slope, hidden, W_dec, slope_hidden)
        return loss

    def _over_entries(self, batch: SparseBatch, noise: Tensor | None) -> Tensor:
        model = self.model
        x = SparseRows.of(batch.positions, batch.values, batch.shape)
        hidden = x.times(self._factor("W_enc", model.W_enc.T), self._buffer("hidden", x.n_rows, model.n_hidden))
        add_noise(hidden, noise)
        W_dec = self._factor("W_dec", model.W_dec)
        output = self._pre_activations(hidden, W_dec)
        is_on = torch.gt(output, 0, out=self._buffer("is_on", *batch.shape, dtype=torch.bool))
        flat = output.view(-1)
        active = flat[batch.positions]
        # An active feature whose output is off is lost whole, and has no slope.
        is_lost = active <= 0
        lost = batch.values[is_lost]
        loss = torch.dot(lost, self._weighted(lost, batch.positions[is_lost]))
        # Errors where the output is on; what stands elsewhere is not read.
        flat.index_copy_(0, batch.positions, (active - batch.values).to(flat.dtype))
        if self._is_sparse(int(is_on.count_nonzero()), batch):
            on = where_true(is_on)
            error = flat[on].to(model.W_enc.dtype)
            weighted = self._weighted(error, on)
            slope_hidden = self._decoder_gradients_over_entries(on, weighted, hidden, W_dec)
        else:
            error = torch.mul(output, is_on, out=self._buffer("error", *batch.shape))
            weighted = self._weighted(error)
            slope_hidden = self._buffer("slope_hidden", *hidden.shape)
            self._decoder_gradients(weighted, hidden, W_dec, slope_hidden)
        loss += torch.dot(error.view(-1), weighted.view(-1))
        x.transposed().times(self._factor("slope_hidden", slope_hidden), self._gradient(model.W_enc).T)
        add_slope(noise, slope_hidden)
        return loss / output.numel()

    def _decoder_gradients(self, slope: Tensor, hidden: Tensor, W_dec: Tensor, slope_hidden: Tensor) -> None:
        """Sets the decoder's gradients and the hidden layer's, from weighted errors where outputs are on."""
        model, scale = self.model, 2 / slope.numel()
        torch.sum(slope, dim=0, out=self._gradient(model.b_dec)).mul_(scale)
        # Scaled while it is small: the gradients then need no pass of their own.
        scaled = self._factor("scaled_hidden", hidden * scale)
        slope = self._factor("slope", slope)
        self._product(slope.T, scaled, self._gradient(model.W_dec))
        self._product(slope, W_dec, slope_hidden).mul_(scale)

    def _decoder_gradients_over_entries(self, on: Tensor, slope: Tensor, hidden: Tensor, W_dec: Tensor) -> Tensor:
        """The same from the weighted errors at the positions of the outputs that are on; returns the hidden layer's."""
        model, shape = self.model, (len(hidden), self.model.n_features)
        rows = SparseRows.of(on, slope * (2 / (shape[0] * shape[1])), shape)
        columns = rows.transposed()
        columns.times(self._factor("hidden", hidden), self._gradient(model.W_dec))
        self._gradient(model.b_dec).copy_(columns.row_sums())
        return rows.times(W_dec, self._buffer("slope_hidden", *hidden.shape))

    def _pre_activations(self, hidden: Tensor, W_dec: Tensor) -> Tensor:
        """Returns W_dec hidden + b_dec in the precision of the factors."""
        output = self._buffer("output", len(hidden), len(W_dec), dtype=W_dec.dtype)
        return torch.addmm(self.model.b_dec.to(W_dec.dtype), self._factor("hidden", hidden), W_dec.T, out=output)

    def _weighted(self, error: Tensor, positions: Tensor | None = None) -> Tensor:
        """Returns errors times importances; flat positions say which errors they are, if not all."""
        if self._importance is None:
            return error
        return error * (self._importance if positions is None else self._importance[positions % len(self._importance)])

    def _factor(self, name: str, value: Tensor) -> Tensor:
        """Returns a factor of dense products in their precision."""
        if not self._is_rounded:
            return value
        return self._buffer(f"rounded {name}", *value.shape, dtype=torch.bfloat16).copy_(value)

    def _product(self, left: Tensor, right: Tensor, out: Tensor) -> Tensor:
        if not self._is_rounded:
            return torch.mm(left, right, out=out)
        product = self._buffer(f"rounded product {tuple(out.shape)}", *out.shape, dtype=torch.bfloat16)
        return out.copy_(torch.mm(left, right, out=product))

    def _buffer(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Returns memory that is the same at every step with batches of one size."""
        found = self._buffers.get(name)
        if found is None or found.shape != shape:
            device, dtype = self.model.W_enc.device, dtype or self.model.W_enc.dtype
            found = self._buffers[name] = torch.empty(shape, device=device, dtype=dtype)
        return found

    @staticmethod
    def _gradient(parameter: torch.nn.Parameter) -> Tensor:
        assert parameter.grad is not None
        return parameter.grad


def add_noise(hidden: Tensor, noise: Tensor | None) -> Tensor:
    """Returns a hidden layer to which noise was added in place, if there is any."""
    return hidden if noise is None else hidden.add_(noise.detach())


def add_slope(noise: Tensor | None, slope_hidden: Tensor) -> None:
    """Adds to W_enc's gradient what comes to it through the size of the noise, at the hidden layer's gradient."""
    if noise is not None:
        noise.backward(slope_hidden)  # type: ignore[no-untyped-call]
