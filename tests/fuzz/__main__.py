"""The fuzzer: python -m tests.fuzz --budget 600 --seed 0, or --case 1234 for one case again."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import campaign, summarise
from tests.fuzz.execution import Runner
from tests.fuzz.journal import Journal
from tests.fuzz.numbered import REGRESSED, case_of
from tests.fuzz.regressions import REGRESSIONS


def _replay(seed: int, number: int) -> int:
    case = case_of(seed, number)
    print(case)
    with tempfile.TemporaryDirectory() as folder:
        outcome = Runner(Path(folder) / "case")(case)
    print(outcome.stdout, outcome.stderr, sep="\n")
    print(f"exit code {outcome.exit_code} after {outcome.seconds:.2f} s; changed {outcome.changes}")
    print("\n".join(outcome.findings) or "no findings")
    return 1 if outcome.findings else 0


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--budget", type=float, default=600, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=1_000_000, help="of all calls together")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--journal", type=Path, default=Path(".fuzz"), help="folder; a later call goes on")
    parser.add_argument("--case", type=int, help="run this one and print all of it")
    parser.add_argument("--regressions", action="store_true", help="run what was once found")
    parser.add_argument("--summary", action="store_true", help="print what the journal says and stop")
    given = parser.parse_args()
    if given.case is not None:
        return _replay(given.seed, given.case)
    if given.summary:
        return summarise(Journal(given.journal / f"seed-{given.seed}.jsonl"))
    if given.regressions:
        with tempfile.TemporaryDirectory() as folder:
            return campaign(Path(folder), REGRESSED, given.budget, cases=len(REGRESSIONS))
    return campaign(given.journal, given.seed, given.budget, jobs=given.jobs, cases=given.cases)


if __name__ == "__main__":
    sys.exit(_main())
