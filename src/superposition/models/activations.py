"""The activations, by class and by name: those that models are trained with and those that decoders fit."""

from typing import Any, ClassVar, Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition._kinds import Kinds
from superposition.models.activation import Activation, Gate
from superposition.models.straight_through import StraightThrough, StraightThroughWithParameters, open_where

# Initial threshold of a jump, feature units: below the interference, so that training decides.
_FIRST_THRESHOLD = 0.05


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
class ReLU(Activation):
    """ReLU(m + b).

    >>> ReLU()(torch.tensor([1.0, 0.4]), torch.tensor(-0.5))
    tensor([0.5000, 0.0000])
    """

    kind: ClassVar[str] = "relu"

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        return torch.relu(m + bias)

    def gate(self, bias: float) -> Gate:
        """Returns it as a gate."""
        return Gate(1.0, bias, -bias)


class _Largest(Activation):
    """ReLU(m + b) on the largest entries.

    Args:
        k: Entries kept, on average over samples, in [1, n_features]; None until `fit_decoder` chooses it.

    Attributes:
        of_a_batch: Whether the entries of all samples are compared, and not those of each.
    """

    setting: ClassVar[str | None] = "k"
    of_a_batch: ClassVar[bool] = False

    def __init__(self, k: int | None = None) -> None:
        super().__init__()
        self.k = None if k is None else _checks.whole_number("k", k)

    @property
    def name(self) -> str:
        """Its class, with k."""
        return f"{super().name}({self.extra_repr()})"

    def settings(self) -> dict[str, Any]:
        """Returns k."""
        return {"k": self.k}

    @classmethod
    def of(cls, n_features: int | None, settings: dict[str, Any]) -> Self:
        """Returns one of these settings; raises ValueError if it keeps more entries than there are features."""
        if n_features is not None and settings.get("k") is not None:
            _checked_k(settings["k"], n_features)
        return cls(**settings)

    def extra_repr(self) -> str:
        """Returns k."""
        return f"k={self.k}"

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction; gradients are those of the entries kept."""
        value = torch.relu(m + bias)
        n_features = value.shape[-1]
        pools = value.reshape((1, -1) if self.of_a_batch else (-1, n_features))
        kept = pools.topk(self.kept_of(n_features) * (pools.shape[1] // n_features), dim=1, sorted=False)
        return torch.zeros_like(pools).scatter(1, kept.indices, kept.values).view_as(value)

    def kept_of(self, n_features: int) -> int:
        """Returns k; raises ValueError unless it is given, and no more than there are features."""
        if self.k is None:
            raise ValueError("`k` must be given, got None: set it, or let fit_decoder choose it")
        return _checked_k(self.k, n_features)


def _checked_k(k: Any, n_features: int) -> int:
    return _checks.whole_number("k", k, high=n_features, hint="no more than there are features")


@final
class TopK(_Largest):
    """ReLU(m + b) on the k largest entries of each sample, else 0.

    Args:
        k: How many are kept, in [1, n_features]; None until `fit_decoder` chooses it.

    Reference: Makhzani and Frey 2013; Gao et al. 2024.

    >>> TopK(1)(torch.tensor([[0.2, 0.9]]), torch.tensor(0.0))
    tensor([[0.0000, 0.9000]])
    """

    kind: ClassVar[str] = "topk"


@final
class BatchTopK(_Largest):
    """ReLU(m + b) on the largest entries of a batch, k times as many as it has samples, else 0.

    Args:
        k: How many are kept of a sample on average, in [1, n_features]; None until `fit_decoder` chooses it.

    Reference: Bussmann et al. 2024.
    """

    kind: ClassVar[str] = "batchtopk"
    of_a_batch = True


@final
class JumpReLU(StraightThroughWithParameters):
    """v 1[v > θ], v = m + b.

    Args:
        n_features: Number of features, each of which gets a threshold of its own; None for one that all share.
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.
        threshold: θ ≥ 0 to begin with, feature units. It is learnt by its logarithm: 0 stays 0.

    Reference: Erichson et al. 2019; Rajamanoharan et al. 2024, "Jumping ahead", eq. 11.
    """

    kind: ClassVar[str] = "jumprelu"

    def __init__(
        self, n_features: int | None = None, *, bandwidth: float = 0.1, threshold: float = _FIRST_THRESHOLD
    ) -> None:
        super().__init__(n_features, bandwidth=bandwidth)
        first = _checks.one("threshold", _checks.finite("threshold", threshold, non_negative=True))
        self.log_threshold = torch.nn.Parameter(self.started_at(first).log())

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        value = m + bias
        return open_where(value, value.detach() - self.log_threshold.exp(), self.bandwidth)

    def gate(self, bias: float) -> Gate | None:
        """Returns it as a gate, if all features share the threshold."""
        return None if self.n_features else Gate(1.0, bias, self.log_threshold.exp().item() - bias)


@final
class Gated(StraightThroughWithParameters):
    """ReLU(s m + b) 1[m + g > 0], s > 0; the gate is trained straight through, m included.

    With one gate for all features it is the same family of functions as JumpReLU; the two differ in training.

    Args:
        n_features: Number of features, each of which gets an s and a g of its own; None for those that all share.
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.
        gate_bias: g to begin with, feature units; s begins at 1.

    Reference: Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse autoencoders", with weights
    shared but for the scale.
    """

    kind: ClassVar[str] = "gated"

    def __init__(self, n_features: int | None = None, *, bandwidth: float = 0.1, gate_bias: float = 0.0) -> None:
        super().__init__(n_features, bandwidth=bandwidth)
        first = _checks.one("gate_bias", _checks.finite("gate_bias", gate_bias))
        self.log_scale = torch.nn.Parameter(self.started_at(0.0))
        self.gate_bias = torch.nn.Parameter(self.started_at(first))

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        return open_where(torch.relu(self.log_scale.exp() * m + bias), m + self.gate_bias, self.bandwidth)

    def gate(self, bias: float) -> Gate | None:
        """Returns it as a gate, if all features share it."""
        if self.n_features:
            return None
        scale = self.log_scale.exp().item()
        return Gate(scale, bias, max(-self.gate_bias.item(), -bias / scale))


@final
class TRec(StraightThrough):
    """m 1[m + b > 0 and m > 0], the thresholded rectifier, or ProLU: the bias decides whether, and is not added.

    Args:
        bandwidth: Width of the rectangle in the place of the derivative of the jump, > 0, feature units.

    Reference: Konda, Memisevic and Krueger 2014 (TRec); Taggart 2024 (ProLU).
    """

    kind: ClassVar[str] = "trec"

    def forward(
        self, m: Float[Tensor, "*batch n_features"], bias: Float[Tensor, "*n_features"]
    ) -> Float[Tensor, "*batch n_features"]:
        """Returns the reconstruction."""
        return open_where(torch.relu(m), m.detach() + bias, self.bandwidth)

    def gate(self, bias: float) -> Gate:
        """Returns it as a gate."""
        return Gate(1.0, 0.0, max(0.0, -bias))


_KINDS: Kinds[type[Activation]] = Kinds(
    "activation",
    Activation,
    *(NoActivation, ReLU, TopK, BatchTopK, JumpReLU, Gated, TRec),
    former={"top-k": TopK, "batch-top-k": BatchTopK, "jump-relu": JumpReLU},
)


def register_activation(kind: type[Activation]) -> type[Activation]:
    """Makes a kind of activation known where files and cells name it; a decorator.

    Raises:
        ValueError: It has no name, or another kind has it.
    """
    return _KINDS.register(kind)


def activation_named(kind: str, setting: float | None = None, *, n_features: int | None = None) -> Activation:
    """The activation of a name.

    Args:
        kind: Its name: relu, topk, batchtopk, jumprelu, gated, trec, none, or that of one of your own.
        setting: k of topk and batchtopk; of jumprelu, gated and trec the bandwidth, feature units; its own if not
            given, but for k, which a decoder's fit chooses.
        n_features: Number of features, of which each gets parameters of its own; None for those that all share.

    Raises:
        ValueError: There is none of that name, or it has no such setting.

    >>> activation_named("topk", 3)
    TopK(k=3)
    """
    found = _KINDS.named(kind)
    if n_features is not None:
        _checks.whole_number("n_features", n_features)
    if setting is None:
        return found.of(n_features, {})
    if found.setting is None:
        raise ValueError(f"`setting` must be left out for {found.kind}, got {_checks.shown(setting)}")
    number = _checks.one("setting", _checks.finite("setting", setting))
    return found.of(n_features, {found.setting: int(number) if number.is_integer() else number})  # 3.0 of a file is 3


def check_known(activation: Activation) -> None:
    """Raises ValueError unless a saved model's activation would be known when it is loaded."""
    if type(activation) not in _KINDS:
        name = type(activation).__name__
        raise ValueError(f"`activation` must be of a kind that can be loaded, got {name}: register_activation it")


def activation_of(description: Any, n_features: int) -> Activation:
    """Returns the activation that a file describes, the ReLU if it says nothing; raises ValueError for an unknown."""
    if description is None:
        return ReLU()
    if not isinstance(description, dict):
        raise ValueError(f"`activation` must be a table, got {_checks.shown(description)}")
    settings = dict(description)
    kind = settings.pop("kind", None)
    # In older files top-k of a batch is the same kind.
    if kind == "top-k" and settings.pop("among", "sample") == "batch":
        kind = "batch-top-k"
    return _KINDS.named(kind).of(n_features, settings)
