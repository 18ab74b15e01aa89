"""A short run of the fuzzer, what it once found, and whether it would find it."""

import pytest

from tests.fuzz.campaign import campaign
from tests.fuzz.case import Case, Outcome
from tests.fuzz.journal import Journal, commit
from tests.fuzz.numbered import REGRESSED, case_of
from tests.fuzz.options import COMMANDS, options_of
from tests.fuzz.oracle import findings
from tests.fuzz.regressions import REGRESSIONS

CASES = 200


def test_a_short_run_finds_nothing_and_goes_on_where_it_ended(tmp_path, monkeypatch, capsys):
    # In processes of its own: this one checks the type of every argument, which users do not.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert campaign(tmp_path, 0, 600, cases=CASES // 2) == 0, capsys.readouterr().out
    first = Journal(tmp_path / "seed-0.jsonl").lines()
    assert [entry["case"] for entry in first] == list(range(CASES // 2))
    assert campaign(tmp_path, 0, 600, cases=CASES) == 0, capsys.readouterr().out
    both = Journal(tmp_path / "seed-0.jsonl").lines()
    assert both[: len(first)] == first
    assert [entry["case"] for entry in both] == list(range(CASES))
    assert {entry["exit"] for entry in both} >= {0, 2}


def test_findings_stay_in_the_journal_and_their_cases_are_run_again_after_a_change(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    journal = Journal(tmp_path / "seed-0.jsonl")
    before = {"case": 0, "command": "x", "forged": False, "apart": False, "source": "", "exit": 1, "seconds": 0.0}
    journal.add({**before, "findings": ["escaped: KeyError"], "commit": "another"})
    assert campaign(tmp_path, 0, 600, cases=1) == 0, capsys.readouterr().out
    assert [entry["findings"] for entry in journal.lines()] == [["escaped: KeyError"], []]
    assert "1 cases with findings were mended" in capsys.readouterr().out
    # But not on the same commit: it would find the same.
    journal.add({**before, "findings": ["escaped: KeyError"], "commit": commit()})
    assert campaign(tmp_path, 0, 600, cases=1) == 1
    assert len(journal.lines()) == 3


def test_what_was_found_once_is_not_found_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert campaign(tmp_path, REGRESSED, 600, cases=len(REGRESSIONS)) == 0, capsys.readouterr().out


def test_a_case_is_decided_by_its_number():
    assert [case_of(1, number) for number in (7, 3, 7)] == [case_of(1, 7), case_of(1, 3), case_of(1, 7)]
    assert case_of(1, 7) != case_of(2, 7)
    case = case_of(1, 7)
    assert eval(repr(case)) == case


def test_every_option_of_every_command_is_drawn():
    drawn: dict[str, set[str]] = {}
    configs = b""
    for number in range(1500):
        case = case_of(3, number)
        flags = {token.partition("=")[0].replace("--no-", "--", 1) for token in case.arguments}
        drawn.setdefault(case.command, set()).update(flags)
        configs += b"".join(step[2] for step in case.steps if step[:2] == ("write", "config.toml"))
    for command in COMMANDS:
        flags = {option.flag for option in options_of(command) if not option.positional and option.name != "force"}
        assert flags <= drawn[command], command
    assert b"ratio" in configs


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (Outcome(exit_code=None), "hang"),
        (Outcome(exit_code=3, stderr="superposition: x\n"), "exit code 3"),
        (Outcome(exit_code=-11), "exit code -11"),
        (Outcome(exit_code=1, stderr="Traceback (most recent call last):\nKeyError: 1\n"), "traceback: KeyError: 1"),
        (Outcome(exit_code=1, stderr="superposition: unexpected KeyError: 1\n"), "unexpected"),
        (Outcome(exit_code=2), "exit code 2 with 0 messages"),
        (Outcome(exit_code=2, stderr="superposition: a\nsuperposition: b\n"), "exit code 2 with 2 messages"),
        (Outcome(exit_code=2, stderr="superposition: \x1b[2J\n"), "a control character"),
        (Outcome(exit_code=1), "exit code 1 without a message"),
        (Outcome(exit_code=0, stderr="superposition: x\n"), "exit code 0 with a message"),
        (Outcome(exit_code=0, stderr="/x.py:1: RuntimeWarning: y\n"), "on standard error"),
        (Outcome(exit_code=0, warnings=["RuntimeWarning: y"]), "warning"),
        (Outcome(exit_code=0, error="KeyError: 1"), "escaped"),
        (Outcome(exit_code=2, stderr="superposition: x\n", changes=["here/runs"]), "refused, but changed here/runs"),
        (Outcome(exit_code=0, changes=["victim/precious"]), "changed victim/precious"),
    ],
)
def test_the_oracle_sees_what_is_wrong(tmp_path, outcome, problem):
    found = findings(Case(("query", "SELECT 1")), outcome, tmp_path / "here")
    assert [each for each in found if each.startswith(problem)], found


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(exit_code=0, stdout="table\n", changes=["here/runs/tables/x.parquet"]),
        Outcome(exit_code=2, stderr="superposition: no\n"),
        Outcome(exit_code=1, stderr="cells ━━━━ 1/2 0:00:01\nsuperposition: a cell is missing\ntracebacks are in x\n"),
    ],
)
def test_the_oracle_sees_nothing_wrong_where_nothing_is(tmp_path, outcome):
    assert findings(Case(("query", "SELECT 1")), outcome, tmp_path / "here") == []
