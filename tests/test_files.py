import errno
import json
import os
from pathlib import Path

import pytest

from superposition import _files


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_round_trip_makes_missing_folders(tmp_path):
    path = tmp_path / "a" / "b" / "x.json"
    _files.write_json(path, {"b": 1, "a": [1.5, None]})
    assert _files.read_json(path, "thing") == {"b": 1, "a": [1.5, None]}
    assert path.read_text().index('"b"') < path.read_text().index('"a"')


@pytest.mark.parametrize("culprit", ["os.fsync", "pathlib.Path.write_text", "pathlib.Path.replace"])
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
        assert temporary.parent == path.parent
    assert path.read_text() == "new"


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        _files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a model must be in .*x.json is not there"),
        (b"{", "x.json is damaged"),
        (b"\xff\xfe", "x.json is damaged"),
        (b"[1]", "must hold a JSON object, got list: it is no a model"),
    ],
)
def test_unreadable_json_is_explained(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        _files.read_json(path, "a model")


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
