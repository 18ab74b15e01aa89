"""Text from outside: nothing in it acts on a terminal, and every stream takes it."""

import io
import unicodedata

import pytest
from hypothesis import given, strategies as st

from superposition._text import complain, one_line, settled_streams, visible

# With lone surrogates, as names of files that are no text have them.
ANYTHING = st.text(st.characters())


@given(ANYTHING)
def test_nothing_that_a_terminal_acts_on_is_left(text):
    shown = visible(text)
    assert not {unicodedata.category(each) for each in shown if each not in "\u200c\u200d"} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff")
    shown.encode("utf-8")


@given(ANYTHING)
def test_escapes_can_be_read(text):
    """What was escaped is there: undoing the escapes gives the text again, if it had no backslash of its own."""
    text = text.replace("\\", "")
    shown = "".join(
        each if each < "\x80" else each.encode("ascii", "backslashreplace").decode() for each in visible(text)
    )
    assert shown.encode("ascii").decode("unicode_escape") == text


def test_what_people_write_stays():
    for text in ("σ = 0.3, ‖W‖ ≤ 1 — ok", "می\u200cخواهم", "日本語", "[abc]def", ""):
        assert visible(text) == text


@given(ANYTHING)
def test_a_message_is_one_line_of_bounded_length(text):
    line = one_line(text * 300)
    assert len(line) <= 2003
    assert len((line + ".").splitlines()) == 1


def test_a_long_message_keeps_its_ends():
    line = one_line("begin " + "x" * 5000 + " end: do this")
    assert line.startswith("begin x")
    assert line.endswith("x end: do this")


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_streams_take_any_text_in_the_block_and_are_as_before_after_it(monkeypatch, errors):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=errors)
    monkeypatch.setattr("sys.stdout", stream)
    with settled_streams():
        print("σ", "\udcff", "┏")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\u03c3 \\udcff \\u250f\n"
    assert stream.errors == errors
    with pytest.raises(UnicodeEncodeError):
        print("σ")


def test_a_choice_of_the_users_is_kept(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    monkeypatch.setattr("sys.stdout", stream)
    with settled_streams():
        print("σ")
    stream.flush()
    assert stream.buffer.getvalue() == b"?\n"


def test_complaints_go_to_standard_error_or_nowhere(monkeypatch, capsys):
    complain("a\nb \x1b[2J")
    assert capsys.readouterr() == ("", "a b \\x1b[2J\n")
    monkeypatch.setattr("sys.stderr", None)
    complain("lost")
    assert capsys.readouterr().out == ""
