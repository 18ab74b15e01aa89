"""What the papers and this project say, statement by statement, and where each is shown: read from TOML files."""

from functools import cache
from pathlib import Path

import pydantic

from superposition import _toml

_FOLDER = Path(__file__).parent
_FILES = ("persian_rug.toml", "toy_models.toml", "own.toml")


class Evidence(pydantic.BaseModel, frozen=True, strict=True, extra="forbid"):
    """The checks of a figure that show a statement, or its contrary.

    Attributes:
        figure: The figure's name.
        claim: Words of the claims meant, as they stand there.
        against: Whether these claims are the statement's contrary.
    """

    figure: str
    claim: str
    against: bool = False


class Statement(pydantic.BaseModel, frozen=True, strict=True, extra="forbid"):
    """A statement that may hold or not.

    Attributes:
        id: PR and a number for The Persian Rug, TM for Toy Models of Superposition, SP for this project.
        place: Where it stands: section, equation, caption.
        says: The statement, as a sentence.
        calls: The public functions that compute what it speaks of, as they are called on the package.
        figures: Checks of figures that show it.
        tests: Tests that show it, as pytest names them.
        counter_tests: Tests that show the contrary.
        testable: Whether it says something that may fail.
        why: Why it does not hold, was not tested, or needs no test; what is to be added to a verdict.
    """

    id: str = pydantic.Field(pattern=r"(PR|TM|SP)[1-9]\d*")
    place: str
    says: str
    calls: tuple[str, ...] = ()
    figures: tuple[Evidence, ...] = ()
    tests: tuple[str, ...] = ()
    counter_tests: tuple[str, ...] = ()
    testable: bool = True
    why: str = ""

    @property
    def shown_by(self) -> tuple[str, ...]:
        """The figures and tests that show it; of tests the names within tests/."""
        figures = dict.fromkeys(f"figure {evidence.figure}" for evidence in self.figures)
        return (*figures, *(test.removeprefix("tests/") for test in (*self.tests, *self.counter_tests)))


class Source(pydantic.BaseModel, frozen=True, strict=True, extra="forbid"):
    """A paper, or this project, and all that it states.

    Attributes:
        title: Of the paper.
        statement: In the order of the text.
    """

    title: str
    statement: tuple[Statement, ...]


@cache
def sources() -> tuple[Source, ...]:
    """Returns both papers and this project with what they state."""
    found = []
    for name in _FILES:
        place = _toml.Place(_FOLDER / name)
        found.append(_toml.validated(Source, _toml.read_toml(place.path, "statements"), place))
    return tuple(found)


def statements() -> tuple[Statement, ...]:
    """Returns the statements of both papers and of this project, in the order of the texts.

    >>> statements()[0].id
    'PR1'
    """
    return tuple(statement for source in sources() for statement in source.statement)
