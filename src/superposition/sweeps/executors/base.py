"""What an executor is."""

import abc
from collections.abc import Iterator, Sequence

from superposition._progress import Display
from superposition.sweeps.unit import Outcome, Unit


class Executor(abc.ABC):
    """Runs units of work somewhere. Rows do not depend on where: see `Unit`."""

    @abc.abstractmethod
    def run(self, units: Sequence[Unit], display: Display) -> Iterator[Outcome]:
        """Yields the outcome of each unit as it ends, in any order; fewer than all if units were lost.

        Raises:
            OSError: The store cannot be written, or there is no way to go on.
        """
