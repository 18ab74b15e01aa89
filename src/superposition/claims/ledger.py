"""What each statement comes to: the verdicts of the figures' checks and of the tests that show it."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import pydantic

from superposition import _files, _toml, reference
from superposition._names import Verdict
from superposition.claims.statement import Evidence, Statement, statements
from superposition.figures import FIGURES

Outcome = Literal[Verdict, "not tested", "nothing testable"]
# Of several verdicts the first of these is the whole's: one counterexample is enough, and what was shown elsewhere is
# not taken back by sizes that cannot tell.
_FIRST: tuple[Verdict, ...] = ("does not hold", "not trained long enough", "holds", "not tested at this size")
_CONTRARY: dict[Verdict, Verdict] = {"holds": "does not hold", "does not hold": "holds"}
# Tables of figures that have no reference, measured with the quick preset.
_TABLES = Path(__file__).parent / "tables"
_NAME = re.compile(r"figure-[A-Z]*\d{1,9}")  # others are copies that somebody has made


@dataclass(frozen=True)
class Finding:
    """What one table of a figure, or the tests, say of a statement.

    Attributes:
        source: Name of the preset; "tests"; "your" and a preset for the user's own results.
        verdict: Theirs.
        measured: What was measured, as sentences with numbers; empty for tests.
    """

    source: str
    verdict: Verdict
    measured: str


@dataclass(frozen=True)
class Entry:
    """A statement and what is known of it.

    Attributes:
        statement: The statement.
        findings: What shows it, one a table or once for all tests.
    """

    statement: Statement
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Outcome:
        """What all findings come to."""
        if not self.statement.testable:
            return "nothing testable"
        return _whole([finding.verdict for finding in self.findings]) if self.findings else "not tested"

    @property
    def verdicts(self) -> str:
        """Every verdict with where it comes from."""
        if not self.findings:
            return self.verdict
        by_verdict: dict[str, list[str]] = {}
        for finding in self.findings:
            by_verdict.setdefault(finding.verdict, []).append(finding.source)
        return "; ".join(f"{verdict} ({', '.join(whence)})" for verdict, whence in by_verdict.items())


class _Check(pydantic.BaseModel, frozen=True, strict=True):
    claim: str
    measured: str
    verdict: Verdict


class _Summary(pydantic.BaseModel, frozen=True, strict=True):
    """What `figures.reproduce` writes of a figure, as far as it is needed here."""

    name: str
    preset: str
    checks: tuple[_Check, ...]


def counts(entries: Iterable[Entry]) -> dict[Outcome, int]:
    """Returns how many statements have each verdict.

    Args:
        entries: Of `ledger`.

    >>> counts([Entry(statement, ()) for statement in statements()])["not tested"] > 100
    True
    """
    counted = Counter(entry.verdict for entry in entries)
    return {outcome: counted[outcome] for outcome in get_args(Outcome)}


def ledger(results: str | Path | None = None) -> tuple[Entry, ...]:
    """Returns every statement with its verdicts.

    Args:
        results: Folder of `superposition.figures.reproduce`, whose verdicts are added to those of the tables that come
            with the package.

    Raises:
        ValueError: The folder holds no figure, or a damaged one.

    >>> ledger("nowhere")
    Traceback (most recent call last):
    ValueError: figures must be in nowhere, but there are none: run `superposition reproduce` first
    """
    own = () if results is None else tuple(_of_folder(Path(results)))
    tables = (*_package(), *own)
    return tuple(Entry(statement, tuple(_findings(statement, tables))) for statement in statements())


def _findings(statement: Statement, tables: Sequence[_Summary]) -> Iterable[Finding]:
    for preset in dict.fromkeys(table.preset for table in tables):
        found = [
            (_judged(evidence, check), check.measured)
            for evidence in statement.figures
            for table in tables
            if (table.name, table.preset) == (evidence.figure, preset)
            for check in table.checks
            if evidence.claim in check.claim
        ]
        if found:
            verdicts, measured = zip(*found, strict=True)
            yield Finding(preset, _whole(verdicts), "; ".join(measured))
    if statement.tests or statement.counter_tests:
        yield Finding("tests", "does not hold" if statement.counter_tests else "holds", "")


def _judged(evidence: Evidence, check: _Check) -> Verdict:
    return _CONTRARY.get(check.verdict, check.verdict) if evidence.against else check.verdict


def _whole(verdicts: Sequence[Verdict]) -> Verdict:
    return next(verdict for verdict in _FIRST if verdict in verdicts)


@cache
def _package() -> tuple[_Summary, ...]:
    """Returns the claims of every figure held against the tables that come with the package."""
    found = []
    for figure in FIGURES:
        stem = f"figure-{figure.name}"
        tables = [reference.load(stem)] if stem in reference.names() else []
        if (path := _TABLES / f"{stem}.parquet").exists():
            tables.append(_files.read_table(path, "table of a figure"))
        for table in tables:
            checks = tuple(_Check(claim=c.claim, measured=c.measured, verdict=c.verdict) for c in figure.checks(table))
            found.append(_Summary(name=figure.name, preset=reference.preset_of(table), checks=checks))
    return tuple(found)


def _of_folder(folder: Path) -> Iterable[_Summary]:
    """Returns the claims of the figures of a user's folder."""
    paths = sorted(path for path in folder.glob("figure-*.json") if _NAME.fullmatch(path.stem))
    if not paths:
        raise ValueError(f"figures must be in {folder}, but there are none: run `superposition reproduce` first")
    for path in paths:
        found = _toml.validated(_Summary, _files.read_json(path, "figure"), _toml.Place(path))
        yield found.model_copy(update={"preset": f"your {found.preset}"})
