"""One round: a work is begun, killed at random moments, begun again, until it is done; then it is looked at."""

import contextlib
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torment.processes import Running, forked, started
from tests.torment.works import WORKS, Work, content

_MOST_KILLS = 8  # of one round, after which it may end in peace
_SECONDS = 240.0  # of one call of the program, more than any takes
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass
class Round:
    """What was done in a round, and what was found wrong."""

    work: str
    fresh: bool
    kills: list[tuple[str, str, float]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


class Tormentor:
    """Runs rounds in a folder.

    Args:
        folder: Holds the uninterrupted runs, with which the others are compared.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._straight: dict[str, tuple[dict[str, Any], float]] = {}

    def __call__(self, seed: int, number: int, works: tuple[Work, ...] = WORKS) -> Round:
        """Runs round `number`, which is decided by (seed, number) but for the speed of the machine."""
        moments = random.Random(f"{seed}, {number}")
        work = moments.choices(works, [each.weight for each in works])[0]
        expected, seconds = self._uninterrupted(work)
        found = Round(work.name, fresh=moments.random() < 0.1 and work.name != "reproduce")
        place = self._folder / f"round-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            self._kill_until_done(work, place, moments, seconds, found)
            found.findings += _compared(expected, self._content(place / "out"), clean=not work.finished(place / "out"))
        finally:
            if not found.findings:
                shutil.rmtree(place, ignore_errors=True)
        return found

    def _uninterrupted(self, work: Work) -> tuple[dict[str, Any], float]:
        """Returns what a work leaves, and how long it takes."""
        if work.name not in self._straight:
            place = self._folder / work.name
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            began = time.monotonic()
            running = _begin(work.arguments(place / "out"), place / "log", fresh=False)
            code = running.wait(began + _SECONDS)
            assert code == 0 or work.name == "train", (place / "log").read_text()
            self._straight[work.name] = (self._content(place / "out"), time.monotonic() - began)
        return self._straight[work.name]

    def _kill_until_done(self, work: Work, place: Path, moments: random.Random, seconds: float, found: Round) -> None:
        out, log = place / "out", place / "log"
        arguments, left = work.arguments(out), seconds
        for _ in range(3 * _MOST_KILLS):
            log.unlink(missing_ok=True)
            running = _begin(arguments, log, fresh=found.fresh)
            peaceful = len(found.kills) >= _MOST_KILLS
            before = _records(out)
            began = time.monotonic()
            code = _torment(running, work, moments, left, found, peaceful=peaceful)
            left = max(0.2 * seconds, left - 0.7 * (time.monotonic() - began))
            found.findings += [f"stray process: {name}" for name in running.strays()]
            found.findings += _of_end(code, found, log)
            if lost := before - _records(out):
                found.findings.append(f"lost {sorted(lost)[0]}")
            if code == 0 or work.finished(out):
                return
            arguments = work.again(out)
        found.findings.append(f"not done after {3 * _MOST_KILLS} calls: {log.read_text()[-300:]}")

    def _content(self, out: Path) -> dict[str, Any]:
        """Returns what is in a folder, read in a fork: Arrow's threads must not be in this process when it forks."""
        import pickle

        result = self._folder / "content"
        code = forked(lambda: result.write_bytes(pickle.dumps(content(out))) * 0, self._folder / "reading").wait(
            time.monotonic() + _SECONDS
        )
        assert code == 0, (self._folder / "reading").read_text()
        return pickle.loads(result.read_bytes())


def _begin(arguments: list[str], log: Path, *, fresh: bool) -> Running:
    if fresh:
        return started(["-m", "superposition", *arguments], log)

    def run() -> int:
        from superposition.cli import main

        return main(arguments)

    return forked(run, log)


def _torment(
    running: Running, work: Work, moments: random.Random, seconds: float, found: Round, *, peaceful: bool
) -> int | None:
    """Kills a process, or its workers, at random moments; returns how it ended."""
    until = time.monotonic() + _SECONDS
    while not peaceful and len(found.kills) < _MOST_KILLS:
        victim, moment = moments.choice(work.victims), seconds * _moment(moments)
        if found.fresh:
            moment += moments.uniform(0, 3)  # the imports
        if (code := running.wait(time.monotonic() + moment)) is not None:
            return code
        if victim == "worker":
            workers = [each for each in running.members() if "spawn_main" in " ".join(_command(each))]
            if workers:
                process = moments.choice(workers)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                    found.kills.append(("worker", "SIGKILL", round(moment, 3)))
            continue
        kind = moments.choice(_SIGNALS)
        with contextlib.suppress(ProcessLookupError):
            # Ctrl-C reaches all processes of a terminal.
            (os.killpg if kind == signal.SIGINT else os.kill)(running.pid, kind)
        found.kills.append((victim, kind.name, round(moment, 3)))
        break
    code = running.wait(until)
    if code is None:
        found.findings.append(f"hang: {found.kills[-1:]}")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        code = running.wait(time.monotonic() + 10)
    return code


def _command(process: Any) -> list[str]:
    import psutil

    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _moment(moments: random.Random) -> float:
    """Returns a moment as a share of the uninterrupted time: any, early, or about the end."""
    match moments.randrange(3):
        case 0:
            return moments.uniform(0, 1)
        case 1:
            return 0.4 * moments.random() ** 2
        case _:
            return moments.uniform(0.8, 1.05)


def _of_end(code: int | None, found: Round, log: Path) -> list[str]:
    """Returns what is wrong with how a call ended."""
    text = log.read_text(errors="replace") if log.exists() else ""
    last = found.kills[-1] if found.kills else ("", "", 0.0)
    expected = {0, 1}
    if last[0] == "driver":
        expected |= {"SIGKILL": {-9}, "SIGTERM": {-15, 143}, "SIGINT": {130}}[last[1]]
    problems = (
        [] if code in expected or (code == 2 and "already holds" in text) else [f"ended with {code} after {last}"]
    )
    if "Traceback" in text:
        problems.append(f"traceback after {last}: {text.strip().splitlines()[-1][:200]}")
    if "superposition: unexpected" in text:
        problems.append(f"unexpected after {last}: {text[text.index('superposition: unexpected') :][:200]}")
    return problems


def _records(out: Path) -> set[str]:
    """Returns the measured cells of a store."""
    return {str(path.parent) for path in out.glob("**/done/*/*/record.json")}


def _compared(expected: dict[str, Any], found: dict[str, Any], *, clean: bool) -> list[str]:
    """Returns how a folder differs from that of the uninterrupted run."""
    ignored = set() if clean else {".lock"}  # of a process that was killed when all was done
    missing = [f"lost: {path}" for path in sorted(set(expected) - set(found))]
    litter = [f"litter: {path}" for path in sorted(set(found) - set(expected) - ignored)]
    other = [f"other bits: {path}" for path in sorted(set(expected) & set(found)) if expected[path] != found[path]]
    return [*missing[:2], *litter[:2], *other[:2]]
