import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from superposition import _files
from superposition._files import locked


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_round_trip_makes_missing_folders(tmp_path):
    path = tmp_path / "a" / "b" / "x.json"
    _files.write_json(path, {"b": 1, "a": [1.5, None]})
    assert _files.read_json(path, "thing") == {"b": 1, "a": [1.5, None]}
    assert path.read_text().index('"b"') < path.read_text().index('"a"')


@pytest.mark.parametrize("culprit", ["os.fsync", "pathlib.Path.write_text", "os.replace", "pathlib.Path.mkdir"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, culprit):
    path = tmp_path / "x.json"
    _files.write_json(path, {"old": 1})
    monkeypatch.setattr(culprit, no_space)
    with pytest.raises(OSError, match="No space left"):
        _files.write_json(path, {"new": 2})
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {"old": 1}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_half_way_leaves_the_old_file(tmp_path, failure):
    path = tmp_path / "x"
    path.write_text("old")

    def write_half():
        with _files.replacing(path) as temporary:
            temporary.write_text("ne")
            raise failure

    with pytest.raises(failure):
        write_half()
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_nothing_is_visible_before_the_block_ends(tmp_path):
    path = tmp_path / "x"
    with _files.replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.stat().st_dev == path.parent.stat().st_dev
    assert path.read_text() == "new"


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        _files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_digest_sees_every_byte(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(100))
    before = _files.digest(path)
    assert len(before) == 32
    for position in (0, 50, 99):
        content = bytearray(100)
        content[position] = 1
        path.write_bytes(content)
        assert _files.digest(path) != before


def test_vacant(tmp_path):
    assert _files.vacant(tmp_path / "new", "done") == tmp_path / "new"
    assert _files.vacant(tmp_path, "done") == tmp_path
    (tmp_path / "done").touch()
    with pytest.raises(FileExistsError, match="already holds a result"):
        _files.vacant(tmp_path, "done")
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        _files.vacant(Path(tmp_path / "done"), "done")


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_text("mine")
    return path


class TestLock:
    @pytest.mark.parametrize(
        ("plant", "what"),
        [
            (lambda lock, victim: lock.symlink_to(victim), "a symbolic link"),
            (lambda lock, victim: lock.symlink_to(victim.parent / "new"), "a symbolic link"),
            (lambda lock, _: os.mkfifo(lock), "a pipe"),
            (lambda lock, _: lock.mkdir(), "a folder"),
        ],
    )
    def test_that_is_no_file_of_ours_is_refused_and_left(self, tmp_path, victim, plant, what):
        folder = tmp_path / "out"
        folder.mkdir()
        plant(folder / ".lock", victim)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(OSError, match=f"must be a file that superposition makes, but is {what}"), locked(folder):
            pass
        assert sorted(tmp_path.rglob("*")) == before
        assert victim.read_text() == "mine"

    def test_never_empties_what_it_shares_its_content_with(self, tmp_path, victim):
        folder = tmp_path / "out"
        folder.mkdir()
        (folder / ".lock").hardlink_to(victim)
        with locked(folder):
            pass
        assert victim.read_text() == "mine"
        assert not (folder / ".lock").exists()

    def test_keeps_others_out_and_is_gone_after(self, tmp_path):
        with locked(tmp_path), pytest.raises(FileExistsError, match="in use by another process"), locked(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_of_a_killed_process_is_free(self, tmp_path):
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert done.returncode == -9
        assert sorted(path.name for path in tmp_path.iterdir())[1] == ".lock"
        with locked(tmp_path):
            pass


KILLED = """
import os, sys
from pathlib import Path
from superposition import _files
with _files.locked(Path(sys.argv[1])), _files.replacing(Path(sys.argv[1], "x")) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""


class TestPartial:
    def test_of_a_killed_writer_is_removed_by_the_next(self, tmp_path):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert len(leftovers(tmp_path)) == 1
        _files.write_json(tmp_path / "other.json", {})
        assert leftovers(tmp_path) == []

    def test_of_a_living_writer_is_left_alone(self, tmp_path):
        with _files.replacing(tmp_path / "x") as temporary:
            temporary.write_text("new")
            _files.remove_partial(tmp_path)
            _files.write_json(tmp_path / "other.json", {})
            assert len(leftovers(tmp_path)) == 1
        assert (tmp_path / "x").read_text() == "new"
        assert leftovers(tmp_path) == []

    def test_looks_alike_and_is_not_ours(self, tmp_path, victim):
        names = [".x.part", ".0123.part", "0123456789abcdef.part", ".0123456789abcdef.part.txt"]
        for name in names:
            (tmp_path / name).touch()
        (tmp_path / ".0123456789abcdef.part").symlink_to(victim.parent / "elsewhere")
        (tmp_path / "elsewhere").mkdir()
        before = sorted(tmp_path.rglob("*"))
        _files.remove_partial(tmp_path)
        assert sorted(tmp_path.rglob("*")) == before


def test_a_link_is_replaced_and_not_followed(tmp_path, victim):
    (tmp_path / "x.json").symlink_to(victim)
    _files.write_json(tmp_path / "x.json", {"new": 1})
    assert victim.read_text() == "mine"
    assert not (tmp_path / "x.json").is_symlink()


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
def test_the_umask_is_obeyed_by_every_kind_of_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        _files.write_json(tmp_path / "a" / "x.json", {})
        _files.write_tensors(tmp_path / "a" / "x.safetensors", {"x": torch.zeros(3)})
        with _files.replacing(tmp_path / "a" / "x.parquet") as temporary:
            pq.write_table(pa.table({"x": [1]}), temporary)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a").iterdir()} == {0o666 & ~mask}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o777 & ~mask


class TestPublish:
    def test_moves_a_folder_into_place_without_what_is_half_written(self, tmp_path):
        folder = tmp_path / "work"
        subprocess.run([sys.executable, "-c", KILLED, str(folder / "run")], check=False)
        (folder / "x").write_text("x")
        (folder / "link").symlink_to("x")
        _files.publish(folder, tmp_path / "done" / "a")
        assert not folder.exists()
        assert leftovers(tmp_path / "done" / "a" / "run") == []
        assert (tmp_path / "done" / "a" / "link").read_text() == "x"

    def test_replaces_nothing(self, tmp_path):
        for name in ("work", "done"):
            _files.write_json(tmp_path / name / "x.json", {name: 1})
        with pytest.raises(OSError, match="done could not be written"):
            _files.publish(tmp_path / "work", tmp_path / "done")
        assert _files.read_json(tmp_path / "done" / "x.json", "thing") == {"done": 1}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG])
def test_faults_of_disks_are_known_through_what_they_led_to(number):
    def fail():
        try:
            raise OSError(number, "so")
        except OSError as error:
            raise RuntimeError("could not save") from error

    with pytest.raises(RuntimeError) as found:
        fail()
    assert _files.disk_fault(found.value).errno == number
    assert _files.disk_fault(ValueError("so")) is None
    assert _files.disk_fault(PermissionError(errno.EACCES, "so")) is None


class TestTables:
    def test_are_read_back(self, tmp_path):
        pq.write_table(pa.table({"step": [1, 2], "loss": [0.5, 0.25]}), tmp_path / "x")
        found = _files.read_table(tmp_path / "x", "curve", {"step": "int64", "loss": "double"})
        assert found.column("loss").to_pylist() == [0.5, 0.25]

    @pytest.mark.parametrize(
        "columns", [{"step": [1.0]}, {"step": ["1"]}, {"step": [None]}, {"step": [[1]]}, {"other": [1]}, {}]
    )
    def test_of_other_columns_are_refused(self, tmp_path, columns):
        pq.write_table(pa.table(columns), tmp_path / "x")
        with pytest.raises(ValueError, match="x must have a column `step` of type int64 to be a curve"):
            _files.read_table(tmp_path / "x", "curve", {"step": "int64"})

    def test_that_claim_more_than_there_can_be_are_refused(self, tmp_path):
        schema = pa.schema([("a", pa.null())])
        with pq.ParquetWriter(tmp_path / "x", schema) as writer:
            for _ in range(5):
                writer.write_table(pa.table({"a": pa.nulls(2**26)}))
        assert (tmp_path / "x").stat().st_size < 1e6
        with pytest.raises(ValueError, match="it claims 335544320 values"):
            _files.read_table(tmp_path / "x", "curve")

    def test_no_damage_escapes_as_anything_but_a_value_error(self, tmp_path):
        path, random = tmp_path / "x", np.random.default_rng(0)
        pq.write_table(pa.table({"step": list(range(50)), "word": ["a", "b"] * 25}), path)
        content = path.read_bytes()
        n_refused = 0
        for _ in range(300):
            damaged = bytearray(content)
            for place in random.choice(len(content), 3):
                damaged[place] = random.integers(256)
            path.write_bytes(damaged[: random.integers(1, len(content))] if random.random() < 0.2 else damaged)
            try:
                _files.read_table(path, "table", {"step": "int64"})
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017
                n_refused += 1
        assert n_refused > 100
