"""What the report opens with: what holds, where trained models and theory part, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Chapter:
    """A passage beside one figure.

    Attributes:
        title: Of the passage.
        figure: Name of the figure that is shown.
        text: What a reader should know before looking; numbers are in the claims that follow it.
        claims: Which of the figure's claims follow, by how they begin.
    """

    title: str
    figure: str
    text: str
    claims: tuple[str, ...]


_STORY = (
    _Chapter(
        "What holds",
        "2",
        "A Persian Rug is built, not trained: rows of a Hadamard matrix, one scale and one bias. Its loss is that of a "
        "formula with two numbers to be optimised, the best that a model can have whose interference is Gaussian and "
        "the same for every feature, and a ReLU does far better with it than the best linear code. A rug has that loss "
        "as its size grows; where only some tens of features are active at a time it is a few percent above.",
        ("The nonlinear model", "At n = ", "Trained models have the loss"),
    ),
    _Chapter(
        "Where trained models and theory part",
        "T3",
        "Trained models of some hundred features are better than the rug, most of all at large ratios, and come up to "
        "it as they grow. The rug is the limit of what training finds and no bound. Above the prediction (red) lie "
        "models that were not trained for long enough, or collapsed to the constant: the rug itself does better.",
        ("Trained models reach", "Trained and predicted"),
    ),
    _Chapter(
        "Why",
        "8",
        "Of the interference the formula knows mean and variance. In small models single entries of W stand out, pairs "
        "of features in opposite directions above all, and training makes use of that: Λ is large there. As n grows "
        "the many entries of a row become alike, Λ falls, the interference becomes Gaussian, and with it goes what "
        "training gained.",
        ("All models approach", "Λ falls"),
    ),
)


def chapters(figures: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields the passages whose figures are there, with what was measured of each: by the reference run, if it was."""
    known = {figure["name"]: figure for figure in figures}
    for chapter in _STORY:
        if chapter.figure in known:
            figure = known[chapter.figure]
            shown = figure["reference"] or figure
            yield {
                "title": chapter.title,
                "text": chapter.text,
                "name": figure["name"],
                "caption": figure["title"],
                "stem": figure["stem"],
                "picture": shown["picture"],
                "preset": shown["preset"],
                "checks": [check for check in shown["checks"] if check["claim"].startswith(chapter.claims)],
            }
