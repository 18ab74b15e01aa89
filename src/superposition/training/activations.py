"""Autoencoders with activations other than the ReLU, their jumps trained straight through."""

import abc
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.models import Autoencoder, Model

# Initial threshold of a jump, feature units: below the interference, so that training decides.
_FIRST_THRESHOLD = 0.05


class Activation(torch.nn.Module, abc.ABC):
    """A function of m = W x and the bias; it may have parameters of its own, one a feature."""

    @abc.abstractmethod
    def forward(
        self, m: Float[Tensor, "batch n_features"], bias: Float[Tensor, " n_features"]
    ) -> Float[Tensor, "batch n_features"]:
        """Returns the reconstruction."""


@final
class ReLUActivation(Activation):
    """ReLU(m + b)."""

    def forward(
        self, m: Float[Tensor, "batch n_features"], bias: Float[Tensor, " n_features"]
    ) -> Float[Tensor, "batch n_features"]:
        """Returns the reconstruction."""
        return torch.relu(m + bias)


@final
class TopKActivation(Activation):
    """ReLU(m + b) on the k largest of a sample, or of a batch k times its size.

    Args:
        k: Kept entries a sample, ≥ 1.
        of_batch: Whether the batch shares them out.
    """

    def __init__(self, k: int, *, of_batch: bool = False) -> None:
        super().__init__()
        self.k, self.of_batch = _checks.whole_number("k", k), of_batch

    def forward(
        self, m: Float[Tensor, "batch n_features"], bias: Float[Tensor, " n_features"]
    ) -> Float[Tensor, "batch n_features"]:
        """Returns the reconstruction; gradients are those of the entries kept."""
        value = torch.relu(m + bias)
        pool, count = (value.view(1, -1), self.k * len(value)) if self.of_batch else (value, self.k)
        kept = pool.topk(min(count, pool.shape[1]), dim=1, sorted=False)
        return torch.zeros_like(pool).scatter(1, kept.indices, kept.values).view_as(value)


@final
class JumpReLUActivation(Activation):
    """v 1[v > θ_i], v = m + b, θ_i > 0 trained through a rectangle of a bandwidth.

    Args:
        n_features: Number of features.
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.

    Reference: Rajamanoharan et al. 2024, "Jumping ahead", eq. 11.
    """

    def __init__(self, n_features: int, bandwidth: float) -> None:
        super().__init__()
        self.bandwidth = _bandwidth(bandwidth)
        self.log_threshold = torch.nn.Parameter(torch.full((n_features,), _FIRST_THRESHOLD).log())

    def forward(
        self, m: Float[Tensor, "batch n_features"], bias: Float[Tensor, " n_features"]
    ) -> Float[Tensor, "batch n_features"]:
        """Returns the reconstruction."""
        value = m + bias
        return value * jump(value.detach() - self.log_threshold.exp(), self.bandwidth)


@final
class GatedActivation(Activation):
    """ReLU(s_i m + b) 1[m + g_i > 0], s_i > 0; the gate is trained straight through, m included.

    Args:
        n_features: Number of features.
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.

    Reference: Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse autoencoders", with weights
    shared but for the scale.
    """

    def __init__(self, n_features: int, bandwidth: float) -> None:
        super().__init__()
        self.bandwidth = _bandwidth(bandwidth)
        self.log_scale = torch.nn.Parameter(torch.zeros(n_features))
        self.gate_bias = torch.nn.Parameter(torch.zeros(n_features))

    def forward(
        self, m: Float[Tensor, "batch n_features"], bias: Float[Tensor, " n_features"]
    ) -> Float[Tensor, "batch n_features"]:
        """Returns the reconstruction."""
        return torch.relu(self.log_scale.exp() * m + bias) * jump(m + self.gate_bias, self.bandwidth)


@final
class ProLUActivation(Activation):
    """m 1[m + b > 0 and m > 0], the thresholded rectifier; b is trained straight through.

    Args:
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.

    Reference: Taggart 2024; Konda, Memisevic and Krueger 2014.
    """

    def __init__(self, bandwidth: float) -> None:
        super().__init__()
        self.bandwidth = _bandwidth(bandwidth)

    def forward(
        self, m: Float[Tensor, "batch n_features"], bias: Float[Tensor, " n_features"]
    ) -> Float[Tensor, "batch n_features"]:
        """Returns the reconstruction."""
        return torch.relu(m) * jump(m.detach() + bias, self.bandwidth)


class _Jump(torch.autograd.Function):
    """1[t > 0], with the derivative of a ramp of a width."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(t)
        ctx.width = width
        return (t > 0).to(t)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (t,) = ctx.saved_tensors
        return gradients[0] * (t.abs() < ctx.width / 2) / ctx.width, None


def jump(t: Float[Tensor, "*some"], width: float) -> Float[Tensor, "*some"]:
    """Returns 1[t > 0]; its derivative counts as 1/width for |t| < width/2 and 0 beyond.

    >>> t = torch.tensor([-1.0, 0.1], requires_grad=True)
    >>> jump(t, 0.5).sum().backward()
    >>> t.grad
    tensor([0., 2.])
    """
    return _Jump.apply(t, width)  # type: ignore[no-any-return, no-untyped-call]


@final
class ActivatedAutoencoder(Model):
    """x̂ = activation(W_dec W_enc x, b_dec), from the same initial weights as an Autoencoder of that seed.

    Args:
        n_features: Number of features, ≥ 1.
        n_hidden: Width of the bottleneck, in [1, n_features].
        activation: What becomes of W x and the bias.
        seed: Seed of the initial weights, ≥ 0.

    >>> ActivatedAutoencoder(8, 4, TopKActivation(2))(torch.ones(3, 8)).count_nonzero(dim=1).max() <= 2
    tensor(True)
    """

    def __init__(self, n_features: int, n_hidden: int, activation: Activation, *, seed: int = 0) -> None:
        super().__init__()
        start = Autoencoder(n_features, n_hidden, seed=seed)
        self.n_features, self.n_hidden = start.n_features, start.n_hidden
        self.W_enc, self.W_dec, self.b_dec = start.W_enc, start.W_dec, start.b_dec
        self.activation = activation

    def forward(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        m = x.reshape(-1, self.n_features) @ self.W_enc.T @ self.W_dec.T
        return self.activation(m, self.b_dec).view(x.shape)  # type: ignore[no-any-return]

    @torch.no_grad()
    def W_rows(self, start: int, stop: int) -> Float[Tensor, "rows n_features"]:
        """Returns rows of W_dec W_enc."""
        return self.W_dec[start:stop] @ self.W_enc

    def bias_vector(self) -> Float[Tensor, " n_features"]:
        """Returns b_dec."""
        return self.b_dec.detach()


def _bandwidth(value: float) -> float:
    return float(_checks.in_interval("bandwidth", value, 0, float("inf"), open_low=True, open_high=True))
