"""The store: whole or absent, immutable, foreign and damaged ones explained, rows as tables."""

import contextlib
import errno
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, final

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from superposition import Estimate, _files
from superposition.sweeps import Cell, Plan, Store, Sweep, query
from superposition.sweeps.cell import digest
from superposition.sweeps.records import compose, flat


@final
@dataclass(frozen=True)
class Square(Cell):
    measure: ClassVar[str] = "square"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {
        "square": float, "error": Estimate, "nothing": float, "writer": int, "count": int, "share": float, "good": bool,
        "text": str,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("square",)

    number: float
    word: str = "a"

    def content(self):
        return asdict(self)

    def row(self, place):
        (place.folder / "note.txt").write_text(self.word)
        return {"square": self.number**2, "error": Estimate(1.0, 0.5, 3), "nothing": float("nan")}


def put(store, cell, **changes):
    folder = store.workplace(cell.key)
    folder.mkdir(parents=True)
    store.put(cell, compose(cell, {"square": cell.number**2, **changes}, {"seconds": 1.0}), folder)


def test_a_stored_cell_is_read_back(store, complete):
    cell = Square(3.0)
    complete(store, cell)
    found = store.get(cell)
    assert (found.row["number"], found.row["square"], found.row["nothing"]) == (3.0, 9.0, None)
    assert found.estimate("error") == Estimate(1.0, 0.5, 3)
    assert (found.folder / "note.txt").read_text() == "a"
    for name in ("superposition", "torch", "commit", "processor", "threads", "device", "seconds", "finished"):
        assert found.row[name] is not None
    assert store.missing([cell, Square(4.0), Square(4.0)]) == [Square(4.0)]


def test_versions_of_a_measure_do_not_share_keys(monkeypatch):
    key = Square(3.0).key
    monkeypatch.setattr(Square, "version", 2)
    assert Square(3.0).key != key


def test_the_first_of_two_writers_wins(store):
    cell = Square(3.0)
    put(store, cell, writer=1)
    put(store, cell, writer=2)
    assert store.get(cell).row["writer"] == 1
    assert list((store.root / "work").iterdir()) == []


def _write(root, numbers):
    for number in numbers:
        put_to(Store(root), Square(float(number)))


def put_to(store, cell):
    folder = store.workplace(f"{cell.key}-{multiprocessing.current_process().pid}")
    folder.mkdir(parents=True)
    store.put(cell, compose(cell, {"square": cell.number**2}, {"seconds": 1.0}), folder)


def test_many_writers_leave_every_record_whole(store):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(store.root, range(60))) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
        assert writer.exitcode == 0
    assert [store.get(Square(float(k))).row["square"] for k in range(60)] == [float(k * k) for k in range(60)]
    assert list((store.root / "work").iterdir()) == []


def test_numpy_numbers_are_stored_and_columns_must_differ(store):
    put(store, Square(3.0), count=np.int64(3), share=np.float32(0.5), good=np.bool_(True))
    row = store.get(Square(3.0)).row
    assert (row["count"], row["share"], row["good"]) == (3, 0.5, True)
    with pytest.raises(ValueError, match=r"columns share a name among .* square, square"):
        compose(Square(3.0), {"square": 1.0}, {"square": 1})


@pytest.mark.parametrize("position", range(0, 200, 7))
def test_no_damage_of_a_record_goes_unseen(store, position):
    cell = Square(3.0)
    put(store, cell)
    path = store.folder(cell) / "record.json"
    before = store.get(cell).row
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 0x01
    path.write_bytes(content)
    try:
        after = store.get(cell).row
    except ValueError as error:
        assert "damaged" in str(error)  # noqa: PT017
    else:
        assert after == before  # white space


def test_absent_and_truncated_records_say_where(store):
    cell = Square(3.0)
    with pytest.raises(ValueError, match=f"measured cell must be in .*{cell.key}"):
        store.get(cell)
    put(store, cell)
    path = store.folder(cell) / "record.json"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"record\.json is damaged"):
        store.get(cell)


