"""Strategies of files that a user writes: configs, sweeps, Slurm jobs, scheduler files, and SQL."""

import dataclasses
import json
from typing import Any

from hypothesis import strategies as st

from superposition.sweeps import RugCell, TrainedCell
from superposition.sweeps.executors import SlurmJobs
from tests.fuzz.values import ABSURD_WORDS, absurd_value

_CELLS = {cell.measure: [field.name for field in dataclasses.fields(cell)] for cell in (TrainedCell, RugCell)}
_CELL_VALUES: dict[str, Any] = {
    "n_features": st.sampled_from([4, 8, 16, [4, 8], {"log": [2, 8], "count": 3}]),
    "n_hidden": st.sampled_from([1, 2, [1, 2, 3], {"linear": [1, 4], "count": 2}]),
    "ratio": st.sampled_from([0.25, 1, [0.25, 0.5], {"log": [0.25, 1.0], "count": 3}]),
    "probability": st.sampled_from(
        [0.3, 1, "zipf:0.2:1", [0.2, 0.5], {"log": [0.2, 0.8], "count": 2}, {"linear": [0.2, 1], "count": 2}]
    ),
    "protocol": st.sampled_from(["default", "fast", "paper", ["default", "fast"]]),
    "n_steps": st.sampled_from([1, 2, [1, 2]]),
    "batch_size": st.sampled_from([1, 4]),
    "learning_rate": st.sampled_from([0.01, 1e30, [0.01, 0.02]]),
    "rate_cap": st.sampled_from([0.1, 1.0]),
    "stop_window": st.sampled_from([1, 10]),
    "precision": st.sampled_from(["float32", "bfloat16"]),
    "start": st.sampled_from(["tied", "rug", ["linear", "tied"]]),
    "cooldown": st.sampled_from([0.2, 1.0, [0.2, 0.5]]),
    "law": st.sampled_from(["uniform", "half-normal", ["constant", "beta:0.5:3"]]),
    "importance": st.sampled_from([0.5, 1, "two-level:0.5", "decay:0.9", [1.0, "two-level:0"]]),
    "n_held_out": st.sampled_from([2, 20]),
    "seed": st.sampled_from([0, 1, [0, 1]]),
}
_QUICK = ("n_steps", "batch_size", "n_held_out")


def toml(document: Any) -> str:
    """Returns a document as TOML, every table within its line; what TOML lacks becomes words that it refuses."""
    return "".join(f"{json.dumps(str(key))} = {_toml(value)}\n" for key, value in document.items())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if value is None:
        return "null"
    try:
        return repr(value)
    except ValueError:  # longer than Python writes
        return "1" + "0" * 5000


@st.composite
def garbled(draw: st.DrawFn, document: dict[str, Any], *, chance: int = 10) -> bytes:
    """Returns a document as TOML, one time in `chance` with something done to its text."""
    text = toml(document).encode("utf-8", "surrogatepass")
    if draw(st.integers(1, chance)) > 1:
        return text
    return draw(
        st.one_of(
            st.sampled_from(
                [
                    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf" + text, text.replace(b"\n", b"\r\n"), text + text),
                    *(b"a = " + b"[" * 3000, b"a = " + b"[" * 3000 + b"]" * 3000, b"[" * 5000, b"a." * 5000 + b"b = 1"),
                    *(b"a = {" + b"a = {" * 2000, b"x = 1\n" * 2, b"= 1", b"[a]\n[a]\n", b"a = 1979-05-27T07:32:00Z"),
                    *(b'a = """' + b"x" * 100000 + b'"""', b"[[cells]]\n" * 3, text.decode("latin-1").encode("utf-16")),
                ]
            ),
            st.integers(0, len(text)).map(lambda end: text[:end]),
            st.binary(max_size=30),
        )
    )


