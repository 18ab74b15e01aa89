"""Text from outside, made fit to be shown: on one line, with nothing in it that a terminal would act on."""

import contextlib
import sys
import unicodedata
from collections.abc import Iterator
from io import TextIOWrapper

# Of a longer message the middle is left out.
_LONGEST_LINE = 2000
# Escape sequences begin with control characters; format characters turn the direction of text or hide it; surrogates
# are bytes of names that are no text; two separators are line breaks to some programs.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Joiners are letters of several scripts.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    r"""Returns text with every character that a terminal would act on in the place of showing it spelt as an escape.

    >>> visible("\x1b[2J\u202egpj.exe\nσ")
    '\\x1b[2J\\u202egpj.exe\\nσ'
    """
    if text.isprintable():
        return text
    return "".join(_spelt(each) if unicodedata.category(each) in _ACTING else each for each in text)


def one_line(text: str) -> str:
    r"""Returns text as one visible line: runs of white space are one space, and the middle of a long one is left out.

    >>> one_line("no such table:\n  rows\x07")
    'no such table: rows\\x07'
    """
    line = visible(" ".join(text.split()))
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2 :]}"


def say(text: str) -> None:
    """Prints one line on standard output."""
    print(visible(text), flush=True)


def complain(text: str) -> None:
    """Prints one line on standard error, if there is one."""
    if sys.stderr is not None:  # which print would take for standard output
        with contextlib.suppress(OSError):
            print(one_line(text), file=sys.stderr, flush=True)


@contextlib.contextmanager
def settled_streams() -> Iterator[None]:
    """Lets standard output and error take any text within the block: what their encoding lacks is spelt as an escape.

    Nothing of a number or a name is lost so; a question mark in its place would say less.
    """
    streams = [each for each in (sys.stdout, sys.stderr) if isinstance(each, TextIOWrapper)]
    before = [each.errors for each in streams]
    for stream in streams:
        if stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with contextlib.suppress(OSError, ValueError):  # of a stream that was closed or whose reader went away
                stream.reconfigure(errors=errors)


def _spelt(character: str) -> str:
    if character in _JOINERS:
        return character
    return character.encode("ascii", "backslashreplace").decode() if character > "\x7f" else repr(character)[1:-1]