def test_a_newer_store_is_refused_and_left_alone(store, complete):
    complete(store, Square(3.0))
    mark = store.root / "store.json"
    mark.write_text(json.dumps({"format": 2, "version": "9.0"}))
    before = sorted(store.root.rglob("*"))
    for use in (lambda: complete(store, Square(4.0)), lambda: store.get(Square(3.0)), lambda: store.table([])):
        with pytest.raises(ValueError, match=r"must be a store of format 1, got 2, written by superposition 9\.0"):
            use()
    assert sorted(store.root.rglob("*")) == before


def test_a_folder_with_other_files_is_refused(store, complete):
    store.root.mkdir()
    (store.root / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files and is no store"):
        complete(store, Square(3.0))
    assert [path.name for path in store.root.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("there", [False, True])
def test_what_fails_before_it_writes_leaves_no_store(tmp_path, there):
    root = tmp_path / "sweeps" / "runs"
    if there:
        root.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))

    def fail(*cells):
        with Store(root).locked():
            assert Store(root).exists
            for cell in cells:
                put(Store(root), cell)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(KeyError):
        fail(Square(3.0))
    assert Store(root).get(Square(3.0)).row["square"] == 9.0
    assert Store(root).exists


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_store_that_others_may_write_to_stays_one_whatever_becomes_of_its_maker(tmp_path, is_kept):
    """A worker that outlives the driver would leave its work in a folder that is no store, and no sweep would take."""
    store = Store(tmp_path / "made" / "out")

    def interrupted():
        with store.locked():
            if is_kept:
                store.keep()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.exists == is_kept
    assert (tmp_path / "made").exists() == is_kept
    with store.locked():  # the same sweep again
        pass


def test_two_sweeps_on_one_store_are_refused(store, complete):
    with store.locked(), pytest.raises(FileExistsError, match="in use by another process"):
        complete(store, Square(3.0))
    complete(store, Square(3.0))


class TestTable:
    def test_has_a_row_a_cell_in_order(self, store, complete):
        cells = [Square(3.0), Square(1.0), Square(2.0)]
        complete(store, *cells)
        table = store.table([*cells, cells[0]])
        assert table.column("square").to_pylist() == [9.0, 1.0, 4.0]
        assert table.column_names[:4] == ["key", "measure_version", "number", "word"]
        assert table.to_pandas()["error_standard_error"].tolist() == [0.5] * 3

    def test_of_missing_cells_says_how_many(self, store, complete):
        complete(store, Square(3.0))
        with pytest.raises(ValueError, match=r"1 are missing, the first of them Square\(number=4.0"):
            store.table([Square(3.0), Square(4.0)])

    def test_of_all_rows_is_kept_for_other_programs(self, store, complete):
        cells = [Square(float(k)) for k in range(5)]
        complete(store, *cells)
        kept = pq.read_table(store.root / "tables" / "square.parquet")
        assert kept.equals(query(store, "SELECT * FROM square"))
        assert sorted(kept.column("square").to_pylist()) == [0.0, 1.0, 4.0, 9.0, 16.0]

    def test_forgets_cells_whose_folder_is_removed(self, store, complete, monkeypatch):
        import shutil

        complete(store, Square(1.0), Square(2.0))
        shutil.rmtree(store.folder(Square(1.0)))
        with pytest.raises(ValueError, match="1 are missing"):
            store.table([Square(1.0)])
        monkeypatch.setattr(Square, "row", lambda *_: {"square": -1.0})
        complete(store, Square(1.0))
        assert store.table([Square(1.0)]).column("square").to_pylist() == [-1.0]

    def test_has_no_numbers_but_those_of_the_records(self, store, complete):
        complete(store, Square(1.0))
        expected, path = store.table([Square(1.0)]), store.root / "tables" / "square.parquet"
        forged = expected.set_column(expected.column_names.index("square"), "square", [[2.0]])
        for damage in (lambda: pq.write_table(forged, path), lambda: path.write_bytes(b"no parquet"), path.unlink):
            damage()
            assert store.table([Square(1.0)]).equals(expected)
            assert query(store, "SELECT square FROM square")["square"].to_pylist() == [1.0]
        complete(store, Square(1.0))
        assert pq.read_table(path).column("square").to_pylist() == [1.0]

    def test_has_every_declared_column_with_its_type(self, store):
        put(store, Square(1.0))
        table = store.table([Square(1.0)])
        assert {name: str(table.schema.field(name).type) for name in ("square", "error_count", "good", "text")} == {
            "square": "double", "error_count": "int64", "good": "bool", "text": "string"
        }  # fmt: skip
        assert table.column("text").to_pylist() == [None]


