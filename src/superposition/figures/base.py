"""What a figure is: cells to train, a table measured on them, checks on the table, a drawing of the table."""

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from superposition import training
from superposition._checks import FloatArray
from superposition._names import Verdict as Verdict
from superposition.figures.presets import Preset
from superposition.figures.style import typeset
from superposition.sweeps import Cell, Store

if TYPE_CHECKING:
    import matplotlib.figure

Of = TypeVar("Of", bound=Cell)
# A claim on n → ∞ is not tested by models that are all smaller.
LIMIT_FROM = 1024
# Columns of a stored cell's row that say what ran where.
PROVENANCE = ("superposition", "commit", "seed", "threads", "processor", "device", "seconds")


@dataclass(frozen=True)
class Check:
    """A claim held against a figure's table.

    Attributes:
        claim: The claim, as a sentence; its numbers, and those of what was measured, are typeset.
        source: Who makes it: the paper, or this project.
        measured: What was measured, as a sentence with numbers.
        verdict: Whether the measurement bears the claim out, or why it cannot tell.
    """

    claim: str
    source: Literal["paper", "superposition"]
    measured: str
    verdict: Verdict

    def __post_init__(self) -> None:
        for name in ("claim", "measured"):
            object.__setattr__(self, name, typeset(getattr(self, name)))


def judged(borne_out: bool | np.bool_, *, tested: bool | np.bool_ = True, trained: bool | np.bool_ = True) -> Verdict:
    """Returns the verdict on a claim.

    Args:
        borne_out: Whether the measurement is as the claim says.
        tested: Whether the sizes are those of the claim; if not, they speak neither for it nor against it.
        trained: Whether a measurement against the claim would stay one if the models were trained for longer.
    """
    if not tested:
        return "not tested at this size"
    if borne_out:
        return "holds"
    return "does not hold" if trained else "not trained long enough"


def cut_short(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Returns which runs of the default protocol took fewer steps than it has of its own, or did not end as it does."""
    own = np.where(np.equal(table.column("protocol").to_pylist(), "default"), training.TrainingConfig().n_steps, 0)
    ended = np.isin(np.array(table.column("stopped").to_pylist(), dtype=str), ("completed", "plateau"))
    return np.asarray((column(table, "steps") < own) | ~ended)


class Figure(abc.ABC):
    """One figure. Subclasses say what to train, what to measure, what to claim, how to draw.

    Attributes:
        name: The paper's number, or a letter and a number for a figure beyond it.
        title: A short title.
        caption: What is shown, in sentences.
    """

    name: str
    title: str
    caption: str

    def cells(self, preset: Preset) -> Sequence[Cell]:  # noqa: ARG002
        """Returns the cells that it needs measured: none for a figure that measures all by itself."""
        return []

    @abc.abstractmethod
    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns the table; every cell is in the store."""

    @abc.abstractmethod
    def checks(self, table: pa.Table) -> list[Check]:
        """Returns the claims held against the table."""

    @abc.abstractmethod
    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Returns the picture, made from the table alone."""


def provenance(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns of a stored cell's row that say what ran where."""
    return {name: row.get(name) for name in PROVENANCE}


def estimated(
    cells: Iterable[Of], store: Store, estimate: str, columns: Sequence[str], described: Callable[[Of], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Returns a record of each cell: what describes it, an estimate of its row, other columns, what ran where."""
    records = []
    for cell in cells:
        stored = store.get(cell)
        found = stored.estimate(estimate)
        numbers = {estimate: found.value, "standard_error": found.standard_error, "count": found.count}
        others = {name: stored.row[name] for name in columns}
        records.append({**described(cell), **numbers, **others, **provenance(stored.row)})
    return records


def tabulated(records: Iterable[Mapping[str, object]]) -> pa.Table:
    """Returns records of several kinds as one table, with every column of any of them."""
    records = list(records)
    columns = dict.fromkeys(name for record in records for name in record)
    return pa.Table.from_pylist([{**columns, **record} for record in records])


def column(table: pa.Table, name: str, **where: object) -> FloatArray:
    """Returns a numeric column of the rows in which the named columns have the given values."""
    return np.asarray(rows(table, **where).column(name).to_numpy(), dtype=np.float64)


def rows(table: pa.Table, **where: object) -> pa.Table:
    """Returns the rows in which the named columns have the given values."""
    import pyarrow.compute as pc

    for name, value in where.items():
        table = table.filter(pc.equal(table.column(name), value))
    return table


def distinct(table: pa.Table, name: str) -> Sequence[float]:
    """Returns a column's distinct values, increasing."""
    return sorted(set(table.column(name).to_pylist()))
