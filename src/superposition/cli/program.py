"""The commands, and how arguments and a file become one. Heavy packages load in the command that needs them."""

import contextlib
import dataclasses
import io
from pathlib import Path
from typing import Any

import tyro

from superposition.cli.command import Command
from superposition.cli.compression import Compress
from superposition.cli.decoders import Decode, Sensing
from superposition.cli.models import Diagnose, Rug, Train
from superposition.cli.reproduce import Reproduce
from superposition.cli.sweep import Query, Sweep
from superposition.cli.theory import Theory

_COMMANDS: dict[str, Any] = {
    "theory": Theory,
    "train": Train,
    "rug": Rug,
    "diagnose": Diagnose,
    "sweep": Sweep,
    "query": Query,
    "compress": Compress,
    "decode": Decode,
    "sensing": Sensing,
    "reproduce": Reproduce,
}


def run(arguments: list[str]) -> int:
    """Does what the arguments say and returns the exit code; raises ValueError if they say nothing."""
    return _parse(arguments).run()


def _parse(arguments: list[str]) -> Command:
    """Returns the command that the arguments, and a config file among them, describe; raises ValueError if none."""
    if arguments == ["--version"]:
        from importlib.metadata import version

        print(f"superposition {version('superposition')}")
        raise SystemExit(0)
    problem = io.StringIO()
    try:
        with contextlib.redirect_stderr(problem):
            found = _read(arguments)
    except SystemExit as stop:
        if stop.code:
            raise ValueError(_squeezed(problem.getvalue())) from None
        raise
    assert isinstance(found, Command)
    return found


def _read(arguments: list[str]) -> Any:
    name = arguments[0] if arguments else ""
    asks_for_help = {"-h", "--help"} & set(arguments)
    if name in _COMMANDS and not asks_for_help and (path := _config_path(arguments)) is not None:
        default = _from_file(_COMMANDS[name], path)
        return tyro.cli(_COMMANDS[name], args=arguments[1:], default=default, prog=f"superposition {name}")
    return tyro.extras.subcommand_cli_from_dict(
        _COMMANDS,
        args=arguments or ["--help"],
        prog="superposition",
        description="Solve, build, train and measure toy models of superposition.",
        sort_subcommands=False,
    )


def _squeezed(box: str) -> str:
    """Returns the parser's boxed message as one line, without the title of the box, which it repeats."""
    lines = [line.strip(" │╭╮╰╯─") for line in box.splitlines()]
    return " ".join(line for line in lines[1:] if line.strip("-"))  # of which rules are made on plain terminals


def _config_path(arguments: list[str]) -> Path | None:
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            return Path(arguments[index + 1])
        if argument.startswith("--config="):
            return Path(argument.removeprefix("--config="))
    return None


def _from_file(command: type[Command], path: Path) -> Any:
    """Returns the command with the file's options set and the others at their defaults or missing.

    Raises:
        ValueError: The file cannot be read, or has an unknown key or a value of another type.
    """
    import tomllib

    import pydantic

    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"`config` must be a readable file, got {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML file: {error}") from None
    fields = {field.name: field for field in dataclasses.fields(command) if field.name != "config"}
    optional: dict[str, Any] = {name: (field.type, None) for name, field in fields.items()}
    schema = pydantic.create_model(command.__name__, __config__=pydantic.ConfigDict(extra="forbid"), **optional)
    try:
        valid = schema.model_validate(given, strict=False)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise ValueError(f"{path}: `{key}` must be one of {', '.join(sorted(fields))}: no such option") from None
        raise ValueError(f"{path}: `{key}` is not valid, got {first['input']!r}: {first['msg']}") from None
    values = {name: getattr(valid, name) if name in given else _default(field) for name, field in fields.items()}
    return command(**values, config=path)


def _default(field: "dataclasses.Field[Any]") -> Any:
    return tyro.MISSING if field.default is dataclasses.MISSING else field.default
