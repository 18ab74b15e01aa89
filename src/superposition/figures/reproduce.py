"""Makes figures: trains what is missing, measures, checks, draws, and writes what is not there already."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from superposition import _files, _provenance, reference
from superposition._progress import Display
from superposition.figures.base import Check, Figure
from superposition.figures.catalogue import FIGURES
from superposition.figures.presets import Preset
from superposition.figures.style import settle_layout, styled
from superposition.sweeps import Cell, Embedded, Executor, Store, Sweep, run_sweep
from superposition.sweeps.cell import digest


class CellsFailedError(RuntimeError):
    """Cells that figures need could not be measured."""


@dataclass(frozen=True)
class MadeFigure:
    """A figure that was made.

    Attributes:
        figure: Which.
        checks: Its claims, held against its table.
        seconds: Time of measuring and drawing, without training; of looking, if all was there.
    """

    figure: Figure
    checks: tuple[Check, ...]
    seconds: float


def reproduce(
    figures: Sequence[Figure],
    preset: Preset,
    folder: str | Path,
    *,
    redraw: bool = False,
    executor: Executor | None = None,
    device: str = "cpu",
) -> list[MadeFigure]:
    """Makes figures in a folder: figure-N.parquet, .png, .svg and .json for each, models under cells/.

    Models that are in the folder already are not trained again; an interrupted run goes on where it was. A figure whose
    files are whole and made of the same models, preset, code and packages is not made again; one of a user's own, of
    whose code little is known, always is.

    Args:
        figures: Which, in the order in which they are made.
        preset: How large.
        folder: Made if missing.
        redraw: Whether to check and draw stored tables only, without training or measuring.
        executor: Where cells are measured; in this process, on all of its threads, if not given.
        device: Torch device on which they are.

    Raises:
        FileExistsError: The folder holds a figure of another preset, or is the store of a sweep.
        CellsFailedError: A cell could not be measured; the message says why.
        ValueError: With `redraw`, a table is missing or damaged.
        OSError: The folder cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, not a folder: choose another place")
    if Store(folder).exists:
        raise FileExistsError(f"{folder} is the store of a sweep: choose another folder")
    for figure in figures:
        _refuse_other_preset(_stem(folder, figure).with_suffix(".json"), preset)
    _files.remove_partial(folder)
    store = Store(folder / "cells")
    outcomes = []
    with Display() as display:
        if not redraw:
            cells = [cell for figure in figures for cell in figure.cells(preset)]
            _complete(store, cells, display, executor or Embedded(), device)
        report = display.task("figures")
        for done, figure in enumerate(figures):
            report(done, len(figures), figure.title)
            started = time.monotonic()
            stem = _stem(folder, figure)
            origin = None if redraw else _origin(figure, preset, store)
            if (checks := _kept(stem, origin)) is None:
                path = stem.with_suffix(".parquet")
                if not redraw:
                    _write_table(figure.measure(preset, store), path, preset)
                table = _read_table(path)
                with _blaming(path) if redraw else contextlib.nullcontext():
                    checks = _finish(figure, table, stem, preset, origin)
            outcomes.append(MadeFigure(figure, checks, time.monotonic() - started))
        report(len(figures), len(figures), "")
    return outcomes


def _complete(store: Store, cells: Sequence[Cell], display: Display, executor: Executor, device: str) -> None:
    """Measures the cells that are missing.

    Raises:
        CellsFailedError: Some raised an error.
    """
    if not cells:
        return
    threads = torch.get_num_threads() if isinstance(executor, Embedded) else 1
    result = run_sweep(Sweep(tuple(cells), threads, device), store, executor, display=display)
    if result.missing:
        reasons = "; ".join(sorted(set(result.errors.values())))
        raise CellsFailedError(f"{len(result.missing)} of {len(result.cells)} cells failed ({reasons})")


def _origin(figure: Figure, preset: Preset, store: Store) -> str | None:
    """Returns a digest of all that decides the files of one of our figures; None for one of a user's own."""
    if figure not in FIGURES:
        return None
    return digest([_provenance.code(), asdict(preset), store.digests(figure.cells(preset))])


def _kept(stem: Path, origin: str | None) -> tuple[Check, ...] | None:
    """Returns the claims of a figure that was made of the same, if its files are as they were written then."""
    path = stem.with_suffix(".json")
    if origin is None or not path.exists():
        return None
    summary = _files.read_json(path, "figure")
    with contextlib.suppress(KeyError, TypeError, ValueError):  # a picture is missing, or the summary is not ours
        if summary.pop("digest") == _seal(summary, stem, origin):
            return tuple(Check(**check) for check in summary["checks"])
    return None


def _seal(summary: dict[str, Any], stem: Path, origin: str | None) -> str | None:
    """Returns a digest of what a figure was made of, its summary and its other files; None if the first is unknown."""
    files = [stem.with_suffix(f".{kind}") for kind in ("parquet", "png", "svg")]
    if stem.name in reference.names():
        files.append(_reference(stem).with_suffix(".svg"))
    return origin and digest([origin, summary, [_files.digest(path) for path in files]])


def _finish(figure: Figure, table: pa.Table, stem: Path, preset: Preset, origin: str | None) -> tuple[Check, ...]:
    """Checks and draws a stored table, and the reference beside it; writes the pictures and the summary."""
    checks = tuple(figure.checks(table))
    _draw(figure, table, stem, "png", "svg")
    beside = None
    if stem.name in reference.names():
        its = reference.load(stem.name)
        _draw(figure, its, _reference(stem), "svg")
        beside = {"preset": reference.preset_of(its), "checks": [asdict(check) for check in figure.checks(its)]}
    summary = {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "preset": preset.name,
        "checks": [asdict(check) for check in checks],
        "reference": beside,
        "version": version("superposition"),
    }
    _files.write_json(stem.with_suffix(".json"), {**summary, "digest": _seal(summary, stem, origin)})
    return checks


def _draw(figure: Figure, table: pa.Table, stem: Path, *kinds: str) -> None:
    """Writes pictures of a table, the same bytes for the same table."""
    import matplotlib.pyplot as plt

    with styled():
        picture = figure.draw(table)
        settle_layout(picture)
        for kind in kinds:
            with _files.replacing(stem.with_suffix(f".{kind}")) as temporary:
                picture.savefig(
                    temporary, format=kind, metadata={"Software": None} if kind == "png" else {"Date": None}
                )
        plt.close(picture)


def _stem(folder: Path, figure: Figure) -> Path:
    return folder / f"figure-{figure.name}"


def _reference(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}-reference")


def _write_table(table: pa.Table, path: Path, preset: Preset) -> None:
    provenance = {"superposition": version("superposition"), "preset": json.dumps(asdict(preset))}
    table = table.replace_schema_metadata(provenance)
    with _files.replacing(path) as temporary:
        pq.write_table(table, temporary)


def _read_table(path: Path) -> pa.Table:
    if not path.exists():
        raise ValueError(f"a stored table must be in {path}, but it is not there: run without redrawing first")
    return _files.read_table(path, "table of a figure")


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Raises ValueError for a stored table that its figure can make nothing of: it is foreign, or of another version.

    Figures take columns for what they have written; what a file may hold instead, infinities say, is found out by them
    alone, and NumPy's warnings of it are nothing to show.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path} must be the table of its figure ({reason}): run without redrawing") from error


def _refuse_other_preset(path: Path, preset: Preset) -> None:
    if path.exists() and (found := _files.read_json(path, "figure").get("preset")) != preset.name:
        raise FileExistsError(f"{path} was made with preset {found!r}, not {preset.name!r}: choose another folder")
