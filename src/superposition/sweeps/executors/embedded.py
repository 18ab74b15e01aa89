"""Units of work in this process, one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from superposition._devices import device_of
from superposition._progress import Display
from superposition._threads import limited_threads
from superposition.sweeps.executors.base import Executor
from superposition.sweeps.unit import Outcome, Unit


@final
@dataclass(frozen=True)
class Embedded(Executor):
    """This process. An interrupted unit leaves a checkpoint, if its cells keep any."""

    def run(self, units: Sequence[Unit], display: Display) -> Iterator[Outcome]:
        """Yields the outcome of each unit, in order; raises ValueError if their device is not there."""
        if not units:
            return
        device_of(units[0].device)
        with limited_threads(units[0].threads):
            for unit in units:
                yield unit.run(display.task(unit.title, transient=True))
