"""Writes report.html from the figures stored in a folder; opens from disk, with no network."""

import base64
import re
from pathlib import Path
from typing import Any

from superposition import _files

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


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
    summaries = sorted(folder.glob("figure-*.json"), key=_order)
    if not summaries:
        raise ValueError(f"figures must be in {folder}, but there are none: run `superposition reproduce` first")
    figures = [_figure(path) for path in summaries]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(figures=figures)
    path = folder / "report.html"
    with _files.replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path.resolve()


def _order(summary: Path) -> tuple[str, int]:
    """Sorts figure-2 before figure-10, and the paper's before those beyond it."""
    letters, digits = re.fullmatch(r"figure-([A-Z]*)(\d*)", summary.stem).groups()  # type: ignore[union-attr]
    return letters, int(digits or 0)


def _figure(summary: Path) -> dict[str, Any]:
    found = {**_files.read_json(summary, "figure"), "picture": _embedded(summary.with_suffix(".svg"))}
    found.setdefault("reference", None)
    if found["reference"]:
        found["reference"]["picture"] = _embedded(summary.with_name(f"{summary.stem}-reference.svg"))
    return {**found, "stem": summary.stem}


def _embedded(picture: Path) -> str:
    """Returns a picture as an address that holds it."""
    if not picture.exists():
        raise ValueError(f"{picture} is missing: draw it with `superposition reproduce --redraw`")
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.read_bytes()).decode()}"
