"""The store: whole or absent, immutable, foreign and damaged ones explained, rows as tables."""

import json
import multiprocessing
import struct
from dataclasses import asdict, dataclass
from typing import ClassVar, final

import numpy as np
import pyarrow.parquet as pq
import pytest

from superposition import Estimate
from superposition.sweeps import Cell, Store, query
from superposition.sweeps.records import compose, flat


@final
@dataclass(frozen=True)
class Square(Cell):
    measure: ClassVar[str] = "square"
    version: ClassVar[int] = 1
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
    with pytest.raises(ValueError, match="the columns of square must have distinct names"):
        compose(Square(3.0), {"number": 1}, {})


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

    def test_is_the_same_compacted_or_not(self, store, complete):
        cells = [Square(float(k)) for k in range(5)]
        complete(store, *cells)
        path = store.root / "tables" / "square.parquet"
        assert pq.read_table(path).num_rows == 5
        put(store, Square(9.0))
        both = store.table([*cells, Square(9.0)])
        path.unlink()
        assert both.equals(store.table([*cells, Square(9.0)]))

    def test_forgets_cells_whose_folder_is_removed(self, store, complete, monkeypatch):
        import shutil

        complete(store, Square(1.0), Square(2.0))
        shutil.rmtree(store.folder(Square(1.0)))
        with pytest.raises(ValueError, match="1 are missing"):
            store.table([Square(1.0)])
        monkeypatch.setattr(Square, "row", lambda *_: {"square": -1.0})
        complete(store, Square(1.0))
        assert store.table([Square(1.0)]).column("square").to_pylist() == [-1.0]

    def test_joins_rows_of_other_columns(self, store):
        put(store, Square(1.0), old=1)
        put(store, Square(2.0), new="b")
        table = store.table([Square(1.0), Square(2.0)])
        assert table.column("old").to_pylist() == [1, None]
        assert table.column("new").to_pylist() == [None, "b"]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda _: b"",
            lambda _: b"no parquet",
            lambda content: content[:-20],
            lambda content: content.replace(b"square", b"squ\xffre"),  # the name of a column
        ],
    )
    def test_is_made_again_of_records_if_it_is_damaged(self, store, complete, damage):
        complete(store, Square(1.0))
        expected = store.table([Square(1.0)])
        path = store.root / "tables" / "square.parquet"
        path.write_bytes(damage(path.read_bytes()))
        assert store.table([Square(1.0)]).equals(expected)
        assert query(store, "SELECT square FROM square")["square"].to_pylist() == [1.0]
        complete(store, Square(1.0))
        assert pq.read_table(path).equals(expected)

    def test_is_never_a_foreign_or_altered_one(self, store, complete):
        complete(store, Square(1.0))
        expected = store.table([Square(1.0)])
        path = store.root / "tables" / "square.parquet"
        path.write_bytes(path.read_bytes().replace(struct.pack("<d", 1.0), struct.pack("<d", 2.0)))
        assert store.table([Square(1.0)]).equals(expected)
        pq.write_table(expected.select(["square"]), path)
        assert store.table([Square(1.0)]).equals(expected)


def test_flat_records_start_with_the_key():
    record = compose(Square(3.0), {"square": 9.0}, {"seconds": 1.0})
    assert list(flat(record)) == ["key", "measure_version", "number", "word", "square", "seconds"]
