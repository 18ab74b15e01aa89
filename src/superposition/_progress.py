"""Progress of long work: what, how far, how fast, how long still, and the loss so far."""

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from superposition._text import one_line

if TYPE_CHECKING:
    from rich.progress import TaskID

# Takes the progress of one piece of work: steps done, steps in all (0 if unknown), and a short text such as the loss.
Report = Callable[[int, int, str], None]


class Display:
    """A live display on standard error, one line a piece of work; use as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            """Steps per second, or seconds per step."""

            def render(self, task: Task) -> Text:
                speed = task.speed or 0.0
                slow = f"{1 / speed:.0f} s each" if speed else ""
                return Text(f"{speed:,.0f}/s" if speed >= 1 else slow, style="progress.data.speed")

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
        )

    def task(self, description: str, *, transient: bool = False) -> Report:
        """Adds a line and returns its reporter; a transient one disappears when it is done."""
        task: TaskID | None = None

        def report(done: int, total: int, detail: str) -> None:
            nonlocal task
            self._progress.start()  # at the first report, so that a refusal stands alone
            if task is None:
                task = self._progress.add_task(one_line(description), total=None, detail="")
            self._progress.update(task, completed=done, total=total or None, detail=one_line(detail))
            if transient and 0 < total <= done:
                self._progress.remove_task(task)
                task = None

        return report

    def say(self, line: str) -> None:
        """Writes a line that stays, above what is live."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


@contextlib.contextmanager
def reporting(progress: bool | Report, description: str) -> "Iterator[Report]":
    """Yields what takes progress: a live display if `progress` is True, itself if it is a function, else nothing."""
    if progress is True:
        with Display() as display:
            yield display.task(description)
    else:
        yield progress if callable(progress) else silent


def silent(done: int, total: int, detail: str) -> None:
    """Takes progress and shows nothing."""
