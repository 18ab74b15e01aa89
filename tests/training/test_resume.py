import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from superposition import SparseFeatures, save, train
from superposition.training import loop
from superposition.training.loop import Loop


def interrupt_at(step, kind, monkeypatch):
    """Sends a signal to this process after a step."""
    advance = Loop._advance

    def advance_and_signal(self):
        advance(self)
        if self.step == step:
            os.kill(os.getpid(), kind)

    monkeypatch.setattr(Loop, "_advance", advance_and_signal)


def interrupted(small, folder, step, monkeypatch, **arguments):
    with monkeypatch.context() as patch:
        interrupt_at(step, signal.SIGINT, patch)
        with pytest.raises(KeyboardInterrupt):
            train(small.model(), small.features, small.config, folder=folder, n_held_out=10, **arguments)


def checkpoints(folder):
    return sorted(folder.glob("checkpoint-*.safetensors"))


@pytest.fixture
def frequent(monkeypatch):
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_CHECKPOINT_SHARE", 0)


@pytest.mark.parametrize(
    ("step", "window"), [(1, None), (7, None), (50, None), (59, None), (60, None), (7, 10), (19, 10), (20, 10)]
)
def test_an_interrupted_run_ends_as_a_straight_one(small, tmp_path, monkeypatch, same_weights, step, window):
    small.config = small.config.replace(stop_window=window)
    straight = train(small.model(), small.features, small.config, seed=4, n_held_out=10)
    assert step <= straight.steps
    interrupted(small, tmp_path, step, monkeypatch, seed=4)
    assert 1 <= len(checkpoints(tmp_path)) <= 2
    assert not (tmp_path / "record.json").exists()
    # The model given for resuming needs the sizes only.
    resumed = train(
        small.model(seed=9), small.features, small.config, seed=4, folder=tmp_path, resume=True, n_held_out=10
    )
    assert same_weights(resumed.model, straight.model)
    assert resumed.curve == straight.curve
    assert (resumed.steps, resumed.stopped, resumed.loss) == (straight.steps, straight.stopped, straight.loss)
    assert checkpoints(tmp_path) == []


def test_an_interruption_without_a_folder_just_ends(small, monkeypatch):
    interrupt_at(5, signal.SIGINT, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(small.model(), small.features, small.config)


@pytest.mark.parametrize("handler", ["ignored", "handled"])
def test_a_signal_that_does_not_end_the_process_lets_it_finish(small, monkeypatch, handler):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if handler == "ignored" else lambda *_: None)
    interrupt_at(5, signal.SIGINT, monkeypatch)
    try:
        run = train(small.model(), small.features, small.config, n_held_out=10)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (run.stopped, run.steps) == ("completed", 60)