def test_flat_records_start_with_the_key():
    record = compose(Square(3.0), {"square": 9.0}, {"seconds": 1.0})
    assert list(flat(record))[:5] == ["key", "measure_version", "number", "word", "square"]
    assert list(flat(record))[-1] == "seconds"


def forge(store, cell, /, **changes):
    """Puts a record that is not as this program makes it, with a digest that fits."""
    put(store, cell)
    path = store.folder(cell) / "record.json"
    record = json.loads(path.read_text())
    for part, value in changes.items():
        record[part] = record[part] | value if isinstance(value, dict) and isinstance(record[part], dict) else value
    del record["digest"]
    path.write_text(json.dumps({**record, "digest": digest(record)}))
    return path


class TestRecords:
    def test_of_another_cell_are_refused_by_name(self, store):
        for number in (1.0, 2.0):
            put(store, Square(number))
        theirs, mine = (store.folder(Square(number)) / "record.json" for number in (1.0, 2.0))
        mine.write_bytes(theirs.read_bytes())
        message = f"must be the record of square {Square(2.0).key}, but is that of square {Square(1.0).key}"
        for read in (
            lambda: store.get(Square(2.0)),
            lambda: store.table([Square(2.0)]),
            lambda: query(store, "SELECT * FROM square"),
        ):
            with pytest.raises(ValueError, match=message):
                read()
        assert store.get(Square(1.0)).row["square"] == 1.0

    @pytest.mark.parametrize(
        "changes",
        [
            {"measure": "triangle"},
            {"measure": 5},
            {"key": "0" * 20},
            {"measure_version": 2},
            {"measure_version": True},
            {"measure_version": "1"},
            {"row": {"square": "n/a"}},
            {"row": {"square": [1.0]}},
            {"row": {"square": {"a": 1}}},
            {"row": {"square": True}},
            {"row": {"square": float("inf")}},
            {"row": {"writer": 2**64}},
            {"row": {"text": "\ud800"}},
            {"row": {"unknown": 1}},
            {"row": {"number": 1}},
            {"row": []},
            {"cell": None},
            {"provenance": {"key": "again"}},
            {"provenance": {"seconds": [[]]}},
            {"more": 1},
        ],
    )
    def test_that_are_forged_are_refused_with_their_folder(self, store, changes):
        forge(store, Square(3.0), **changes)
        for read in (lambda: store.get(Square(3.0)), lambda: store.table([Square(3.0)])):
            with pytest.raises(ValueError, match=Square(3.0).key):
                read()
        with contextlib.suppress(ValueError):
            query(store, "SELECT * FROM square")

    def test_of_rows_that_conflict_block_nothing_else(self, store, complete):
        complete(store, Square(1.0), Square(2.0))
        forge(store, Square(3.0), row={"square": "n/a"})
        put_note(store)
        with pytest.raises(ValueError, match=rf"a word in {Square(3.0).key} \('n/a'\)"):
            query(store, "SELECT * FROM square")
        assert query(store, "SELECT * FROM note")["words"].to_pylist() == [3]
        assert store.table([Square(1.0), Square(2.0)]).column("square").to_pylist() == [1.0, 4.0]
        complete(store, Square(4.0))
        assert store.get(Square(4.0)).row["square"] == 16.0
        assert not (store.root / "tables" / "square.parquet").exists()


