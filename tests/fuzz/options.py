"""The options of every command, read from the dataclasses that parse them, and strategies of their values."""

import dataclasses
import functools
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro
from hypothesis import strategies as st

from superposition.cli import program
from superposition.cli.command import Command
from superposition.cli.quantities import QUANTITIES
from tests.fuzz import values

COMMANDS: dict[str, type[Command]] = program._COMMANDS


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        kind: Type of one value, without None and tuple.
        choices: The words that it takes, if it takes words only.
        repeats: Whether it takes several values.
    """

    name: str
    kind: type
    choices: tuple[str, ...]
    repeats: bool
    positional: bool
    required: bool

    @property
    def flag(self) -> str:
        """As it is written."""
        return "--" + {"imports": "import"}.get(self.name, self.name.replace("_", "-"))


@functools.cache
def options_of(command: str) -> tuple[Option, ...]:
    """Returns the options of a command."""
    kind = COMMANDS[command]
    hints, plain = get_type_hints(kind, include_extras=True), get_type_hints(kind)
    return tuple(
        _option(field, plain[field.name], _is_positional(hints[field.name])) for field in dataclasses.fields(kind)
    )


def _is_positional(hint: Any) -> bool:
    if get_origin(hint) is not Annotated:
        return False
    return any(marker is tyro.conf.Positional or "POSITIONAL" in str(marker).upper() for marker in get_args(hint)[1:])


def _option(field: "dataclasses.Field[Any]", hint: Any, positional: bool) -> Option:
    repeats, choices = False, ()
    while not isinstance(hint, type) or get_origin(hint) is not None:
        origin, inside = get_origin(hint), get_args(hint)
        if origin is Literal:
            choices, hint = tuple(map(str, inside)), str
        elif origin in (Union, types.UnionType):
            hint = next(each for each in inside if each is not type(None))
        elif origin is tuple:
            repeats, hint = True, inside[0]
        else:
            hint = inside[0]
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return Option(field.name, hint, choices, repeats, positional, required)


# What a user would give to the options that we know; a new one gets values by its type.
_BY_NAME: dict[str, Any] = {
    "n_features": values.SIZES,
    "n_hidden": st.sampled_from(["1", "2", "2", "3", "4", "8"]),
    "ratio": values.SHARES,
    "probability": st.one_of(values.SHARES, values.SHARES, st.sampled_from(["zipf:0.2:1", "zipf:1:0", "p.npy"])),
    "activation": st.sampled_from(["relu", "relu", "topk:2", "jumprelu", "gated:0.2", "none", "trec:x"]),
    "hidden_noise": values.POSITIVE,
    "law": st.sampled_from(["uniform", "half-normal", "exponential:2", "beta:0.5:3", "constant", "empirical:1:2"]),
    "ramp": values.SHARES,
    "noise": values.POSITIVE,
    "noise_std": values.POSITIVE,
    "scale": values.POSITIVE,
    "threshold": values.POSITIVE,
    "importance": st.one_of(values.POSITIVE, st.sampled_from(["decay:0.9", "two-level:0", "two-level:1", "1.txt"])),
    "learning_rate": st.sampled_from(["0.001", "0.1", "10", "1e30"]),
    "n_steps": values.FEW,
    "n_atoms": values.SIZES,
    "batch_size": values.SIZES,
    "n_held_out": st.sampled_from(["1", "2", "20", "100"]),
    "n_samples": st.sampled_from(["1", "2", "9"]),
    "seconds": st.sampled_from(["0.01", "0.05"]),
    "workers": st.just("1"),
    "retries": st.sampled_from(["0", "1"]),
    "levels": st.sampled_from(["1", "2", "3", "5", "16"]),
    "neurons": st.sampled_from(["2", "4", "8", "12", "5"]),
    "depth": values.FEW,
    "runs": values.FEW,
    "k": st.sampled_from(["1", "1", "2", "3"]),
    "quantity": st.sampled_from(sorted(QUANTITIES)),
    "device": st.just("cpu"),
    "figures": st.sampled_from(["A2", "A2", "A1"]),
    "preset": st.sampled_from(["quick", "quick", "quick", "laptop"]),
    "model": st.sampled_from(["run", "rug", "linear", "runs/done/trained", "unfinished", "results"]),
    "results": st.sampled_from(["results", "results", "new", "runs"]),
    "folder": st.sampled_from(["run", "run", "rug", "linear", "runs/done/trained", "unfinished", "results"]),
    "grid": st.sampled_from(["table.parquet", "new/table.parquet"]),
    "plot": st.sampled_from(["plot.svg", "plot.png", "plot.pdf", "new/plot.svg", "plot.gif"]),
    "save": st.sampled_from(["rows.parquet", "rows.csv", "new/rows.csv", "rows.txt"]),
    "scheduler": st.sampled_from(["tcp://127.0.0.1:1", "127.0.0.1:1", "tls://127.0.0.1:1"]),
    "scheduler_file": st.just("scheduler.json"),
    "slurm": st.just("slurm.toml"),
    "sweep": st.just("sweep.toml"),
    "config": st.just("config.toml"),
    "imports": st.sampled_from(["file", "mine.py", "fifo"]),
    "sql": st.just("SELECT * FROM trained"),
}
_BY_TYPE: dict[type, Any] = {
    int: values.FEW,
    float: values.POSITIVE,
    str: st.sampled_from(["x", "a", "1"]),
    bool: st.booleans(),
}


def plausible(option: Option) -> st.SearchStrategy[str]:
    """Returns values that a user would give."""
    if option.choices:
        return st.sampled_from(option.choices)
    if option.name in _BY_NAME:
        return _BY_NAME[option.name]
    return st.sampled_from(["file", "new", "folder"]) if option.kind not in _BY_TYPE else _BY_TYPE[option.kind]


def absurd(option: Option) -> st.SearchStrategy[str]:
    """Returns values that nobody means."""
    if option.kind in (int, float):
        return st.one_of(values.absurd_number, values.absurd_number, values.absurd_word)
    if option.kind in (str, bool):
        return values.absurd_word
    return values.odd_path
