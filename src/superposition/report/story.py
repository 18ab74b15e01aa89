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
        "T4",
        "Training reaches the loss of the rug, stays there for a while, and leaves it for a lower one: at every size "
        "that was tried, from any start that keeps all features alive, from a rug itself too, and later the larger the "
        "model. The rug is a plateau of training and neither its end nor a bound. A rule that stops where the loss "
        "seems to stand still stops there.",
        ("Trained models reach", "Training leaves", "A start at a rug"),
    ),
    _Chapter(
        "Why",
        "8",
        "Of the interference the formula knows mean and variance. Training finds weights whose interference is skewed: "
        "a few strong negative entries of W among many small ones, so that an active feature silences some others, "
        "which costs little where two are rarely active at once. Λ is large there, and the larger a model is, the "
        "longer it takes to find them: after equal numbers of steps Λ falls with n.",
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
