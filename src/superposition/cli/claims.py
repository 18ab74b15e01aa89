"""The command that prints the ledger: every statement of the papers, what shows it, and the verdict."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import superposition as sp
from superposition._text import say
from superposition.cli.command import Command
from superposition.cli.exit_codes import DONE
from superposition.cli.tables import new_table, show


@final
@dataclass(frozen=True, kw_only=True)
class Claims(Command):
    """List every statement of the papers: the call that computes it, what shows it, and whether it holds.

    Verdicts are those of the figures' checks on the tables that come with the package, and of the tests.
    """

    results: Path | None = None
    """Folder of `superposition reproduce`, whose verdicts are added: "your quick", say."""
    out: Path | None = None
    """Write the ledger here as a page of Markdown, as docs/claims.md is, instead of printing it."""

    def run(self) -> int:
        """Prints or writes the ledger."""
        entries = sp.claims.ledger(self.results)
        if self.out is not None:
            with sp._files.replacing(self.out) as temporary:
                temporary.write_text(sp.claims.page(entries), encoding="utf-8")
            say(f"ledger: {self.out}")
        else:
            table = new_table("", "statement", "where", "call", "shown by", "verdict", title="Claims", right=False)
            for entry in entries:
                statement = entry.statement
                words = (statement.says, statement.place, ", ".join(statement.calls), ", ".join(statement.shown_by))
                table.add_row(statement.id, *words, entry.verdicts)
            show(table)
        summary = new_table("verdict", "statements", title="Ledger")
        for verdict, count in (*sp.claims.counts(entries).items(), ("all", len(entries))):
            summary.add_row(verdict, str(count))
        show(summary)
        return DONE
