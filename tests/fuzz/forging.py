"""Strategies of forgeries on the files of the nursery."""

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.case import Step
from tests.fuzz.forgeries import TABLE_CHANGES, TENSORS
from tests.fuzz.nursery import FILES
from tests.fuzz.values import ABSURD_VALUES, ABSURD_WORDS

_WHERE = st.integers(0, 40)
_SHARE = st.floats(0, 1, exclude_max=True)
_VALUE = st.one_of(st.just("DEEP"), st.sampled_from(ABSURD_VALUES), st.integers(), st.floats(), st.text(max_size=5))
_HEADERS = (
    *(
        b"",
        b"{}",
        b"[]",
        b"{",
        b"null",
        b"\xff",
        b'{"a": 1}',
        b"{" * 100,
        b'{"a":' * 2000,
        b'{"__metadata__": {"a": 1}}',
    ),
    b'{"W_enc": {"dtype": "F32", "shape": [4294967295, 4294967295], "data_offsets": [0, 4]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [2, 8], "data_offsets": [0, 99999999999999]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [2, 8], "data_offsets": [64, 0]}}',
    b'{"W_enc": {"dtype": "X", "shape": [2, 8], "data_offsets": [0, 64]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "W_enc": {"dtype": "F32", "shape": [-1]}}',
)
_MEMBERS = (
    *(".DS_Store", "Thumbs.db", "notes.txt", ".hidden/x", "[red]/x", "x\ny", "a" * 200, "\x1b[31m", ".lock", ".x.part"),
    *("done/.DS_Store", "done/trained/.DS_Store", "done/file", "done/trained/file", "done/trained/x/record.json"),
    *("done/[red]/x/record.json", "done/x y/z/record.json", "done/trained/../x", "failed/trained-x.json", "work/x/y"),
    *("work/x/members.json", "tables/other.parquet", "tables/trained.parquet", "checkpoint-000000009.safetensors"),
    *("checkpoint-x.safetensors", "figure-.json", "figure-Z9.json", "figure-1.json", "figure-A2-reference.svg"),
    "done/é/k/record.json",
)  # fmt: skip


@st.composite
def _of_file(draw: st.DrawFn, fixture: str) -> Step:
    """Returns one operation on one file of a fixture."""
    pattern = draw(st.sampled_from(FILES[fixture]))
    path = f"{fixture}/{pattern}"
    kinds: list[tuple[Any, ...]] = [
        ("flip", _SHARE, st.integers(0, 7)),
        ("truncate", _SHARE),
        ("zero", _SHARE),
        ("append", st.sampled_from([b"\x00", b"}", b"{}", b"\n", b"x" * 100000])),
        (
            "write",
            st.sampled_from([b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100000, b'{"a":' * 5000, b"NaN", b"PAR1"]),
        ),
        ("swap", st.sampled_from([pattern, pattern.rsplit("/", 1)[-1]])),
    ]
    rare: list[tuple[Any, ...]] = [
        ("remove",),
        ("folder",),
        ("fifo",),
        ("link", st.sampled_from(["/dev/zero", "/dev/null", "../victim/precious", "self", "/proc/self/mem", "."])),
        ("sparse", st.sampled_from([1, 1 << 20, 1 << 32])),
        ("rename", st.sampled_from(["other.json", "[red].json", ".hidden"])),
    ]
    if pattern.endswith(".json"):
        json_kinds: list[tuple[Any, ...]] = [
            ("json_set", _WHERE, _VALUE, st.sampled_from([True, True, False])),
            ("json_drop", _WHERE, st.booleans()),
            ("json_add", _WHERE, st.sampled_from(ABSURD_WORDS[:30]), _VALUE, st.booleans()),
            ("json_twice", _WHERE, _VALUE),
        ]
        kinds += [*json_kinds, *json_kinds[:1] * 6]
    if pattern.endswith(".safetensors"):
        tensor = ("forge_tensor", _WHERE, st.sampled_from(TENSORS))
        kinds += [tensor] * 6 + [
            ("forge_header", st.sampled_from([-1, -1, 0, 7, 2**40, 2**63 + 5]), st.sampled_from(_HEADERS))
        ]
    if "checkpoint" in pattern:
        kinds += [("forge_metadata", st.sampled_from(_METADATA), st.sampled_from(_METADATA_VALUES))] * 3
    if pattern.endswith(".parquet"):
        kinds += [("table", _WHERE, st.sampled_from(TABLE_CHANGES))] * 5
    name, *parameters = draw(st.sampled_from(rare if draw(st.integers(0, 6)) == 0 else kinds))
    return (name, path, *map(draw, parameters))


_METADATA = ("step", "step", "digest", "n_hidden", "n_steps", "seed", "law", "x", "n_features")
_METADATA_VALUES = ("-1", "0", "3", "4", "5", "x", "", "9" * 5000, "1e9", "nan", "٣", "[red]", "999999999999999999999")


@st.composite
def forged(draw: st.DrawFn, fixture: str) -> tuple[Step, ...]:
    """Returns one to three operations on a fixture."""
    steps = [draw(_of_file(fixture)) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))]
    if draw(st.integers(0, 7)) == 0:
        content = draw(
            st.sampled_from([b"", b"{}", b"x", b'{"keys": 1}', b'{"digest": "x"}', b'{"keys": ["x"]}', b"PAR1"])
        )
        steps.append(("write", f"{fixture}/{draw(st.sampled_from(_MEMBERS))}", content))
    return tuple(steps)
