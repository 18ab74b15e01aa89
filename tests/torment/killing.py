"""One round: a work is begun, killed at random moments, begun again, until it is done; then it is looked at."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torment.cluster import Cluster
from tests.torment.processes import Running, forked, started
from tests.torment.works import WORKS, Work, content

_MOST_KILLS = 8  # of one round, after which it may end in peace
_SECONDS = 240.0  # of one call of the program, more than any takes
_NOT_OURS = "torchinductor_"  # which torch makes when it loads
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
            with _surroundings(work, place) as cluster:
                self._kill_until_done(work, place, moments, (seconds, cluster), found)
            litter = [path.name for path in (place / "temporary").iterdir() if not path.name.startswith(_NOT_OURS)]
            found.findings += [f"litter: {name} in TMPDIR" for name in litter]
            found.findings += _compared(expected, self._content(place / "out"), clean=not work.finished(place / "out"))
        finally:
            if not found.findings:
                shutil.rmtree(place, ignore_errors=True)
        return found

    def _uninterrupted(self, work: Work) -> tuple[dict[str, Any], float]:
        """Returns what a work leaves, or the one that it is like, and how long it takes itself."""
        if work.name not in self._straight:
            place = self._folder / work.name
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            with _surroundings(work, place):
                began = time.monotonic()
                running = _begin(work.arguments(place / "out"), place / "log", fresh=False)
                code = running.wait(began + _SECONDS)
                seconds = time.monotonic() - began
                assert code == 0 or work.name == "train", (place / "log").read_text()
                self._straight[work.name] = (self._content(place / "out"), seconds)
        seconds = self._straight[work.name][1]
        if work.like:
            return self._uninterrupted(next(each for each in WORKS if each.name == work.like))[0], seconds
        return self._straight[work.name]

    def _kill_until_done(
        self, work: Work, place: Path, moments: random.Random, given: tuple[float, Cluster | None], found: Round
    ) -> None:
        out, log, (seconds, cluster) = place / "out", place / "log", given
        arguments, left = work.arguments(out), seconds
        for _ in range(3 * _MOST_KILLS):
            log.unlink(missing_ok=True)
            running = _begin(arguments, log, fresh=found.fresh)
            peaceful = len(found.kills) >= _MOST_KILLS
            before = _records(out)
            began = time.monotonic()
            victims = Victims(running, cluster, work.victims)
            code = _torment(victims, moments, left, found, peaceful=peaceful)
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


@dataclass(frozen=True)
class Victims:
    """What may be killed of a call: its driver, one of its workers, the nannies of its cluster."""

    driver: Running
    cluster: Cluster | None
    kinds: tuple[str, ...]

    def wait(self, until: float) -> int | None:
        """Waits for the driver, as it does, and sees that its cluster has workers."""
        while (code := self.driver.wait(min(until, time.monotonic() + 1))) is None and time.monotonic() < until:
            if self.cluster is not None:
                self.cluster.restart_nannies()
        return code

    def kill(self, victim: str, kind: signal.Signals, moments: random.Random) -> bool:
        """Sends a signal; returns whether there was somebody."""
        with contextlib.suppress(ProcessLookupError):
            if victim == "driver":  # Ctrl-C reaches all processes of a terminal
                (os.killpg if kind == signal.SIGINT else os.kill)(self.driver.pid, kind)
                return True
            if victim == "nanny" and self.cluster is not None:
                self.cluster.kill_nannies()
                return True
            holder = self.driver if self.cluster is None else self.cluster.workers()
            workers = [each for each in holder.members() if _is_worker(each)]
            if victim == "worker" and workers:
                os.kill(moments.choice(workers).pid, signal.SIGKILL)
                return True
        return False


def _torment(victims: Victims, moments: random.Random, seconds: float, found: Round, *, peaceful: bool) -> int | None:
    """Kills a process, or its workers, at random moments; returns how it ended."""
    driver = victims.driver
    until = time.monotonic() + _SECONDS
    while not peaceful and len(found.kills) < _MOST_KILLS:
        victim, moment = moments.choice(victims.kinds), seconds * _moment(moments)
        kind = moments.choice(_SIGNALS) if victim == "driver" else signal.SIGKILL
        if found.fresh:
            moment += moments.uniform(0, 3)  # the imports
        if (code := victims.wait(time.monotonic() + moment)) is not None:
            return code
        if victims.kill(victim, kind, moments):
            found.kills.append((victim, kind.name, round(moment, 3)))
            if victim == "driver":
                break
    code = victims.wait(until)
    if code is None:
        found.findings.append(f"hang: {found.kills[-1:]}")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        code = driver.wait(time.monotonic() + 10)
    return code


@contextlib.contextmanager
def _surroundings(work: Work, place: Path) -> Iterator[Cluster | None]:
    """Gives a work a folder of its own for temporary files, and a cluster if it needs one."""
    temporary = place / "temporary"
    temporary.mkdir()
    before, os.environ["TMPDIR"], tempfile.tempdir = os.environ.get("TMPDIR", "/tmp"), str(temporary), None
    try:
        with Cluster(place) if work.name == "remote" else contextlib.nullcontext() as cluster:
            yield cluster
    finally:
        os.environ["TMPDIR"], tempfile.tempdir = before, None


def _is_worker(process: Any) -> bool:
    command = " ".join(_command(process))
    return "spawn_main" in command or "executors/worker.py" in command


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
    if found.fresh and code == -signal.SIGINT and not _had_begun(text):
        return []
    expected = {0, 1}
    if last[0] == "driver":
        expected |= {"SIGKILL": {-9}, "SIGTERM": {-15, 143, 130}, "SIGINT": {130}}[last[1]]
    problems = (
        [] if code in expected or (code == 2 and "already holds" in text) else [f"ended with {code} after {last}"]
    )
    if "Traceback" in text:
        problems.append(f"traceback after {last}: {text.strip().splitlines()[-1][:200]}")
    if "superposition: unexpected" in text:
        problems.append(f"unexpected after {last}: {text[text.index('superposition: unexpected') :][:200]}")
    return problems


def _had_begun(text: str) -> bool:
    """Whether a process that ended by Ctrl-C had come to the program, by what it said; before, Python answers."""
    return bool(text) and (not text.startswith("Traceback") or "in main\n" in text)


def _records(out: Path) -> set[str]:
    """Returns the measured cells of a store."""
    return {str(path.parent) for path in out.glob("**/done/*/*/record.json")}


def _measured_alone(expected: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    """Returns the folders of cells whose batch was killed so often that it was taken apart, with tables.

    The bits of those, and they say so in `together`, are the one exception to what is promised: they are measured one
    by one, or in what is left of the batch if that is interrupted too.
    """
    records = [path for path in set(expected) & set(found) if path.endswith("/record.json") and "/run/" not in path]
    together = {
        path: (each[path].get("provenance", {}).get("together") for each in (expected, found)) for path in records
    }
    alone = [
        path.removesuffix("record.json")
        for path, (before, after) in together.items()
        if None not in (before, after) and after < before
    ]
    return (*alone, "tables/") if alone else ()


def _compared(expected: dict[str, Any], found: dict[str, Any], *, clean: bool) -> list[str]:
    """Returns how a folder differs from that of the uninterrupted run."""
    ignored = set() if clean else {".lock"}  # of a process that was killed when all was done
    missing = [f"lost: {path}" for path in sorted(set(expected) - set(found))]
    litter = [f"litter: {path}" for path in sorted(set(found) - set(expected) - ignored)]
    alone = _measured_alone(expected, found)
    other = [
        f"other bits: {path}"
        for path in sorted(set(expected) & set(found))
        if expected[path] != found[path] and not path.startswith(alone)
    ]
    return [*missing[:2], *litter[:2], *other[:2]]
