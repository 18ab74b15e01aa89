"""Reading of whatever a path may lead to: one line about it, and never a wait."""

import errno
import os
import socket

import pytest

from superposition import _files


def fifo(path):
    os.mkfifo(path)


def listening(path):
    socket.socket(socket.AF_UNIX).bind(str(path))


def zero(path):
    path.symlink_to("/dev/zero")


def loop(path):
    path.symlink_to(path)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    return tmp_path / "x.json"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (fifo, "must be in a regular file, but .*x.json is a pipe"),
        (zero, "must be in a regular file, but .*x.json is a device"),
        (lambda path: path.mkdir(), "must be in a regular file, but .*x.json is a folder"),
        (listening, r"must be in a readable file, got .*x.json \(No such device or address\)"),
        (loop, r"must be in a readable file, got .*x.json \(Too many levels of symbolic links\)"),
        (lambda path: path.symlink_to(path.parent / "gone"), "must be in .*, but x.json is not there"),
    ],
)
@pytest.mark.parametrize("read", [_files.read_text, _files.read_json, _files.check_regular])
def test_what_is_no_regular_file_is_refused_at_once(place, make, message, read):
    make(place if make is not listening else place.relative_to(place.parent))
    with pytest.raises(ValueError, match=f"thing {message}"):
        read(place, "thing")


def test_paths_that_no_system_takes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a path must hold no NUL character"):
        _files.read_text(tmp_path / "a\0b", "thing")
    with pytest.raises(ValueError, match="File name too long"):
        _files.read_text(tmp_path / ("a" * 300), "thing")


def test_a_link_to_a_regular_file_is_read(place):
    place.with_name("other").write_text("{}")
    place.symlink_to("other")
    assert _files.read_json(place, "thing") == {}


def test_a_file_may_have_just_so_many_bytes(place):
    place.write_bytes(b"x" * 1000)
    assert _files.read_bytes(place, "thing", most=1000) == b"x" * 1000
    with pytest.raises(ValueError, match=r"x.json must be at most 0.000952721 MiB to be a thing"):
        _files.read_bytes(place, "thing", most=999)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "x.json is damaged"),
        (b"\xff\xfe", "x.json is damaged .*UTF-8"),
        (b"[1]", "must hold a JSON object, got list: it is no thing"),
        (b"[" * 100_000, "x.json is damaged"),
        (b'{"a":' * 100_000, "x.json is damaged"),
        (b'{"a": NaN}', r"x.json is damaged \(NaN is not JSON\)"),
        (b'{"a": -Infinity}', r"x.json is damaged \(-Infinity is not JSON\)"),
        (b'{"a": ' + b"9" * 5000 + b"}", "x.json is damaged"),
    ],
)
def test_what_is_no_json_object_is_refused(place, content, message):
    place.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        _files.read_json(place, "thing")


def test_a_fault_of_the_disk_is_no_bad_input(place, monkeypatch):
    place.write_text("{}")

    def fail(*_args, **_kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match=r"x\.json could not be read \(Input/output error\)") as found:
        _files.read_text(place, "thing")
    assert found.value.errno == errno.EIO