def put_note(store):
    @final
    @dataclass(frozen=True)
    class Note(Square):
        measure: ClassVar[str] = "note"
        columns: ClassVar[Mapping[str, type]] = {"words": int}

    cell = Note(1.0)
    folder = store.workplace(cell.key)
    folder.mkdir(parents=True)
    store.put(cell, compose(cell, {"words": 3}, {"seconds": 1.0}), folder)


class TestRowsThatDoNotFit:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"square": "n/a"}, "`square` must be a number or None in every row, as `columns` says, got 'n/a'"),
            ({"square": True}, "`square` must be a number or None"),
            ({"square": 10**400}, "`square` must be a number or None"),
            ({"square": [1]}, "`square` must be a number or None"),
            ({"square": torch.ones(())}, "`square` must be a number or None"),
            ({"writer": 1.5}, "`writer` must be a whole number or None"),
            ({"writer": 2**63}, "`writer` must be a whole number or None"),
            ({"good": 1}, "`good` must be True or False or None"),
            ({"text": 1}, "`text` must be a word or None"),
            ({"text": "\ud800"}, "`text` must be a word or None"),
            ({"error": "big"}, "`error` must be a number or None"),
            ({"other": 1}, "`columns` must declare every column that `row` returns, got other without a type"),
        ],
    )
    def test_are_their_own_cells_failure(self, store, complete, monkeypatch, row, message):
        right = Square.row
        monkeypatch.setattr(Square, "row", lambda cell, place: row if cell.number == 2 else right(cell, place))
        result = complete(store, Square(1.0), Square(2.0), Square(3.0))
        assert result.missing == (Square(2.0),)
        assert message in result.errors[Square(2.0).key]
        assert message in store.failure(Square(2.0))
        assert query(store, "SELECT square FROM square ORDER BY 1")["square"].to_pylist() == [1.0, 9.0]

    def test_whole_numbers_are_numbers_and_words_may_be_of_derived_classes(self, store, complete, monkeypatch):
        class Word(str):
            __slots__ = ()

        monkeypatch.setattr(Square, "row", lambda *_: {"square": 3, "text": Word("x"), "error": None})
        complete(store, Square(1.0))
        row = store.get(Square(1.0)).row
        assert (row["square"], type(row["square"]), row["text"], row["error_count"]) == (3.0, float, "x", None)

    @pytest.mark.parametrize(
        ("declared", "message"),
        [
            ({"columns": {"square": complex}}, "`columns` of Square must give the type of each column"),
            ({"columns": None}, "`columns` of Square must give the type of each column"),
            ({"measure": "../square"}, "`measure` of Square must be a word of letters, digits and _, got '../square'"),
        ],
    )
    def test_declarations_are_checked_before_anything_runs(self, monkeypatch, declared, message):
        for name, value in declared.items():
            monkeypatch.setattr(Square, name, value)
        with pytest.raises(ValueError, match=message):
            Sweep((Square(1.0),))


class TestAFullDisk:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
    def test_in_a_row_ends_the_sweep_and_is_no_cells_failure(self, store, complete, monkeypatch, number):
        right = Square.row

        def row(cell, place):
            if cell.number == 2:
                raise OSError(number, os.strerror(number))
            return right(cell, place)

        with monkeypatch.context() as patch:
            patch.setattr(Square, "row", row)
            with pytest.raises(OSError, match=rf"runs could not be written \({os.strerror(number)}\): free space"):
                complete(store, Square(1.0), Square(2.0), Square(3.0))
        assert store.get(Square(1.0)).row["square"] == 1.0
        assert not (store.root / "failed").exists()
        assert complete(store, Square(1.0), Square(2.0), Square(3.0)).missing == ()

    def test_elsewhere_is_the_cells_failure(self, store, complete, monkeypatch, tmp_path):
        def row(*_):
            raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "elsewhere" / "x"))

        monkeypatch.setattr(Square, "row", row)
        assert "Read-only" in complete(store, Square(1.0)).errors[Square(1.0).key]

    def test_that_libraries_meet_ends_the_sweep(self, tmp_path):
        done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "runs could not be written (File too large): free space" in done.stdout


