"""Cases by number: case k of a seed is the same whenever it is asked for, and however many were run before."""

import functools
import random
from collections.abc import Callable

import hypothesis
from hypothesis import HealthCheck, settings

from tests.fuzz.case import Case
from tests.fuzz.cases import cases
from tests.fuzz.regressions import REGRESSIONS

REGRESSED = -1
_BYTES = 1 << 14  # from which a case is drawn; one that needs more is drawn again


@functools.cache
def _draw() -> tuple[Callable[[bytes], bytes | None], list[Case]]:
    """Returns a function that draws a case from bytes, and the list to which it adds the case."""
    found: list[Case] = []

    @settings(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @hypothesis.given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    return collect.hypothesis.fuzz_one_input, found  # type: ignore[attr-defined]


def case_of(seed: int, number: int) -> Case:
    """Returns one case; of the seed REGRESSED, those that were found once."""
    if seed == REGRESSED:
        return REGRESSIONS[number]
    draw, found = _draw()
    source = random.Random(f"{seed}, {number}")
    found.clear()
    while not found:
        draw(source.randbytes(_BYTES))
    return found[0]
