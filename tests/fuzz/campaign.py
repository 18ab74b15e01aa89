"""A long run: workers that are started again when a case kills them, a budget of time, a journal, a summary."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fuzz.execution import SECONDS
from tests.fuzz.journal import Journal, commit
from tests.fuzz.oracle import signature

# Seconds to wait for an answer of a worker beyond what a case may take: the worker itself should say so.
_PATIENCE = 15
_START = 300  # until the first case


class Lane:
    """One worker at a time, and the cases that it has to do.

    Args:
        options: Seed of the cases, which lane this is of how many, and the number of cases of all.
        journal: Where it writes what it did. Cases with findings of another commit than this are run again.
        deadline: When it stops, on the monotonic clock.
        temporary: Folder for what workers leave.
    """

    def __init__(self, options: tuple[int, int, int, int], journal: Journal, deadline: float, temporary: str) -> None:
        self._options = list(map(str, options))
        self._journal = journal
        self._deadline = deadline
        self._temporary = temporary
        self._commit = commit()

    def run(self) -> None:
        """Runs cases until all are done or the time is over, whatever happens to the workers."""
        ended = False
        while not ended and time.monotonic() < self._deadline:
            last = _last(self._journal)
            done = ",".join(
                str(n) for n, each in last.items() if not each["findings"] or each["commit"] == self._commit
            )
            command = [sys.executable, "-m", "tests.fuzz.worker", *self._options]
            worker = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env={**os.environ, "TMPDIR": self._temporary},
            )
            assert worker.stdin
            worker.stdin.write(done + "\n")
            worker.stdin.close()
            try:
                ended = self._listen(worker)
            finally:
                _kill(worker)

    def _listen(self, worker: "subprocess.Popen[str]") -> bool:
        """Writes down what a worker says, and how it ended if a case took it along; returns whether all is done."""
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert worker.stdout
        reader = threading.Thread(target=_read, args=(worker.stdout, lines), daemon=True)
        reader.start()
        current: dict[str, Any] = {}
        while time.monotonic() < self._deadline:
            try:
                line = lines.get(timeout=SECONDS + _PATIENCE if current else _START)
            except queue.Empty:
                line = ""
            if not line:
                if not current:
                    raise RuntimeError("a worker ended without a case: see above")
                what = "hang: the process had to be killed" if worker.poll() is None else "crash: the process died"
                self._write({**current, "exit": None, "seconds": SECONDS, "findings": [what]})
                return False
            entry = json.loads(line)
            if "end" in entry:
                return True
            if "findings" in entry:
                self._write(entry)
                current = {}
            else:
                current = entry
        return True

    def _stands(self, entry: dict[str, Any]) -> bool:
        return not entry["findings"] or entry["commit"] == self._commit

    def _write(self, entry: dict[str, Any]) -> None:
        self._journal.add({**entry, "commit": self._commit})


def _last(journal: Journal) -> dict[int, dict[str, Any]]:
    """Returns the last line of each case: one that had findings may have been run again since."""
    return {entry["case"]: entry for entry in journal.lines()}


def _read(stream: Any, lines: "queue.SimpleQueue[str]") -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def _kill(worker: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def campaign(folder: Path, seed: int, budget: float, *, jobs: int = 1, cases: int = 1_000_000) -> int:
    """Goes on with the cases of a seed for `budget` seconds and prints a summary; returns 1 if there are findings."""
    journal = Journal(folder / f"seed-{seed}.jsonl")
    deadline = time.monotonic() + budget
    # Workers are killed, and cannot tidy up themselves.
    with tempfile.TemporaryDirectory(prefix="superposition-fuzz-", ignore_cleanup_errors=True) as temporary:
        options = [(seed, number, jobs, cases) for number in range(jobs)]
        lanes = [threading.Thread(target=Lane(each, journal, deadline, temporary).run) for each in options]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    return summarise(journal)


def summarise(journal: Journal) -> int:
    """Prints what a journal says; returns 1 if there are findings."""
    entries = list(_last(journal).values())
    mended = {entry["case"] for entry in journal.lines() if entry["findings"]}
    mended -= {entry["case"] for entry in entries if entry["findings"]}
    print(
        f"{len(entries)} cases, {sum(entry['forged'] for entry in entries)} with forged files, "
        f"{sum(entry['apart'] for entry in entries)} in a process of their own"
    )
    commands = Counter(entry["command"] for entry in entries)
    codes = Counter((entry["command"], entry["exit"]) for entry in entries)
    for command, count in commands.most_common(30):
        ends = {str(code): n for (name, code), n in sorted(codes.items(), key=str) if name == command}
        print(f"  {command[:24]!r:28} {count:6}   exit codes {ends}")
    print("exit codes", dict(sorted(Counter(str(entry["exit"]) for entry in entries).items())))
    slowest = sorted(entries, key=lambda entry: -entry["seconds"])[:8]
    print("slowest:", ", ".join(f"case {e['case']} {e['seconds']:.1f} s" for e in slowest))
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        for finding in entry["findings"]:
            groups.setdefault(entry["command"] + signature_of(entry, finding), []).append({**entry, "finding": finding})
    print("commits:", dict(Counter(entry["commit"] for entry in entries)))
    with_findings = sum(bool(entry["findings"]) for entry in entries)
    print(f"{len(groups)} kinds of findings in {with_findings} cases; {len(mended)} cases with findings were mended")
    for group in sorted(groups.values(), key=len, reverse=True):
        first = min(group, key=lambda entry: len(entry["source"]))
        print(f"- {len(group)} × {first['command'][:24]}: {first['finding'][:400]}")
        print(f"    case {first['case']}: {first['source'][:600]}")
    return 1 if groups else 0


def signature_of(entry: dict[str, Any], finding: str) -> str:
    """Returns by what findings of a journal are grouped."""
    from tests.fuzz.case import Case

    return signature(Case((entry["command"],)), finding)
