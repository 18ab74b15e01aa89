"""Writes report.html from the figures stored in a folder; opens from disk, with no network."""

import base64
import re
from pathlib import Path
from typing import Any

import pydantic

from superposition import _files
from superposition._names import Verdict
from superposition.report.story import chapters

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_NAME = re.compile(r"figure-([A-Z]*)(\d{1,9})")  # others are copies that somebody has made


class _Check(pydantic.BaseModel, strict=True):
    claim: str
    source: str
    measured: str
    verdict: Verdict


class _Reference(pydantic.BaseModel, strict=True):
    preset: str
    checks: list[_Check]


class _Summary(pydantic.BaseModel, strict=True):
    """What `figures.reproduce` writes of a figure."""

    name: str
    title: str
    caption: str
    preset: str
    version: str
    checks: list[_Check]
    reference: _Reference | None = None


def write_report(folder: str | Path) -> Path:
    """Writes report.html beside the figures it shows, and returns its path.

    Args:
        folder: Results of `superposition.figures.reproduce`.

    Raises:
        ValueError: The folder holds no figure, or a damaged one.
        OSError: The page cannot be written.
    """
    import jinja2

    folder = Path(folder)
    summaries = sorted((path for path in folder.glob("figure-*.json") if _NAME.fullmatch(path.stem)), key=_order)
    if not summaries:
        raise ValueError(f"figures must be in {folder}, but there are none: run `superposition reproduce` first")
    figures = [_figure(path) for path in summaries]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        figures=figures,
        all_checks=[check for figure in figures for check in figure["checks"]],
        has_reference=any(figure["reference"] for figure in figures),
        story=list(chapters(figures)),
    )
    path = folder / "report.html"
    with _files.replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path.resolve()


def _order(summary: Path) -> tuple[str, int]:
    """Sorts figure-2 before figure-10, and the paper's before those beyond it."""
    letters, digits = _NAME.fullmatch(summary.stem).groups()  # type: ignore[union-attr]
    return letters, int(digits)


def _figure(summary: Path) -> dict[str, Any]:
    try:
        valid = _Summary.model_validate(_files.read_json(summary, "figure"))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = f"`{where}`: {first['msg']}"
        raise ValueError(f"{summary} is no summary of a figure ({reason}): make the figure again") from None
    found: dict[str, Any] = {**valid.model_dump(), "picture": _embedded(summary.with_suffix(".svg"))}
    if found["reference"]:
        found["reference"]["picture"] = _embedded(summary.with_name(f"{summary.stem}-reference.svg"))
    return {**found, "stem": summary.stem}


def _embedded(picture: Path) -> str:
    """Returns a picture as an address that holds it."""
    if not picture.exists():
        raise ValueError(f"{picture} is missing: draw it with `superposition reproduce --redraw`")
    content = _files.read_bytes(picture, "picture")
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