SCRIPT = """
import sys
from superposition import Autoencoder, SparseFeatures, TrainingConfig, train
from superposition.training import loop
loop._CHECKPOINT_SECONDS = loop._CHECKPOINT_SHARE = 0
train(Autoencoder(12, 3), SparseFeatures(12, 0.2), TrainingConfig(n_steps=1500, batch_size=16),
      folder=sys.argv[1], n_held_out=10)
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM], ids=str)
def test_a_killed_process_is_resumed_to_the_same_end(small, tmp_path, same_weights, kind):
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment)
    deadline = time.monotonic() + 60
    while not checkpoints(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.Random(kind).uniform(0.0, 0.3))
    process.send_signal(kind)
    assert process.wait(60) == -kind
    assert 1 <= len(checkpoints(tmp_path)) <= 3
    config = small.config.replace(n_steps=1500)
    resumed = train(small.model(), small.features, config, folder=tmp_path, resume=True, n_held_out=10)
    straight = train(small.model(), small.features, config, n_held_out=10)
    assert same_weights(resumed.model, straight.model)
    assert resumed.loss == straight.loss
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "curve.parquet", "model.safetensors", "record.json"}


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_weight(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip_weight, lambda path: path.write_bytes(b"")])
@pytest.mark.usefixtures("frequent")
def test_a_damaged_newest_checkpoint_falls_back(small, tmp_path, monkeypatch, same_weights, damage):
    straight = train(small.model(), small.features, small.config, n_held_out=10)
    interrupted(small, tmp_path, 20, monkeypatch)
    older, newest = checkpoints(tmp_path)
    damage(newest)
    started = []
    resume = Loop.run
    monkeypatch.setattr(Loop, "run", lambda self, report: (started.append(self.step), resume(self, report))[1])
    resumed = train(small.model(), small.features, small.config, folder=tmp_path, resume=True, n_held_out=10)
    assert f"{started[0]:09d}" in older.name
    assert same_weights(resumed.model, straight.model)


@pytest.mark.usefixtures("frequent")
def test_no_flipped_byte_of_a_header_goes_unseen(small, tmp_path, monkeypatch, same_weights):
    interrupted(small, tmp_path, 20, monkeypatch)
    straight = train(small.model(), small.features, small.config, n_held_out=10)
    newest = checkpoints(tmp_path)[-1]
    content, older = newest.read_bytes(), checkpoints(tmp_path)[0].read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    positions = np.random.default_rng(0).choice(header, 30, replace=False).tolist()
    for position in [0, *positions]:
        for bit in (0x01, 0x04):
            for path in list(tmp_path.iterdir()):
                path.unlink()
            damaged = bytearray(content)
            damaged[position] ^= bit
            newest.write_bytes(damaged)
            newest.with_name("checkpoint-000000019.safetensors").write_bytes(older)
            run = train(small.model(), small.features, small.config, folder=tmp_path, resume=True, n_held_out=10)
            assert same_weights(run.model, straight.model), position


def test_every_checkpoint_damaged_is_explained(small, tmp_path, monkeypatch):
    interrupted(small, tmp_path, 20, monkeypatch)
    for path in checkpoints(tmp_path):
        truncate(path)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be used .* is damaged"):
        train(small.model(), small.features, small.config, folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, "`seed` must be that of the unfinished run in .*, 0, got 5"),
        ({"config": {"n_steps": 61}}, "`n_steps` must be that of the unfinished run in .*, '60', got '61'"),
        ({"config": {"learning_rate": 0.1}}, "`learning_rate` must be that of the unfinished run"),
        ({"features": SparseFeatures(12, 0.3)}, "`probability` must be that of the unfinished run"),
        ({"features": SparseFeatures(12, 0.2, importance=2.0)}, "`importance` must be that of the unfinished run"),
    ],
)
def test_another_configuration_is_refused(small, tmp_path, monkeypatch, change, message):
    interrupted(small, tmp_path, 20, monkeypatch)
    before = checkpoints(tmp_path)[0].read_bytes()
    config = small.config.replace(**change.pop("config", {}))
    with pytest.raises(ValueError, match=message):
        train(small.model(), **{"features": small.features, "config": config, **change}, folder=tmp_path, resume=True)
    assert checkpoints(tmp_path)[0].read_bytes() == before


def test_checkpoints_in_arrays_of_probabilities_resume(small, tmp_path, monkeypatch, same_weights):
    small.features = SparseFeatures(12, np.linspace(0.1, 0.3, 12) / 3, importance=np.linspace(0, 1, 12) / 7)
    straight = train(small.model(), small.features, small.config, n_held_out=10)
    interrupted(small, tmp_path, 20, monkeypatch)
    resumed = train(small.model(), small.features, small.config, folder=tmp_path, resume=True, n_held_out=10)
    assert same_weights(resumed.model, straight.model)


def test_unfinished_and_finished_folders_are_not_overwritten(small, tmp_path, monkeypatch):
    interrupted(small, tmp_path / "unfinished", 20, monkeypatch)
    with pytest.raises(FileExistsError, match="holds an unfinished run: resume it"):
        train(small.model(), small.features, small.config, folder=tmp_path / "unfinished")
    train(small.model(), small.features, small.config, folder=tmp_path / "finished", n_held_out=10)
    save(small.model(), tmp_path / "model")
    for folder in ("finished", "model"):
        for resume in (False, True):
            with pytest.raises(FileExistsError, match="already holds a result"):
                train(small.model(), small.features, small.config, folder=tmp_path / folder, resume=resume)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        train(small.model(), small.features, small.config, folder=tmp_path / "file")


def test_resume_without_checkpoints_starts(small, tmp_path):
    run = train(small.model(), small.features, small.config, folder=tmp_path / "new", resume=True, n_held_out=10)
    assert run.steps == 60


@pytest.mark.usefixtures("frequent")
def test_only_two_checkpoints_are_kept(small, tmp_path, monkeypatch):
    interrupted(small, tmp_path, 20, monkeypatch)
    assert [path.name for path in checkpoints(tmp_path)] == [f"checkpoint-{k:09d}.safetensors" for k in (19, 20)]


@pytest.mark.parametrize("failing", ["curve.parquet", "record.json", "config.json"])
def test_a_failure_while_the_result_is_written_can_be_resumed(small, tmp_path, monkeypatch, same_weights, failing):
    from superposition import _files

    replacing = _files.replacing

    def full(path):
        if path.name == failing:
            raise OSError(28, "No space left on device")
        return replacing(path)

    with monkeypatch.context() as patch:
        for module in (_files, _files.writing):
            patch.setattr(module, "replacing", full)
        with pytest.raises(OSError, match="No space"):
            train(small.model(), small.features, small.config, folder=tmp_path, n_held_out=10)
    resumed = train(small.model(), small.features, small.config, folder=tmp_path, resume=True, n_held_out=10)
    assert same_weights(resumed.model, train(small.model(), small.features, small.config, n_held_out=10).model)
    assert checkpoints(tmp_path) == []


FULL = """
import resource, sys
from superposition import Autoencoder, SparseFeatures, TrainingConfig, train
from superposition.training import loop
loop._CHECKPOINT_SECONDS = loop._CHECKPOINT_SHARE = 0
advance = loop.Loop._advance
def fill(self):
    advance(self)
    if self.step == 20:  # from now on no file may be longer than this: what a full disk does to a write
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
loop.Loop._advance = fill
train(Autoencoder(12, 3), SparseFeatures(12, 0.2), TrainingConfig(n_steps=60, batch_size=16), folder=sys.argv[1],
      n_held_out=10)
"""


def test_a_full_disk_leaves_the_last_checkpoint_to_go_on_from(small, tmp_path, same_weights):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "OSError" in done.stderr
    assert checkpoints(tmp_path)[-1].name == "checkpoint-000000019.safetensors"
    resumed = train(small.model(), small.features, small.config, folder=tmp_path, resume=True, n_held_out=10)
    assert same_weights(resumed.model, train(small.model(), small.features, small.config, n_held_out=10).model)
    assert not list(tmp_path.glob("*partial*"))