@st.composite
def spoilt(draw: st.DrawFn, document: dict[str, Any], *, most: int = 2) -> dict[str, Any]:
    """Returns a document in which up to `most` values are replaced by absurd ones, dropped or added."""
    document = json.loads(json.dumps(document))  # a copy
    for _ in range(draw(st.integers(0, most))):
        holder = document
        inner = [key for key, value in document.items() if isinstance(value, dict) and value]
        if inner and draw(st.booleans()):
            holder = document[draw(st.sampled_from(inner))]
        if not holder:
            continue
        key = draw(st.sampled_from(sorted(holder)))
        match draw(st.sampled_from(["set", "set", "set", "drop", "add"])):
            case "set":
                holder[key] = draw(absurd_value)
            case "drop" if key not in _QUICK:
                del holder[key]
            case "add":
                holder[draw(st.sampled_from(ABSURD_WORDS[:40]))] = draw(absurd_value)
    return document


@st.composite
def grids(draw: st.DrawFn, measure: str) -> dict[str, Any]:
    """Returns a grid of one or several small cells."""
    names = [name for name in _CELLS[measure] if name in _CELL_VALUES]
    grid = {}
    for name in ["ratio", *names]:
        if name in (*_QUICK, "n_features", "probability") or draw(st.integers(0, 3)) == 0:
            grid[name] = draw(_CELL_VALUES[name])
    if ("ratio" in grid) == ("n_hidden" in grid) and draw(st.integers(0, 9)):
        grid.pop("ratio", None)
        grid["n_hidden"] = draw(_CELL_VALUES["n_hidden"])
    return {name: value for name, value in grid.items() if name in (*names, "ratio")}


@st.composite
def sweeps(draw: st.DrawFn) -> bytes:
    """Returns the text of a sweep file."""
    measure = draw(st.sampled_from(sorted(_CELLS)))
    cells = draw(grids(measure))
    document: dict[str, Any] = {"measure": measure, "cells": cells}
    if draw(st.integers(0, 4)) == 0:
        document["threads"] = draw(st.sampled_from([1, 2]))
    document = draw(spoilt(document))
    if draw(st.integers(0, 5)) == 0:
        document["cells"] = [document.get("cells"), cells]
    return draw(garbled(document))


@st.composite
def slurm_jobs(draw: st.DrawFn) -> bytes:
    """Returns the text of a description of Slurm jobs."""
    document: dict[str, Any] = {"jobs": 1, "memory": "1GB", "walltime": "00:01:00"}
    names = [field.name for field in dataclasses.fields(SlurmJobs)]
    for name in draw(st.lists(st.sampled_from(names), max_size=2)):
        document[name] = draw(st.sampled_from([1, "x", ["--x=y"], "[red]", True, 0, -1, "", "99:99:99", [], "1XB"]))
    return draw(garbled(draw(spoilt(document))))


scheduler_files = st.one_of(
    st.sampled_from([
        *(b'{"address": "tcp://127.0.0.1:1"}', b'{"address": "nonsense"}', b'{"address": "tcp://127.0.0.1:99999"}'),
        *(b'{"address": "http://127.0.0.1:1"}', b'{"address": "tcp://[red]:1"}', b'{"address": {"a": 1}}'),
        *(b'{"address": ""}', b'{"address": 1}', b'{"address": null}', b"{}", b"", b"[]", b"{", b"\xff", b"null"),
        *(b"[" * 100000, b"1"),
    ]),
    st.binary(max_size=20),
)  # fmt: skip

