"""One look for all figures: colour-blind safe, readable at column width, reproducible files."""

import contextlib
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with every common colour vision; a marker and a dash go with each.
BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
)  # fmt: skip

_SETTINGS: dict[str, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "superposition",
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Applies the look within the block, on a backend that needs no screen."""
    import matplotlib as mpl

    mpl.use("agg")
    settings: Any = dict(mpl.rcParamsDefault) | _SETTINGS | {"backend": "agg"}
    with mpl.rc_context(settings):
        yield


def fraction(ratio: float) -> str:
    """Returns a ratio as a simple fraction, if it is one."""
    simple = Fraction(ratio).limit_denominator(64)
    return str(simple) if float(simple) == ratio else f"{ratio:.3g}"


_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_POWER = re.compile(r"(?:(?<![\d.])1|(?<=\d))e([+-]\d+)\b")
_HYPHEN = re.compile(r"(?<![\w.])-(?=\.?\d)")


def typeset(text: str) -> str:
    """Returns a text with numbers as journals print them: minus signs, and powers of ten in the place of e-05.

    >>> typeset("from -1.5e-05 to 1e-02")
    'from −1.5·10⁻⁵ to 10⁻²'
    """
    text = _POWER.sub(
        lambda found: ("" if found[0][0] == "1" else "·") + "10" + str(int(found[1])).translate(_SUPERSCRIPTS), text
    )
    return _HYPHEN.sub("−", text)


def plain_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Returns ticks of a logarithmic axis and their labels: 1, 2, 5 of each power of ten in a short range, 1 else."""
    steps = (1, 2, 5) if high < 200 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    return ticks, [number(tick) for tick in ticks]


def number(value: float) -> str:
    """Returns a number in two digits as pictures show it, with a power of ten if it is small or large."""
    if 100 <= abs(value) < 1e4:
        return typeset(f"{value:.0f}")
    return typeset(f"{value:.2g}" if value == 0 or 1e-3 <= abs(value) < 100 else f"{value:.0e}")


def settle_layout(picture: "Figure") -> None:
    """Lays the axes out once, at rounded places: the solver's last digits differ from draw to draw."""
    import matplotlib as mpl

    if (engine := picture.get_layout_engine()) is not None:
        engine.execute(picture)
    # Not "none", which leaves an engine in its place, for which every file would be drawn twice.
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        picture.set_layout_engine(None)
    for axes in picture.axes:
        axes.set_position([round(edge, 6) for edge in axes.get_position(original=True).bounds])  # type: ignore[arg-type]
