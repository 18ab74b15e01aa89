"""Sweeps, and Slurm jobs for them, described in TOML."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pydantic

from superposition._kinds import Kinds
from superposition._toml import Place, check_names, nearest, read_toml, validated
from superposition.sweeps.axes import MOST_CELLS, axis
from superposition.sweeps.cell import Cell
from superposition.sweeps.compressed import LearnedCell, RefinedCell
from superposition.sweeps.constructed import PrecisionCell, SchemeCell
from superposition.sweeps.decoding import DecoderCell, RecoveryCell
from superposition.sweeps.executors import SlurmJobs
from superposition.sweeps.frames import FrameCell
from superposition.sweeps.growth import GrowthCell
from superposition.sweeps.guarantees import GuaranteeCell
from superposition.sweeps.measured_rug import RugCell
from superposition.sweeps.sweep import MOST_THREADS, Sweep
from superposition.sweeps.trained import TrainedCell

_KINDS: Kinds[type[Cell]] = Kinds(
    "cell",
    Cell,
    *(TrainedCell, RugCell, DecoderCell, RecoveryCell, LearnedCell, RefinedCell, SchemeCell, PrecisionCell),
    *(FrameCell, GuaranteeCell, GrowthCell),
    name="measure",
)

# Of all grids of a file: a plan of more takes minutes.
_MOST_IN_ALL = 10 * MOST_CELLS


class _File(pydantic.BaseModel, extra="forbid", strict=True):
    measure: str
    cells: Any
    threads: Annotated[int, pydantic.Field(ge=1, le=MOST_THREADS)] = 1
    device: str = "cpu"


def register_cell(kind: type[Cell]) -> type[Cell]:
    """Makes a cell known to sweep files, which name what it measures; a decorator.

    Raises:
        ValueError: It is no cell, measures nothing by name, or another cell measures that.
    """
    return _KINDS.register(kind)


def read_sweep(path: str | Path) -> Sweep:
    """Returns the sweep that a TOML file describes.

    Raises:
        ValueError: The file cannot be read, has an unknown key or a value that is not valid, or describes a cell that
            cannot exist; the message names the file, the key and the value.
    """
    place = Place(Path(path))
    given = read_toml(place.path, "description of a sweep")
    check_names(given, list(_File.model_fields), place)
    file = validated(_File, given, place)
    measures = dict(_KINDS)
    if file.measure not in measures:
        near = nearest(file.measure, list(measures))
        raise place.at("measure").refuse(f"must be one of {', '.join(measures)}, got {file.measure!r}{near}")
    grids = file.cells if isinstance(file.cells, list) else [file.cells]
    if not grids or not all(isinstance(grid, dict) for grid in grids):
        raise place.at("cells").refuse(f"must be a table of axes, [cells], or several, [[cells]], got {file.cells!r}")
    found = (cell for grid in grids for cell in _cells(measures[file.measure], grid, place.at("cells")))
    cells = tuple(itertools.islice(found, _MOST_IN_ALL + 1))
    if len(cells) > _MOST_IN_ALL:
        raise place.at("cells").refuse(f"must have at most {_MOST_IN_ALL} cells in all: make several sweeps")
    return Sweep(cells, threads=file.threads, device=file.device)


def read_slurm(path: str | Path) -> SlurmJobs:
    """Returns the Slurm jobs that a TOML file describes.

    Raises:
        ValueError: The file cannot be read, or has an unknown key or a value that is not valid.
    """
    place = Place(Path(path))
    given = read_toml(place.path, "description of Slurm jobs")
    hints, fields = get_type_hints(SlurmJobs), dataclasses.fields(SlurmJobs)
    check_names(given, [field.name for field in fields], place)
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in given:
            raise place.at(field.name).refuse("is missing")
    values = {name: validated(hints[name], value, place.at(name)) for name, value in given.items()}
    try:
        return SlurmJobs(**values)
    except ValueError as error:
        raise place.refuse(str(error)) from None


def _cells(kind: type[Cell], grid: Mapping[str, Any], place: Place) -> Iterator[Cell]:
    """Yields the product of all axes of a grid; the last axis varies fastest."""
    hints, fields = get_type_hints(kind), dataclasses.fields(kind)  # type: ignore[arg-type]
    types = {field.name: hints[field.name] for field in fields}
    has_width = {"n_features", "n_hidden"} <= set(types)
    check_names(grid, [*types, "ratio"] if has_width else list(types), place)
    if has_width and ("n_hidden" in grid) == ("ratio" in grid):
        raise place.refuse("must have either n_hidden or ratio, n_hidden / n_features")
    for field in fields:
        is_given = field.name in grid or (has_width and field.name == "n_hidden")
        if field.default is dataclasses.MISSING and not is_given:
            raise place.at(field.name).refuse("is missing")
    axes = {name: axis(value, types.get(name, float), place.at(name)) for name, value in grid.items()}
    if (n_cells := math.prod(map(len, axes.values()))) > MOST_CELLS:
        raise place.refuse(f"must have at most {MOST_CELLS} cells, got {n_cells}: take fewer values of some axes")
    for point in itertools.product(*axes.values()):
        values = dict(zip(axes, point, strict=True))
        if "ratio" in values:
            values["n_hidden"] = _width(values.pop("ratio"), values["n_features"], place.at("ratio"))
        try:
            yield kind(**values)
        except ValueError as error:
            raise place.refuse(f"must describe cells that can exist, got {values}: {error}") from None


def _width(ratio: float, n_features: int, place: Place) -> int:
    """Returns n_hidden for a ratio."""
    if not 0 < ratio <= 1:
        raise place.refuse(f"must be in (0, 1], got {ratio:g}")
    if (n_hidden := round(ratio * n_features)) < 1:
        raise place.refuse(f"must leave at least one hidden dimension, got {ratio:g} of {n_features} features")
    return n_hidden
