"""TOML as people write it: every fault is a ValueError that names the file."""

import json
import os

import pytest

from superposition._toml import Place, read_toml, validated


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = [" + b"[" * 5000 + b"]" * 5000 + b"]", "is no TOML file: its brackets are nested too deeply"),
        (b"x = {a=" * 3000, "is no TOML file: "),
        (b"x = " + b"9" * 5000, "is no TOML file: Exceeds the limit"),
        (b"x = 1979-02-31", "is no TOML file: "),
        (b"x = 1\nx = 2", "is no TOML file: "),
        (b"\xff\xfe", "is damaged"),
        (b"x = '\x00'", "is no TOML file: "),
        (b"#" * 2**21, "must be at most 1 MiB"),
    ],
)
def test_what_is_no_toml_is_explained(tmp_path, content, message):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_toml(path, "config")
    assert str(path) in str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", "/dev/zero", "/dev/stdin", "a\0b"):
        with pytest.raises(ValueError, match="must"):
            read_toml(type(tmp_path)(path), "config")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (float, 3, 3.0),
        (tuple[float, ...], [1, 2.5], (1.0, 2.5)),
        (int | None, 10**30, 10**30),
        (int, "32", None),
        (int, 32.0, None),
        (int, True, None),
        (bool, 1, None),
        (str, 5, None),
        (tuple[int, ...], 5, None),
    ],
)
def test_values_are_strictly_of_their_type(tmp_path, kind, value, expected):
    place = Place(tmp_path / "run.toml", "x")
    if expected is None:
        with pytest.raises(ValueError, match=rf"run.toml: `x` is not valid, got {json.dumps(value).title()}|'32'"):
            validated(kind, value, place)
    else:
        assert validated(kind, value, place) == expected
