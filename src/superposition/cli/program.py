"""The commands, and how arguments and a file become one. Heavy packages load in the command that needs them."""

import contextlib
import io
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

import superposition as sp
from superposition.cli.claims import Claims
from superposition.cli.command import Command
from superposition.cli.compression import Compress
from superposition.cli.config_file import config_path, from_file
from superposition.cli.decoders import Decode, Sensing
from superposition.cli.dictionary import LearnDictionary
from superposition.cli.models import Diagnose, Rug, Train
from superposition.cli.paths import home_expanded
from superposition.cli.reproduce import Reproduce
from superposition.cli.sweep import Query, RunSweep
from superposition.cli.theory import Theory

_COMMANDS: dict[str, Any] = {
    "theory": Theory,
    "train": Train,
    "rug": Rug,
    "diagnose": Diagnose,
    "sweep": RunSweep,
    "query": Query,
    "compress": Compress,
    "decode": Decode,
    "sensing": Sensing,
    "dictionary": LearnDictionary,
    "reproduce": Reproduce,
    "claims": Claims,
}


_PATHS = tyro.constructors.ConstructorRegistry()


def run(arguments: list[str]) -> int:
    """Does what the arguments say and returns the exit code; raises ValueError if they say nothing."""
    command = _parse(arguments)
    for path in command.imports:
        sp.import_file(path)
    return command.run()


def _parse(arguments: list[str]) -> Command:
    """Returns the command that the arguments, and a config file among them, describe; raises ValueError if none."""
    if arguments == ["--version"]:
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
    if name in _COMMANDS and not asks_for_help and (path := config_path(arguments)) is not None:
        default = from_file(_COMMANDS[name], path, arguments)
        prog = f"superposition {name}"
        return tyro.cli(_COMMANDS[name], args=arguments[1:], default=default, prog=prog, registry=_PATHS)
    return tyro.extras.subcommand_cli_from_dict(
        _COMMANDS,
        args=arguments or ["--help"],
        prog="superposition",
        description="Solve, build, train and measure toy models of superposition.",
        sort_subcommands=False,
        registry=_PATHS,
    )


@_PATHS.primitive_rule
def _path(found: tyro.constructors.PrimitiveTypeInfo) -> "tyro.constructors.PrimitiveConstructorSpec[Path] | None":
    """Says how a word becomes a path."""
    if found.type is not Path:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: home_expanded(words[0]),
        is_instance=lambda instance: isinstance(instance, Path),
        str_from_instance=lambda instance: [str(instance)],
    )


def _squeezed(box: str) -> str:
    """Returns the parser's boxed message as one line, without the title of the box, which it repeats."""
    lines = [line.strip(" │╭╮╰╯─") for line in box.splitlines()]
    return " ".join(line for line in lines[1:] if line.strip("-"))  # of which rules are made on plain terminals
