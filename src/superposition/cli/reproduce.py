"""The command that makes the papers' figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, final

import tyro

import superposition as sp
from superposition._text import complain, say
from superposition.cli import costs
from superposition.cli.command import Executed
from superposition.cli.exit_codes import DONE, FAILED, INTERRUPTED
from superposition.cli.tables import new_table, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superposition.sweeps import Cell


@final
@dataclass(frozen=True, kw_only=True)
class Reproduce(Executed):
    """Make the paper's figures: tables, pictures, and one self-contained report.html.

    Exit code 0 means that everything was made; a claim that does not hold, or that these sizes cannot decide, is a
    result, and is reported.
    """

    figures: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(all)")] = None
    """Which figures: 1 to 15 of The Persian Rug, A1 to A6 nonlinear compression, D1 to D5 decoders, T1 the theory, T2
    training by three protocols, T3 where training beats the rug, T4 when it leaves it; all if not given."""
    preset: Literal["quick", "laptop", "reference", "paper"] = "quick"
    """quick: n = 128 and 512, ten minutes on two cores; laptop: the paper's grid at n = 128, coarser at 1024, an hour;
    reference: all sizes up to 8192 and both protocols, three hours; paper: all grids whole, for a cluster. Interrupt at
    any time: the same command goes on."""
    out: Path = Path("results")
    """Folder of the results; what is there already, and whole, is not made again."""
    device: str = "cpu"
    """Torch device of the models, such as cpu or cuda."""
    redraw: bool = False
    """Check and draw the stored tables again, without training or measuring."""

    def run(self) -> int:
        """Makes the figures and the report."""
        by_name = {figure.name: figure for figure in sp.figures.FIGURES}
        names = tuple(by_name) if self.figures is None else self.figures
        if not names:
            raise ValueError("`figures` must have at least one name, got none: leave the option out for all")
        for name in names:
            if name not in by_name:
                raise ValueError(f"`figures` must be among {', '.join(by_name)}, got {name}")
        chosen = [figure for name, figure in by_name.items() if name in names]
        if self.is_here and not self.redraw:
            self._refuse_absurd([cell for figure in chosen for cell in figure.cells(sp.figures.PRESETS[self.preset])])
        try:
            outcomes = sp.figures.reproduce(
                chosen,
                sp.figures.PRESETS[self.preset],
                self.out,
                redraw=self.redraw,
                executor=self.executor(self.device),
                device=self.device,
            )
        except (sp.figures.CellsFailedError, sp.sweeps.ClusterLostError) as error:
            complain(f"superposition: {error}")
            return FAILED
        except KeyboardInterrupt:
            complain(f"superposition: interrupted; the same command goes on from what is in {self.out}")
            return INTERRUPTED
        table = new_table("figure", "claim", "measured", "verdict", title="Claims", right=False)
        for outcome in outcomes:
            for check in outcome.checks:
                claim = f"{check.claim} [{'paper' if check.source == 'paper' else 'this project'}]"
                table.add_row(outcome.figure.name, claim, check.measured, check.verdict)
        show(table)
        say(f"report: {sp.report.write_report(self.out)}")
        return DONE

    def _refuse_absurd(self, cells: "Sequence[Cell]") -> None:
        if cells:
            plan = sp.sweeps.Plan.of(sp.sweeps.Sweep(tuple(dict.fromkeys(cells))), sp.sweeps.Store(self.out / "cells"))
            cost = costs.of_cells([unit.cells for unit in plan.units], self.workers or 1)
            cost.refuse(force=self.force, device=self.device)
