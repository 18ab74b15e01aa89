"""The ledger as a page of Markdown."""

from collections.abc import Sequence

from superposition.claims.ledger import Entry, counts
from superposition.claims.statement import sources

_HEAD = """\
# The ledger

Every statement of both papers that may hold or not, and every claim of our own figures: where it stands, the public
call that computes what it speaks of, what shows it, and the verdict. `superposition claims --out docs/claims.md` writes
this page from the checks of the figures, held against the tables that come with the package, and from the tests; a test
fails if it is stale. `superposition claims --results results` adds the verdicts of your own `superposition reproduce`.

A verdict is followed by where it comes from: the preset of the table (*quick* for figures without a larger one), or
*tests*, which hold whatever the size. Of several the whole has the first of: *does not hold*, *not trained long
enough*, *holds*, *not tested at this size*. *Not tested* says that no figure and no test shows it; *nothing testable*,
that it is a remark, or work of others. Calls are without `sp.`, tests without `tests/`. Numbers measured are in
[figures.md](figures.md), proofs and errata in [theory.md](theory.md).
"""
_COLUMNS = ("no.", "statement", "where", "call", "shown by", "verdict", "why")


def page(entries: Sequence[Entry]) -> str:
    """Returns docs/claims.md.

    Args:
        entries: Of `ledger`.
    """
    by_id = {entry.statement.id: entry for entry in entries}
    parts = [_HEAD]
    listed = [(source.title, [by_id[each.id] for each in source.statement]) for source in sources()]
    parts.append(_table(("", *counts(entries), "all"), [_counts(title, found) for title, found in listed]))
    for title, found in listed:
        parts += [f"## {title}\n", _table(_COLUMNS, [_row(entry) for entry in found])]
    return "\n".join(parts)


def _counts(title: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    return (title, *map(str, counts(entries).values()), str(len(entries)))


def _row(entry: Entry) -> tuple[str, ...]:
    statement = entry.statement
    return (
        statement.id,
        statement.says,
        statement.place,
        ", ".join(f"`{call}`" for call in statement.calls),
        ", ".join(f"`{name}`" if "::" in name else name for name in statement.shown_by),
        entry.verdicts,
        statement.why,
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
