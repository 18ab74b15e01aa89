"""Options of a command from a TOML file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import tyro

from superposition._toml import Place, check_names, read_toml, validated
from superposition.cli.command import Command
from superposition.cli.paths import home_expanded
from superposition.cli.quantities import option

# Options of which one is meant: one on the command line takes the place of another in the file.
_ALTERNATIVES = (("ratio", "n_hidden"), ("workers", "scheduler", "scheduler_file", "slurm"))


def config_path(arguments: Sequence[str]) -> Path | None:
    """Returns the value of --config among arguments, if it is there; raises ValueError if it is there twice."""
    found = [
        arguments[index + 1] if word == "--config" else word.removeprefix("--config=")
        for index, word in enumerate(arguments)
        if word.startswith("--config=") or (word == "--config" and index + 1 < len(arguments))
    ]
    if len(found) > 1:
        raise ValueError(f"--config must be given once, got {' and '.join(found)}")
    return home_expanded(found[0]) if found else None


def from_file(command: type[Command], path: Path, arguments: Sequence[str]) -> Any:
    """Returns the command with the file's options set and the others at their defaults or missing.

    Args:
        command: Which.
        path: Of the file.
        arguments: The command line; the file's alternatives to options there are left out.

    Raises:
        ValueError: The file cannot be read, or has an unknown key or a value of another type.
    """
    place = Place(path)
    given = read_toml(path, "config")
    hints = get_type_hints(command, include_extras=False)
    fields = {field.name: field for field in dataclasses.fields(command) if field.name != "config"}
    check_names(given, sorted(fields), place)
    values = {name: _value(hints[name], value, place.at(name)) for name, value in given.items()}
    for group in _ALTERNATIVES:
        if any(_is_given(name, arguments) for name in group):
            values = {name: value for name, value in values.items() if name not in group}
    return command(**{name: values.get(name, _default(field)) for name, field in fields.items()}, config=path)


def _value(kind: Any, value: Any, place: Place) -> Any:
    is_path = Path in (kind, *get_args(kind))
    valid = validated(kind, value, place)
    return home_expanded(value) if is_path and isinstance(value, str) else valid


def _is_given(name: str, arguments: Sequence[str]) -> bool:
    return any(word.partition("=")[0].replace("_", "-") == option(name) for word in arguments)


def _default(field: "dataclasses.Field[Any]") -> Any:
    return tyro.MISSING if field.default is dataclasses.MISSING else field.default