FULL = """
import resource, signal, sys
from pathlib import Path
from superposition.sweeps import Store, Sweep, TrainedCell, run_sweep
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path(sys.argv[1]) / "runs")
cells = tuple(TrainedCell(64, m, 0.1, n_steps=5, n_held_out=10) for m in (2, 8, 32))
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))  # the checkpoint of all is longer
try:
    run_sweep(Sweep(cells), store)
except OSError as error:
    print(error)
assert not (store.root / "failed").exists()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert not run_sweep(Sweep(cells), store).missing
"""


def test_strays_are_passed_over(store, complete):
    complete(store, Square(1.0))
    for folder in (store.root, store.root / "done", store.root / "done" / "square", store.root / "work"):
        for name in (".DS_Store", "Thumbs.db", "x~", ".x.swp", "notes.txt"):
            (folder / name).write_text("stray")
        (folder / "a folder").mkdir()
    (store.root / "done" / "empty").mkdir()
    assert (store.measures(), store.keys("square")) == (["square"], [Square(1.0).key])
    result = complete(store, Square(1.0), Square(2.0))
    assert (result.measured, result.missing) == (1, ())
    assert query(store, "SELECT square FROM square ORDER BY 1")["square"].to_pylist() == [1.0, 4.0]


def test_a_folder_with_the_files_of_file_managers_alone_becomes_a_store(store, complete):
    store.root.mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (store.root / name).touch()
    assert complete(store, Square(1.0)).missing == ()


@pytest.mark.parametrize("name", ["work", "done", "failed", "tables", "done/square"])
def test_links_in_a_store_are_not_followed_when_it_is_written(store, complete, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    complete(store, Square(1.0))
    link = store.root / name
    if link.exists():
        link.rename(tmp_path / "moved")
    link.symlink_to(outside)
    with pytest.raises(OSError, match=f"{name} must be a folder, but is a symbolic link"):
        complete(store, Square(1.0), Square(2.0))
    assert list(outside.iterdir()) == []


def test_links_in_a_place_of_work_are_not_followed(store, complete, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    complete(store, Square(1.0))
    (unit,) = Plan.of(Sweep((Square(2.0),)), store).units
    place = store.workplace(unit.name)
    place.mkdir()
    (place / Square(2.0).key).symlink_to(outside)
    with pytest.raises(OSError, match="is a symbolic link that leads out of"):
        complete(store, Square(2.0))
    assert list(outside.iterdir()) == []


def test_a_store_may_itself_be_a_link(store, complete, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    store.root.symlink_to(tmp_path / "elsewhere")
    assert complete(store, Square(1.0)).missing == ()
    assert Store(tmp_path / "elsewhere").has(Square(1.0))


def test_what_killed_processes_left_of_finished_work_is_removed(store, complete):
    complete(store, Square(1.0))
    (unit,) = Plan.of(Sweep((Square(2.0),)), store).units
    for name in ("0" * 20, unit.name):
        (store.workplace(name)).mkdir()
        (store.workplace(name) / ".lock").touch()
    (store.workplace(unit.name) / Square(9.0).key).mkdir()  # begun
    for folder in ("failed", "tables", ""):
        (store.root / folder / ".0123456789abcdef.part").mkdir(parents=True)
    complete(store, Square(1.0))
    assert [path.name for path in (store.root / "work").iterdir()] == [unit.name]
    assert list(store.root.rglob("*.part")) == []


def test_a_damaged_batch_is_named(store, complete):
    complete(store, Square(1.0))
    _files.write_json(store.workplace("0" * 20) / "members.json", {"keys": 5})
    with pytest.raises(ValueError, match=r"members\.json is damaged: remove"):
        complete(store, Square(2.0))
