"""What a case of the fuzzer is: plain data, whose repr makes it again."""

from dataclasses import dataclass, field
from typing import Any

# An operation on a file of the sandbox: its name, the path from the working folder, parameters.
Step = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One call of the program, or of a function of the library, on a prepared folder.

    Attributes:
        arguments: Of the command line; `("library:NAME", …)` calls a reader of `library.READERS` instead.
        fixtures: Names of folders of the nursery that are copied into the working folder.
        steps: What is then written there or done to the files.
        environment: Variables that differ; set in a process of its own only.
        apart: Whether the case gets a process of its own.
    """

    arguments: tuple[str, ...]
    fixtures: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    apart: bool = False

    @property
    def command(self) -> str:
        """The command, or the reader, for counting."""
        return self.arguments[0] if self.arguments else "(none)"

    @property
    def is_forged(self) -> bool:
        """Whether a file that the program had written was changed."""
        return any(step[0] not in ("write", "folder", "fifo", "link") for step in self.steps)


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        exit_code: Of the program; of a reader 0, or 2 if it raised ValueError or OSError; None if it never ended.
        error: Any other exception that escaped, as text.
        changes: Paths of the sandbox that were made, changed or removed, from its root.
        warnings: Python warnings that a user would have seen.
        findings: What must not have happened, one line each.
    """

    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    error: str = ""
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
