"""Activations: what becomes of W x and the bias. Jumps are trained straight through."""

import abc
from typing import Any, ClassVar, Literal, Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition._kinds import Kinds

# Initial threshold of a jump, feature units: below the interference, so that training decides.
_FIRST_THRESHOLD = 0.05


class Activation(torch.nn.Module, abc.ABC):
    """A function of m = W x and the bias; it may have parameters of its own, one a feature.

    Attributes:
        kind: Name of the kind in files.
    """

    kind: ClassVar[str] = ""

    @abc.abstractmethod
    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""

    def settings(self) -> dict[str, Any]:
        """Returns what makes another one like it, beside the number of features and its parameters, as plain data."""
        return {}

    @classmethod
    def of(cls, n_features: int, settings: dict[str, Any]) -> Self:  # noqa: ARG003
        """Returns one for so many features, of these settings."""
        return cls(**settings)


@final
class NoActivation(Activation):
    """m + b, of linear models."""

    kind: ClassVar[str] = "none"

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        return m + bias


@final
class ReLUActivation(Activation):
    """ReLU(m + b)."""

    kind: ClassVar[str] = "relu"

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        return torch.relu(m + bias)


@final
class TopKActivation(Activation):
    """ReLU(m + b) on the k largest of a sample, or of a batch k times its size.

    Args:
        k: Kept entries a sample, ≥ 1.
        among: Whether each sample keeps k entries, or a batch k times its size.
    """

    kind: ClassVar[str] = "top-k"

    def __init__(self, k: int, *, among: Literal["sample", "batch"] = "sample") -> None:
        super().__init__()
        self.k, self.among = _checks.whole_number("k", k), _checks.choice("among", among, ("sample", "batch"))

    def settings(self) -> dict[str, Any]:
        """Returns k, and among what it is counted."""
        return {"k": self.k, "among": self.among}

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction; gradients are those of the entries kept."""
        value = torch.relu(m + bias)
        samples = value.view(-1, value.shape[-1])
        pool, count = (samples.view(1, -1), self.k * len(samples)) if self.among == "batch" else (samples, self.k)
        kept = pool.topk(min(count, pool.shape[1]), dim=1, sorted=False)
        return torch.zeros_like(pool).scatter(1, kept.indices, kept.values).view_as(value)


class StraightThrough(Activation):
    """An activation that jumps. It is trained through a rectangle in the place of the derivative of the jump.

    Args:
        bandwidth: Width of the rectangle, > 0, feature units.
    """

    def __init__(self, bandwidth: float) -> None:
        super().__init__()
        width = _checks.in_interval("bandwidth", bandwidth, 0, float("inf"), open_low=True, open_high=True)
        self.bandwidth = float(width)

    def settings(self) -> dict[str, Any]:
        """Returns the bandwidth."""
        return {"bandwidth": self.bandwidth}


class _WithParameters(StraightThrough):
    """One that has parameters of its own, as many as there are features."""

    @classmethod
    def of(cls, n_features: int, settings: dict[str, Any]) -> Self:
        """Returns one for so many features, of these settings."""
        return cls(n_features, **settings)


@final
class JumpReLUActivation(_WithParameters):
    """v 1[v > θ_i], v = m + b, θ_i > 0 trained through a rectangle of a bandwidth.

    Args:
        n_features: Number of features.
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.

    Reference: Rajamanoharan et al. 2024, "Jumping ahead", eq. 11.
    """

    kind: ClassVar[str] = "jump-relu"

    def __init__(self, n_features: int, bandwidth: float) -> None:
        super().__init__(bandwidth)
        self.log_threshold = torch.nn.Parameter(torch.full((n_features,), _FIRST_THRESHOLD).log())

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        value = m + bias
        return value * jump(value.detach() - self.log_threshold.exp(), self.bandwidth)


@final
class GatedActivation(_WithParameters):
    """ReLU(s_i m + b) 1[m + g_i > 0], s_i > 0; the gate is trained straight through, m included.

    Args:
        n_features: Number of features.
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.

    Reference: Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse autoencoders", with weights
    shared but for the scale.
    """

    kind: ClassVar[str] = "gated"

    def __init__(self, n_features: int, bandwidth: float) -> None:
        super().__init__(bandwidth)
        self.log_scale = torch.nn.Parameter(torch.zeros(n_features))
        self.gate_bias = torch.nn.Parameter(torch.zeros(n_features))

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        return torch.relu(self.log_scale.exp() * m + bias) * jump(m + self.gate_bias, self.bandwidth)


@final
class TRecActivation(StraightThrough):
    """m 1[m + b > 0 and m > 0], the thresholded rectifier; b is trained straight through.

    Args:
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.

    Reference: Taggart 2024; Konda, Memisevic and Krueger 2014.
    """

    kind: ClassVar[str] = "trec"

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        return torch.relu(m) * jump(m.detach() + bias, self.bandwidth)


_KINDS: Kinds[type[Activation]] = Kinds(
    "activation",
    Activation,
    *(NoActivation, ReLUActivation, TopKActivation, JumpReLUActivation, GatedActivation, TRecActivation),
)


def register_activation(kind: type[Activation]) -> type[Activation]:
    """Makes a kind of activation known where saved models name it; a decorator.

    Raises:
        ValueError: It has no name, or another kind has it.
    """
    return _KINDS.register(kind)


def check_known(activation: Activation) -> None:
    """Raises ValueError unless a saved model's activation would be known when it is loaded."""
    if type(activation) not in _KINDS:
        name = type(activation).__name__
        raise ValueError(f"`activation` must be of a kind that can be loaded, got {name}: register_activation it")


def activation_of(description: Any, n_features: int) -> Activation:
    """Returns the activation that a file describes, the ReLU if it says nothing; raises ValueError for an unknown."""
    if description is None:
        return ReLUActivation()
    if not isinstance(description, dict):
        raise ValueError(f"`activation` must be a table, got {_checks.shown(description)}")
    settings = dict(description)
    return _KINDS.named(settings.pop("kind", None)).of(n_features, settings)


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