_EXPRESSIONS = (
    *(
        "*",
        "loss",
        "n_hidden, loss",
        "count(*)",
        "avg(loss)",
        "loss / 0",
        "1 / 0",
        "NULL",
        "'[abc]def'",
        "'[/]'",
        "'[/red]'",
    ),
    *("'\x1b[31mx'", "chr(27) || ']0;t' || chr(7)", "'a\nb'", "'=1+1'", "'-1'", "[1, 2]", "{'a': 1}", "MAP {'a': 1}"),
    *(
        "'nan'::DOUBLE",
        "'inf'::DOUBLE",
        "'\\xFF'::BLOB",
        "INTERVAL 1 DAY",
        "DATE '9999-12-31'",
        "'infinity'::TIMESTAMP",
    ),
    *("170141183460469231731687303715884105727::HUGEINT", "1.5::DECIMAL(38, 10)", "TIME '01:02:03'", "uuid()"),
    *("'-infinity'::DATE", "TIMESTAMPTZ '2020-01-01 00:00:00+02'", "'2020-01-01'::TIMESTAMP_NS", "'1'::BIT", "TRUE"),
    *("'a'::ENUM('a')", "union_value(a := 1)", "[[1], NULL]", "repeat('x', 100000)", "1 AS a, 2 AS a", '1 AS "[red]"'),
    *('loss AS "\x1b[31m"', "getenv('HOME')", "error('x')", "error('[/]')", "current_setting('memory_limit')", "''"),
    *("DATE '0001-01-01'", "'290000-01-01'::TIMESTAMP", "'5877642-06-25 (BC)'::DATE", "TIMETZ '01:02:03+01'", "1e400"),
    *("random()", "unnest([1, 2])", "list_value()", "row(1, 'a')", "loss ** 1000", "sqrt(-1)", "ln(0)", "'x'::INTEGER"),
)
_SOURCES = ("trained", "rug", "trained, rug", "trained NATURAL JOIN rug", "nothing", "range(30)", "range(0)", '"[red]"')
_STATEMENTS = (
    *("", " ", "SELECT '\x00'", "SELECT '\ud800'", "SELECT " + "(" * 2000, "SELECT " + "1+" * 3000 + "1"),
    *("SELECT " + "-" * 5000 + "1", "SELECT [" * 500, "SELECT " + ",".join(["1"] * 2000)),
    *"""\
;
--
/*
SELECT
SELECT 1;
SELECT 1; SELECT 2
SHOW TABLES
DESCRIBE trained
PIVOT trained ON n_hidden USING avg(loss)
SUMMARIZE trained
EXPLAIN SELECT 1
EXPLAIN ANALYZE SELECT 1
PRAGMA database_list
SELECT $1
SELECT ?
COPY trained TO 'made.csv'
COPY (SELECT 1) TO '/dev/stdout'
ATTACH 'made.db'
INSTALL httpfs
LOAD httpfs
EXPORT DATABASE 'made'
CREATE TABLE t AS SELECT 1
CREATE TABLE t (a INT); SELECT * FROM t
DROP TABLE trained
INSERT INTO trained VALUES (1)
SET enable_external_access = true; SELECT 1
RESET lock_configuration; SELECT 1
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM '/etc/passwd'
SELECT * FROM read_text('sweep.toml')
SELECT * FROM glob('/*')
FROM trained
VALUES (1), (2)
WITH a AS (SELECT 1) SELECT * FROM a
BEGIN
BEGIN; SELECT 1
VACUUM
SELECT 1 UNION ALL SELECT 'x'
SELECT 'é'
CALL pragma_version()
PREPARE a AS SELECT 1; EXECUTE a
SELECT * FROM duckdb_settings()
CHECKPOINT
USE memory
SELECT 1 LIMIT -1
SELECT 1 ORDER BY 2
SELECT a FROM (SELECT 1)
SELECT * EXCLUDE (loss) FROM trained
DESCRIBE SELECT 1
SELECT COLUMNS('x') FROM trained
""".splitlines(),
)
queries = st.one_of(
    st.builds("SELECT {} FROM {}".format, st.sampled_from(_EXPRESSIONS), st.sampled_from(_SOURCES)),
    st.builds("SELECT {}".format, st.sampled_from(_EXPRESSIONS)),
    st.builds("SELECT {}, {}".format, st.sampled_from(_EXPRESSIONS), st.sampled_from(_EXPRESSIONS)),
    st.sampled_from(_STATEMENTS),
    st.text(max_size=20),
)
