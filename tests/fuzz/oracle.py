"""What is wrong with an outcome, if anything."""

import os
import re
import tomllib
from pathlib import Path

from tests.fuzz.case import Case, Outcome
from tests.fuzz.options import COMMANDS

EXIT_CODES = (0, 1, 2, 130)
_PREFIX = "superposition: "
# Of lines on standard error: what other packages say, and progress never does.
_FOREIGN = re.compile(r"Warning|Error|Exception|WARN|ERROR|CRITICAL|libgomp|^  File ")
_OUTPUTS = ("out", "grid", "plot", "save")
# Caches of other packages.
_NOT_OURS = ("temporary/torchinductor_", "home/.cache", "home/.config", "home/.dask", "home/.config/matplotlib")


def findings(case: Case, outcome: Outcome, here: Path) -> list[str]:
    """Returns what must not have happened, one line each."""
    if outcome.exit_code is None:
        return ["hang: it took longer than it may"]
    found = []
    if outcome.error:
        found.append(f"escaped: {outcome.error}")
    if outcome.exit_code not in EXIT_CODES:
        found.append(f"exit code {outcome.exit_code}")
    for stream in (outcome.stdout, outcome.stderr):
        if "Traceback (most recent call last)" in stream:
            found.append(f"traceback: {stream.strip().splitlines()[-1]}")
    found += [f"warning: {each}" for each in dict.fromkeys(outcome.warnings)]
    if not case.command.startswith("library:"):
        found += _of_messages(outcome, forced=any(name == "FORCE_COLOR" for name, _ in case.environment))
    return found + _of_files(case, outcome, here)


def _of_messages(outcome: Outcome, *, forced: bool) -> list[str]:
    # Of FORCE_COLOR and the like: colours, and the cursor that progress hides. A message holds none.
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", outcome.stderr) if forced else outcome.stderr
    lines = [line for line in plain.splitlines() if line.strip()]
    messages = [line for line in lines if line.startswith(_PREFIX)]
    strange = [line for line in lines if line not in messages and _FOREIGN.search(line)]
    found = [f"unexpected: {line}" for line in messages if line.startswith(f"{_PREFIX}unexpected")]
    found += [f"on standard error: {line[:200]}" for line in strange[:1]]
    if outcome.exit_code == 0 and messages:
        found.append(f"exit code 0 with a message: {messages[0]}")
    if outcome.exit_code == 1 and not messages and not outcome.error:
        found.append("exit code 1 without a message")
    if outcome.exit_code == 2 and len(messages) != 1 and not outcome.error:
        found.append(f"exit code 2 with {len(messages)} messages")
    found += [f"empty message: {line}" for line in messages if not line.removeprefix(_PREFIX).strip()]
    if any(re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]", line) for line in messages):
        found.append("a control character in a message")
    return found


def _of_files(case: Case, outcome: Outcome, here: Path) -> list[str]:
    changes = [path for path in outcome.changes if not path.startswith(_NOT_OURS)]
    if outcome.exit_code == 2 and not case.command.startswith("library:"):
        return [f"refused, but changed {path}" for path in changes[:1]]
    allowed = _may_write(case, here)
    root = here.parent
    stray = [path for path in changes if not any(_within(root / path, place) for place in allowed)]
    found = [f"changed {path}, which is none of its outputs" for path in stray[:1]]
    found += [f"left {path}" for path in changes if path.endswith(".part") and (root / path).exists()][:1]
    return found


def _may_write(case: Case, here: Path) -> list[Path]:
    """Returns the folders and files that the case names as outputs, with the places that links lead to."""
    if case.command.startswith("library:"):
        return [here / case.arguments[1]]
    names = ["runs", "results"] if case.command in COMMANDS else []
    for index, token in enumerate(case.arguments):
        flag, _, value = token.partition("=")
        if flag.lstrip("-") in _OUTPUTS:
            names.append(value or (case.arguments[index + 1] if index + 1 < len(case.arguments) else ""))
    for operation, path, *rest in case.steps:
        if operation == "write" and path == "config.toml":
            names += _outputs_of(rest[0])
    places = []
    for name in names:
        if "\x00" not in name:
            home = str(here.parent / "home")
            expanded = home + name[1:] if name == "~" or name.startswith("~/") else name
            plain = Path(os.path.normpath(here / expanded))
            places += [plain, Path(os.path.realpath(here / expanded))]
    return places


def _outputs_of(config: bytes) -> list[str]:
    try:
        given = tomllib.loads(config.decode())
    except (ValueError, RecursionError):
        return []
    return [str(given[name]) for name in _OUTPUTS if name in given]


def _within(path: Path, place: Path) -> bool:
    """Whether a path is a place, within it, or a folder on the way to it."""
    return path == place or place in path.parents or path in place.parents


def signature(case: Case, finding: str) -> str:
    """Returns a finding without what differs from case to case, to count equal ones."""
    plain = re.sub(r"/[^\s:'\"]*|0x[0-9a-f]+|\d+", "#", finding[:1000])
    return f"{case.command}: {plain[:140]}"
