"""The kill harness: python -m tests.torment --kills 500 --budget 1800; a later call goes on where this one ended."""

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.journal import Journal, commit


def _main() -> int:
    from tests.torment.killing import Tormentor
    from tests.torment.works import WORKS, prepare

    parser = argparse.ArgumentParser(prog="python -m tests.torment", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="of all calls together")
    parser.add_argument("--budget", type=float, default=1800, help="seconds of this call")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal", type=Path, default=Path(".fuzz"), help="folder; a later call goes on")
    parser.add_argument("--round", type=int, help="run this one alone")
    parser.add_argument("--works", nargs="*", default=[work.name for work in WORKS])
    given = parser.parse_args()
    works = tuple(work for work in WORKS if work.name in given.works)
    prepare()
    journal = Journal(given.journal / f"torment-{given.seed}.jsonl")
    folder = Path(tempfile.mkdtemp(prefix="torment-", dir=given.journal))  # where rounds with findings stay
    tormentor = Tormentor(folder.resolve())
    if given.round is not None:
        print(tormentor(given.seed, given.round, works))
        return 0
    lines = {entry["round"]: entry for entry in journal.lines()}
    # A round with findings is done again after a change; its first line stays.
    done = {number: each for number, each in lines.items() if not each["findings"] or each["commit"] == commit()}
    until = time.monotonic() + given.budget
    for number in itertools.count():
        if time.monotonic() > until or sum(len(entry["kills"]) for entry in done.values()) >= given.kills:
            break
        if number in done:
            continue
        found = tormentor(given.seed, number, works)
        done[number] = {"round": number, "work": found.work, "kills": found.kills, "findings": found.findings}
        done[number] |= {"fresh": found.fresh, "commit": commit()}
        journal.add(done[number])
        if found.findings:
            print(f"round {number}: {found}", flush=True)
    return _summarise(list(done.values()))


def _summarise(entries: list[dict]) -> int:
    kills = Counter((entry["work"], victim, kind) for entry in entries for victim, kind, _ in entry["kills"])
    print(f"{len(entries)} rounds, {kills.total()} kills")
    for (work, victim, kind), count in sorted(kills.items()):
        print(f"  {work:10} {victim:7} {kind:8} {count:5}")
    print("commits:", dict(Counter(entry["commit"] for entry in entries)))
    findings = Counter(finding for entry in entries for finding in entry["findings"])
    print(f"{findings.total()} findings")
    for finding, count in findings.most_common(40):
        print(f"- {count} × {finding[:300]}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(_main())
