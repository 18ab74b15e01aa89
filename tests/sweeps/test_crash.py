"""After a crash at any moment a store, a checkpoint and a file read as before or as after, and never in between."""

import hashlib

import pytest
import torch

from superposition import _files
from superposition._progress import Display
from superposition.sweeps import Store, Sweep, run_sweep
from superposition.training import checkpoint
from tests.crashes import Recorder, disks, lay
from tests.sweeps.conftest import CELL
from tests.sweeps.napping import naps


class Case:
    """What is written, and how it is read: by name, each of which must be as before or as after."""

    def __init__(self, log):
        self.log = log

    def before(self, root):
        pass


class File(Case):
    def before(self, root):
        _files.write_json(root / "a" / "x.json", {"value": 1})

    def write(self, root):
        _files.write_json(root / "a" / "x.json", {"value": 2})
        _files.write_json(root / "b" / "c" / "y.json", {"value": 3})

    def read(self, root):
        found = [path for path in (root / "a" / "x.json", root / "b" / "c" / "y.json") if path.exists()]
        return {path.name: _files.read_json(path, "thing") for path in found}


class Checkpoints(Case):
    def save(self, root, step):
        checkpoint.write(root / "run", step, {"losses": torch.full((200,), float(step))}, {"seed": 0})

    def before(self, root):
        self.save(root, 1)
        self.save(root, 2)

    def write(self, root):
        self.save(root, 3)

    def read(self, root):
        step, tensors = checkpoint.restore(root / "run", {"seed": 0}, lambda _: {"losses": torch.zeros(200)})
        return {"run": (step, float(tensors["losses"].mean()))}


class Cells(Case):
    """Cells of a store that is not there yet: some that write a file each, or one that is trained."""

    cells = property(lambda self: naps(self.log, 2, 0))

    def write(self, root):
        with Display() as display:
            result = run_sweep(Sweep(self.cells), Store(root / "runs"), display=display)
        assert not result.missing, result.errors

    def read(self, root):
        store = Store(root / "runs")
        store.check_format()
        found = {}
        for cell in self.cells:
            if not store.missing([cell]):
                folder = store.get(cell).folder
                files = sorted(path for path in folder.rglob("*") if path.is_file())
                content = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()
                found[cell.key] = (store.get(cell).row, len(files), content)
        return found


class Trained(Cells):
    cells = (CELL,)


def recorded(case, root, monkeypatch):
    root.mkdir()
    case.before(root)
    before, recorder = case.read(root), Recorder(root)
    with monkeypatch.context() as patch:
        recorder.watch(patch)
        case.write(root)
    assert case.read(root) != before
    return recorder, before, case.read(root)


def violations(recorder, case, before, after, place):
    """Returns what is read where something is neither as before nor as after, or not as after the last call."""
    found, n_disks = [], 0
    for moment, disk, held in disks(recorder):
        lay(disk, held, recorder.number(recorder.root.stat()), place)
        n_disks += 1
        try:
            state = case.read(place)
        except (ValueError, OSError) as error:
            found.append((moment, str(error)))
            continue
        is_one = all(state.get(name) in (before.get(name), after[name]) for name in {*before, *after, *state})
        if not is_one or (moment == len(recorder.events) and state != after):
            found.append((moment, state))
    assert n_disks > 30
    return found


@pytest.mark.parametrize("kind", [File, Checkpoints, Cells, pytest.param(Trained, marks=pytest.mark.slow)])
def test_every_crash_leaves_what_was_there_before_or_after(kind, tmp_path, monkeypatch):
    case = kind(tmp_path / "log")
    recorder, before, after = recorded(case, tmp_path / "disk", monkeypatch)
    assert violations(recorder, case, before, after, tmp_path / "after a crash") == []


@pytest.mark.parametrize("kind", [File, Checkpoints, Cells])
@pytest.mark.parametrize("forgotten", ["files", "folders"])
def test_the_replay_finds_what_is_not_forced_to_disk(kind, forgotten, tmp_path, monkeypatch):
    case = kind(tmp_path / "log")
    recorder, before, after = recorded(case, tmp_path / "disk", monkeypatch)
    kept = [event[0] == "names" or (event[1] in recorder.files) != (forgotten == "files") for event in recorder.events]
    recorder.contents = [content for content, keep in zip(recorder.contents, kept, strict=True) if keep]
    recorder.events = [event for event, keep in zip(recorder.events, kept, strict=True) if keep]
    assert violations(recorder, case, before, after, tmp_path / "after a crash") != []
