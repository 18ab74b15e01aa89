"""The training configuration: one frozen object, three named protocols."""

import dataclasses
from dataclasses import dataclass
from math import cos, inf, pi, sqrt
from typing import Any, Literal, Self, get_args

from superposition import _checks
from superposition.models.autoencoder import Initialization

Protocol = Literal["default", "fast", "paper"]
Precision = Literal["float32", "bfloat16"]

# The initial weights that go with each protocol.
INITIALIZATION: dict[Protocol, Initialization] = {"default": "tied", "fast": "tied", "paper": "linear"}


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: Adam on fresh batches, with a rate scaled to the model's size.

    The rate at its peak is min(learning_rate/√n_features, rate_cap/√(n_hidden·n_features·p)): the second
    bound, p the mean probability, keeps large dense problems from collapsing to the constant prediction.

    Args:
        n_steps: Number of steps, or the most steps if `stop_window` is set; ≥ 1.
        batch_size: Samples a step, ≥ 1.
        learning_rate: Peak rate times √n_features, > 0.
        rate_cap: Peak rate times √(n_hidden·n_features·p), > 0; inf for none.
        betas: Adam's averaging factors, each in [0, 1).
        epsilon: Adam's ε in units of the gradient of the loss per feature, > 0.
        warm_up: Share of the steps in which the rate rises linearly from 0; in [0, 1).
        decay: "cosine" or "linear" lower the rate to 0 after the warm-up, "none" keeps it.
        cooldown: None, or the share of the steps, at the end, in which the rate is lowered; it is constant before. In
            (0, 1 − warm_up].
        stop_window: None, or the number of batches w of the paper's rule: at every w-th step, stop if the
            mean loss of the last w batches is not below that of the w before.
        precision: "float32" computes in the model's own precision; "bfloat16" rounds the factors of dense products
            to 8 bits, several times faster on a processor or GPU with units for it.
        tied: Gives W_dec and W_encᵀ the mean of their gradients, so that they stay equal if they start so. The
            gradient has half the variance, and no step can make the two differ.

    Raises:
        ValueError: A field is out of its range.

    >>> TrainingConfig.paper().stop_window
    200
    """

    n_steps: int = 2500
    batch_size: int = 1024
    learning_rate: float = 0.22
    rate_cap: float = 0.8
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-12
    warm_up: float = 0.1
    decay: Literal["cosine", "linear", "none"] = "cosine"
    stop_window: int | None = None
    precision: Precision = "float32"
    tied: bool = False
    cooldown: float | None = None

    def __post_init__(self) -> None:
        for name in ("n_steps", "batch_size"):
            object.__setattr__(self, name, _checks.whole_number(name, getattr(self, name)))
        rates = {
            "learning_rate": _checks.in_interval(
                "learning_rate", self.learning_rate, 0, inf, open_low=True, open_high=True
            ),
            "rate_cap": _checks.in_interval("rate_cap", self.rate_cap, 0, inf, open_low=True),
            "epsilon": _checks.in_interval("epsilon", self.epsilon, 0, 1, open_low=True),
            "warm_up": _checks.in_interval("warm_up", self.warm_up, 0, 1, open_high=True),
        }
        for name, value in rates.items():
            object.__setattr__(self, name, _checks.one(name, value))
        if _checks.in_interval("betas", self.betas, 0, 1, open_high=True).shape != (2,):
            raise ValueError(f"`betas` must be two numbers, got {_checks.shown(self.betas)}")
        _checks.choice("decay", self.decay, ("cosine", "linear", "none"))
        object.__setattr__(self, "tied", _checks.flag("tied", self.tied))
        _checks.choice("precision", self.precision, get_args(Precision))
        if self.stop_window is not None:
            object.__setattr__(self, "stop_window", _checks.whole_number("stop_window", self.stop_window))
        object.__setattr__(self, "betas", tuple(float(beta) for beta in self.betas))
        if self.cooldown is not None:
            cooldown = _checks.in_interval("cooldown", self.cooldown, 0, 1 - self.warm_up, open_low=True)
            object.__setattr__(self, "cooldown", _checks.one("cooldown", cooldown))
            if self.decay == "none":
                raise ValueError("`decay` must be linear or cosine with a cooldown, got 'none'")

    @classmethod
    def paper(cls) -> Self:
        """The paper's protocol: Adam at 3e-3/√n until its stop rule over 200 batches (section 2, appendix G).

        Use it with `Autoencoder(..., initialization="linear")`. `n_steps` is a bound that it does not reach.
        """
        return cls(
            n_steps=500_000,
            learning_rate=3e-3,
            rate_cap=inf,
            betas=(0.9, 0.999),
            epsilon=1e-8,
            warm_up=0.0,
            decay="none",
            stop_window=200,
        )

    @classmethod
    def fast(cls) -> Self:
        """Four hundred tied steps at a high rate: below the loss of the paper's protocol in the least time.

        A longer run by the default protocol ends lower: the optimum is not tied.
        """
        return cls(n_steps=400, learning_rate=0.45, rate_cap=1.4, betas=(0.8, 0.95), decay="linear", tied=True)

    @classmethod
    def dictionary(cls) -> Self:
        """Two thousand steps for `learn_dictionary`: columns of norm 1 keep to one rate, whatever the density."""
        return cls(n_steps=2000, batch_size=512, learning_rate=0.045, rate_cap=inf, warm_up=0.05)

    @classmethod
    def networks(cls) -> Self:
        """Four thousand steps for networks that compress: peak rate 0.03 for two features, whatever the widths."""
        return cls(n_steps=4000, batch_size=256, learning_rate=0.03 * sqrt(2), rate_cap=inf, epsilon=1e-8, warm_up=0.05)

    @classmethod
    def named(cls, protocol: Protocol) -> Self:
        """Returns the protocol of that name."""
        _checks.choice("protocol", protocol, get_args(Protocol))
        if protocol == "default":
            return cls()
        return cls.fast() if protocol == "fast" else cls.paper()

    def replace(self, **changes: object) -> Self:
        """Returns a copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def fields(self) -> dict[str, Any]:
        """Returns the fields that decide a run, by name; a cooldown, younger than files, only where there is one."""
        found = dataclasses.asdict(self)
        return found if self.cooldown is not None else {k: v for k, v in found.items() if k != "cooldown"}

    @property
    def constant_until(self) -> int:
        """Number of steps before the rate is lowered."""
        if self.decay == "none":
            return self.n_steps
        if self.cooldown is None:
            return int(self.warm_up * self.n_steps)
        return self.n_steps - max(1, int(self.cooldown * self.n_steps))

    def peak_rate(self, n_features: int, n_hidden: int, probability: float) -> float:
        """Returns the peak learning rate for a model's size and the mean probability (`features.density`)."""
        return min(
            self.learning_rate / sqrt(n_features),
            self.rate_cap / sqrt(n_hidden * n_features * probability),
        )

    def rate_factor(self, step: int) -> float:
        """Returns the rate of step 0 … n_steps − 1 as a share of the peak."""
        warm = int(self.warm_up * self.n_steps)
        if step < warm:
            return (step + 1) / warm
        if step < self.constant_until or self.decay == "none":
            return 1.0
        done = (step - self.constant_until) / (self.n_steps - self.constant_until)
        return 1 - done if self.decay == "linear" else (1 + cos(pi * done)) / 2
