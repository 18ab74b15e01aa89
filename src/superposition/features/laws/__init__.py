"""Laws: distributions of an active feature's value, as closed-form moments, sampling and quadrature."""

from typing import Any

from superposition.features.laws.base import Law
from superposition.features.laws.beta import Beta
from superposition.features.laws.decaying import Exponential, HalfNormal
from superposition.features.laws.discrete import Constant, Empirical
from superposition.features.laws.uniform import Uniform

__all__ = ["Beta", "Constant", "Empirical", "Exponential", "HalfNormal", "Law", "Uniform", "law_from_config"]

_LAWS: tuple[type[Law], ...] = (Uniform, Constant, Exponential, HalfNormal, Beta, Empirical)


def law_from_config(config: Any) -> Law:
    """Returns the law that `Law.to_config` described; raises ValueError if it is none."""
    by_name = {law.__name__: law for law in _LAWS}
    if not isinstance(config, dict) or config.get("name") not in list(by_name):
        raise ValueError(f"`law` must be one of {', '.join(by_name)} with its parameters, got {config!r}")
    parameters = {key: value for key, value in config.items() if key != "name"}
    try:
        return by_name[config["name"]](**parameters)
    except TypeError:
        raise ValueError(f"`law` {config['name']} must have its own parameters only, got {parameters!r}") from None
