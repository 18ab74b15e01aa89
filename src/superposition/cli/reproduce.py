"""The command that makes the papers' figures."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from superposition.cli.command import INTERRUPTED, Command
from superposition.cli.tables import new_table, show


@final
@dataclass(frozen=True, kw_only=True)
class Reproduce(Command):
    """Make the paper's figures: tables, pictures, and one self-contained report.html.

    Exit code 0 means that everything was made; a claim that does not hold is a result, and is reported.
    """

    figures: tuple[str, ...] = ("1", "2", "3", "4", "T1", "T2")
    """Which figures: 1 to 4 of the paper, T1 the theory, T2 training by both protocols."""
    preset: Literal["quick"] = "quick"
    """quick: n = 128 and 512, some minutes on two cores."""
    out: Path = Path("results")
    """Folder of the results; models that are there already are not trained again."""
    redraw: bool = False
    """Check and draw the stored tables again, without training or measuring."""

    def run(self) -> int:
        """Makes the figures and the report."""
        from superposition.figures import FIGURES, PRESETS, reproduce
        from superposition.report import write_report

        by_name = {figure.name: figure for figure in FIGURES}
        if not self.figures:
            raise ValueError(f"`figures` must have at least one of {', '.join(by_name)}")
        for name in self.figures:
            if name not in by_name:
                raise ValueError(f"`figures` must be among {', '.join(by_name)}, got {name}")
        try:
            chosen = [figure for name, figure in by_name.items() if name in self.figures]
            outcomes = reproduce(chosen, PRESETS[self.preset], self.out, redraw=self.redraw)
        except KeyboardInterrupt:
            print(f"interrupted; the same command goes on from what is in {self.out}", file=sys.stderr)
            return INTERRUPTED
        table = new_table("figure", "claim", "measured", "holds", title="Claims", right=False)
        for outcome in outcomes:
            for check in outcome.checks:
                claim = f"{check.claim} [{'paper' if check.source == 'paper' else 'this project'}]"
                table.add_row(outcome.figure.name, claim, check.measured, "yes" if check.holds else "no")
        show(table)
        print(f"report: {write_report(self.out)}")
        return 0
