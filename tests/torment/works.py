"""Small pieces of work that the program can be killed in, and what must be there in the end."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SWEEP = """\
measure = "trained"
[cells]
n_features = 12
n_hidden = [2, 3, 4]
probability = [0.2, 0.4, 0.6]
n_steps = 150
batch_size = 16
n_held_out = 500
"""
_TRAIN = (
    *("train", "--n-features", "12", "--n-hidden", "3", "--probability", "0.2", "--n-steps", "300"),
    *("--batch-size", "16", "--n-held-out", "2000"),
)
# Of records: what is another each time.
_OTHER_EACH_TIME = {"seconds", "finished", "digest", "started", "commit"}


@dataclass(frozen=True)
class Work:
    """A command and what it leaves.

    Attributes:
        arguments: Of the first call, for a folder.
        again: Of every further one.
        finished: Whether nothing is left to be done in a folder.
        victims: What is killed: `driver`, `worker`, `nanny`.
        weight: How often it is drawn.
        like: The work whose uninterrupted run leaves the same.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    finished: Callable[[Path], bool]
    victims: tuple[str, ...] = ("driver",)
    weight: int = 1
    like: str = ""


def _train(folder: Path) -> list[str]:
    return [*_TRAIN, "--out", str(folder)]


def _sweep(folder: Path, *more: str) -> list[str]:
    description = folder.parent / "sweep.toml"
    if not description.exists():
        description.write_text(SWEEP, encoding="utf-8")
    return ["sweep", str(description), "--out", str(folder), *more]


def _reproduce(folder: Path) -> list[str]:
    return ["reproduce", "--figures", "3", "A2", "--out", str(folder)]


def _workers(folder: Path) -> list[str]:
    return _sweep(folder, "--workers", "2")


def _remote(folder: Path) -> list[str]:
    return _sweep(folder, "--scheduler", (folder.parent / "address").read_text())


def _never(folder: Path) -> bool:  # noqa: ARG001
    return False


def _run_is_saved(folder: Path) -> bool:
    """Whether a run is done: the same command would be refused."""
    return (folder / "record.json").exists() and not list(folder.glob("checkpoint-*"))


WORKS = (
    Work("train", _train, lambda folder: [*_train(folder), "--resume"], _run_is_saved, weight=5),
    Work("sweep", _sweep, _sweep, _never, weight=5),
    Work("reproduce", _reproduce, _reproduce, _never, weight=2),
    Work("workers", _workers, _workers, _never, victims=("driver", "worker", "worker"), weight=3, like="sweep"),
    Work("remote", _remote, _remote, _never, victims=("driver", "worker", "nanny"), weight=2, like="sweep"),
)


def prepare() -> None:
    """Makes this process, and its forks, write checkpoints often and reproduce the smallest of figures."""
    import superposition.cli.program  # noqa: F401  (in a fork it would load outside the program's answer to Ctrl-C)
    from superposition.figures.presets import PRESETS, QUICK
    from superposition.training import loop

    loop._CHECKPOINT_SECONDS, loop._CHECKPOINT_SHARE = 0.02, 0
    PRESETS["quick"] = replace(QUICK, portrait_size=12, portrait_steps=100)


def content(folder: Path) -> dict[str, Any]:
    """Returns what is in a folder by path, without what is another each time."""
    return {
        str(path.relative_to(folder)): _plain(path)
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() or not any(path.iterdir())  # a folder is something where it is empty
    }


def _plain(path: Path) -> Any:
    if path.is_dir():
        return "empty folder"
    if path.suffix == ".json":
        return _without(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(path)
        found = [_without(row) for row in rows.to_pylist()]
        return sorted(map(repr, found)) if path.parent.name == "tables" else repr(found)
    return path.read_bytes()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(each) for key, each in value.items() if key not in _OTHER_EACH_TIME}
    return [_without(each) for each in value] if isinstance(value, list) else value
