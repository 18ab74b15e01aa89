"""One process of a run: python -m tests.fuzz.worker SEED LANE LANES CASES, numbers of cases that are done on stdin."""

import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.execution import Runner
from tests.fuzz.numbered import case_of
from tests.fuzz.nursery import nursery

# Bytes of address space: what a case asks for beyond is refused by the system, and not taken from the machine.
MEMORY = 6 << 30


def _memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def work(seed: int, lane: int, lanes: int, cases: int, done: set[int]) -> None:
    """Runs every `lanes`-th of so many cases, and says of each when it begins and how it ended."""
    out = os.fdopen(os.dup(1), "w")
    _memory()

    def say(entry: dict[str, Any]) -> None:
        out.write(json.dumps(entry) + "\n")
        out.flush()

    with tempfile.TemporaryDirectory(prefix="superposition-fuzz-") as folder:
        nursery()
        runner = Runner(Path(folder) / "case")
        for number in range(lane, cases, lanes):
            if number in done:
                continue
            case = case_of(seed, number)
            about = {"case": number, "command": case.command, "forged": case.is_forged, "apart": case.apart}
            about["source"] = repr(case)
            say(about)
            outcome = runner(case)
            if not outcome.findings:
                about["source"] = ""
            ended = {"exit": outcome.exit_code, "seconds": round(outcome.seconds, 3), "findings": outcome.findings}
            say({**about, **ended})
    say({"end": True})


if __name__ == "__main__":
    work(*map(int, sys.argv[1:5]), {int(number) for number in sys.stdin.readline().split(",") if number.strip()})
