"""The ledger: every claim of every figure is in it, and docs/claims.md is not stale."""

import json
import re
from pathlib import Path

import pytest

from superposition.claims import Entry, Evidence, Finding, Statement, ledger, page, statements
from superposition.claims.ledger import _findings, _package, _Summary
from superposition.cli import main
from superposition.figures import FIGURES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def entries():
    return {entry.statement.id: entry for entry in ledger()}


def test_the_page_is_as_the_program_writes_it(entries):
    """`superposition claims --out docs/claims.md` makes it so."""
    assert (ROOT / "docs" / "claims.md").read_text(encoding="utf-8") == page(tuple(entries.values()))


def test_the_claims_that_it_names_are_there():
    claims = {table.name: [check.claim for check in table.checks] for table in _package()}
    for evidence in (evidence for each in statements() for evidence in each.figures):
        assert any(evidence.claim in claim for claim in claims[evidence.figure]), evidence


def test_it_says_why_a_statement_does_not_hold_or_was_not_tested(entries):
    for entry in entries.values():
        assert entry.statement.testable or not entry.findings, entry.statement
        if entry.verdict in ("does not hold", "not tested", "nothing testable"):
            assert entry.statement.why, entry.statement


def test_every_claim_of_every_figure_is_in_the_ledger():
    cited = [evidence for statement in statements() for evidence in statement.figures]
    assert {table.name for table in _package()} == {figure.name for figure in FIGURES}
    for table in _package():
        for check in table.checks:
            assert any(each.figure == table.name and each.claim in check.claim for each in cited), check.claim


def test_verdicts_of_a_folder_are_added(tmp_path, entries):
    checks = [
        {"claim": "The diagonal is 1 (eq. 35).", "source": "paper", "measured": "2", "verdict": "does not hold"},
        {"claim": "R is proportional to a projector: …", "source": "paper", "measured": "0", "verdict": "holds"},
    ]
    summary = {"name": "1", "title": "", "caption": "", "preset": "laptop", "checks": checks, "version": "0"}
    (tmp_path / "figure-1.json").write_text(json.dumps(summary), encoding="utf-8")
    (tmp_path / "figure-1-copy.json").write_text("[]", encoding="utf-8")
    found = {entry.statement.says: entry for entry in ledger(tmp_path)}
    diagonal = found["The diagonal of R is 1."]
    assert Finding("your laptop", "does not hold", "2") in diagonal.findings
    assert diagonal.verdict == "does not hold"
    # One claim, for a statement and against another.
    assert Finding("your laptop", "holds", "0") in found["R is proportional to a projector."].findings
    assert Finding("your laptop", "does not hold", "0") in found["R² = R: R is a projector."].findings
    assert entries[diagonal.statement.id].verdict == "holds"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "`name` is missing"),
        (
            '{"name": "1", "preset": "quick", "checks": [{"claim": "", "measured": "", "holds": true}]}',
            "verdict` is mi",
        ),
        ("not JSON", "restore it or make the figure anew"),
    ],
)
def test_what_is_no_summary_is_refused(tmp_path, text, message):
    (tmp_path / "figure-1.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        ledger(tmp_path)


def test_a_folder_without_figures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"figures must be in .*, but there are none"):
        ledger(tmp_path)


STATEMENT = Statement(id="PR1", place="", says="", figures=(Evidence(figure="1", claim="a"),))


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], "not tested"),
        (["holds", "not tested at this size"], "holds"),
        (["holds", "not trained long enough"], "not trained long enough"),
        (["not trained long enough", "does not hold", "holds"], "does not hold"),
        (["not tested at this size"], "not tested at this size"),
    ],
)
def test_one_counterexample_is_enough(verdicts, whole):
    assert Entry(STATEMENT, tuple(Finding("x", verdict, "") for verdict in verdicts)).verdict == whole
    tables = [
        _Summary(name="1", preset="x", checks=({"claim": "a b", "measured": "", "verdict": verdict},))
        for verdict in verdicts
    ]
    found = list(_findings(STATEMENT, tables))
    assert [finding.verdict for finding in found] == ([whole] if verdicts else [])


def test_a_contrary_that_cannot_be_told_is_no_verdict():
    against = STATEMENT.model_copy(update={"figures": (Evidence(figure="1", claim="a", against=True),)})
    table = _Summary(
        name="1", preset="x", checks=({"claim": "a", "measured": "", "verdict": "not tested at this size"},)
    )
    assert [finding.verdict for finding in _findings(against, [table])] == ["not tested at this size"]


def test_nothing_testable_is_never_shown():
    remark = STATEMENT.model_copy(update={"testable": False, "figures": ()})
    assert Entry(remark, ()).verdict == "nothing testable"


def test_the_command_prints_every_statement_and_writes_the_page(capsys, tmp_path, entries):
    assert main(["claims", "--out", str(tmp_path / "claims.md")]) == 0
    assert (tmp_path / "claims.md").read_text(encoding="utf-8") == page(tuple(entries.values()))
    assert main(["claims"]) == 0
    printed = capsys.readouterr().out
    for name in entries:
        assert f" {name} " in printed
    assert "does not hold" in printed


def test_the_command_refuses_a_folder_without_figures(capsys, tmp_path):
    assert main(["claims", "--results", str(tmp_path)]) == 2
    assert "run `superposition reproduce` first" in capsys.readouterr().err
