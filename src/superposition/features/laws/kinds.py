"""The laws that files name: ours, and those that users add."""

from typing import Any

from superposition._kinds import Kinds
from superposition.features.laws.base import Law
from superposition.features.laws.beta import Beta
from superposition.features.laws.decaying import Exponential, HalfNormal
from superposition.features.laws.discrete import Constant, Empirical
from superposition.features.laws.uniform import Uniform

_KINDS: Kinds[type[Law]] = Kinds("law", Law, Uniform, Constant, Exponential, HalfNormal, Beta, Empirical)


def register_law(kind: type[Law]) -> type[Law]:
    """Makes a law known where saved features name it; a decorator.

    Raises:
        ValueError: It is no law, has no name, or another law has it.
    """
    return _KINDS.register(kind)


def law_kinds() -> dict[str, type[Law]]:
    """Returns all laws by their names in files."""
    return dict(_KINDS)


def law_from_config(config: Any) -> Law:
    """Returns the law that `Law.to_config` described; raises ValueError if it is none."""
    if not isinstance(config, dict):
        raise ValueError(f"`law` must be a table of a name and parameters, got {config!r}")
    parameters = dict(config)
    kind = _KINDS.named(parameters.pop("name", None))
    try:
        return kind(**parameters)
    except TypeError:
        raise ValueError(f"`law` {kind.kind} must have its own parameters only, got {parameters!r}") from None
