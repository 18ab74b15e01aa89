"""Rows as they are printed and saved, whatever is in them."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from superposition.cli.rows import harmless, save_rows, show_rows
from superposition.sweeps.sql import query

# Whatever DuckDB has a type for.
ODD = (
    "now(), INTERVAL 1 MONTH, 170141183460469231731687303715884105727::HUGEINT, '\\x00\\xff'::BLOB, [1, 2], {'a': 1}, "
    "MAP {'k': 1}, 1.5::DECIMAL(38, 10), DATE '290000-01-01', TIMESTAMP '290000-01-01', uuid(), union_value(n := 2), "
    "'infinity'::DATE, bitstring('0101', 8), TIME '12:00', 1::BIGNUM, 'nan'::FLOAT, NULL, 'a'::ENUM('a', 'b'), 1/0"
)


@pytest.fixture
def found(store, complete):
    """Returns what a query finds in a store of one cell."""
    from superposition.sweeps import RugCell

    complete(store, RugCell(16, 8, 0.2, n_held_out=10))
    return lambda sql: query(store, sql)


def printed(capsys, rows):
    show_rows(rows)
    return capsys.readouterr().out


def test_nothing_is_taken_as_markup(capsys):
    rows = pa.table({"[red]name": ["[abc]def", "[/]", ":smile:", "[link=x]y[/link]"]})
    out = printed(capsys, rows)
    for text in ("[red]name", "[abc]def", "[/]", ":smile:", "[link=x]y[/link]"):
        assert text in out


def test_nothing_acts_on_a_terminal(capsys):
    rows = pa.table({"a\x1b]0;x\x07": ["\x1b[2J", "\u202egpj", "two\nlines", "\x9b1m\r"]})
    out = printed(capsys, rows)
    assert out.replace("\n", "").isprintable()
    for text in (r"a\x1b]0;x\x07", r"\x1b[2J", r"\u202egpj", r"two\nlines", r"\x9b1m\r"):
        assert text in out


@pytest.mark.parametrize("columns", [ODD, "1 AS a, 2 AS a", "'x' AS \"a\nb\""])
def test_every_kind_of_value_is_printed_and_saved_as_csv(found, capsys, tmp_path, columns):
    rows = found(f"SELECT {columns}")
    assert len(printed(capsys, rows).splitlines()) >= 5
    save_rows(rows, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        names, values = csv.reader(file)
    assert len(names) == len(values) == rows.num_columns


def test_columns_of_one_name_are_all_there(found, capsys):
    line = next(line for line in printed(capsys, found("SELECT 1 AS a, 2 AS a")).splitlines() if line.startswith("│"))
    assert line.split() == ["│", "1", "│", "2", "│"]


def test_long_text_is_cut(capsys):
    out = printed(capsys, pa.table({"a": ["x " * 10**6]}))
    assert (out.count("x"), out.count("…")) == (100, 1)


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "=cmd|' /C calc'!A0"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(tmp_path, text):
    save_rows(pa.table({text: [text]}), tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [[f"'{text}"], [f"'{text}"]]
    save_rows(pa.table({text: [text]}), tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").to_pydict() == {text: [text]}


@given(st.floats(allow_nan=False))
def test_numbers_stay_numbers(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    save_rows(pa.table({"x": [value], "text": [repr(value)]}), path)
    with path.open(newline="", encoding="utf-8") as file:
        _, row = csv.reader(file)
    assert [float(each) for each in row] == [value, value]


@given(st.text())
def test_text_is_as_it_was_but_for_the_apostrophe(text):
    assert harmless(text) in (text, f"'{text}")
    assert not harmless(text).startswith(("=", "@", "\t", "\r"))


def test_a_type_that_parquet_has_not_is_refused_in_one_line(found, tmp_path):
    with pytest.raises(ValueError, match=r"`save` must be a .csv file for such columns, got rows.parquet: "):
        save_rows(found("SELECT INTERVAL 1 MONTH"), tmp_path / "rows.parquet")
    assert list(tmp_path.glob("rows*")) == []


def test_more_than_fits_is_refused(found, monkeypatch):
    from superposition import _resources

    monkeypatch.setattr(_resources, "memory", lambda: 10**9)
    with pytest.raises(ValueError, match="a query must find less than 100 MB: select fewer rows or columns"):
        found("SELECT * FROM range(100000000000)")


def test_a_query_that_is_no_text(found):
    with pytest.raises(ValueError, match="the query must be text"):
        found("SELECT '\udcff'")
