import errno
import json
import os

import numpy as np
import pytest
import safetensors.torch
import torch

from superposition import Autoencoder, Constant, LinearAutoencoder, PersianRug, SparseFeatures, Uniform, load, save
from superposition.models import load_with_features

FEATURES = SparseFeatures(8, np.linspace(0.1, 1, 8), Uniform(0.5, 1.0), importance=np.arange(8.0))
SYMMETRIC = SparseFeatures(8, 0.1, Constant(2.0))
MODELS = {
    "tied": lambda: Autoencoder(8, 3, seed=4),
    "linear initialization": lambda: Autoencoder(8, 3, seed=4, initialization="linear"),
    "one dimension": lambda: Autoencoder(8, 1),
    "linear": lambda: LinearAutoencoder.fit(FEATURES, 3),
    "linear, one dimension": lambda: LinearAutoencoder.fit(FEATURES, 1),
    "rug": lambda: PersianRug.fit(SYMMETRIC, 3),
    "one feature": lambda: Autoencoder(1, 1),
}


def double():
    model = Autoencoder(8, 3).double()
    with torch.no_grad():
        model.W_enc *= np.pi
    return model


MODELS["double"] = double


@pytest.fixture
def folder(tmp_path):
    return save(Autoencoder(8, 3), tmp_path / "model", features=SYMMETRIC)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("features", [None, FEATURES, SYMMETRIC], ids=["none", "arrays", "symmetric"])
def test_round_trip_bit_for_bit(kind, features, tmp_path):
    model = MODELS[kind]()
    if features is not None and model.n_features == 1:
        features = SparseFeatures(1, 0.3)
    loaded = load_with_features(save(model, tmp_path / "a" / "b", features=features))
    assert type(loaded.model) is type(model)
    assert (loaded.model.n_features, loaded.model.n_hidden) == (model.n_features, model.n_hidden)
    assert loaded.features == features
    mine, theirs = model.state_dict(), loaded.model.state_dict()
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert mine[name].dtype == theirs[name].dtype
        assert torch.equal(mine[name], theirs[name])
    if kind != "double":
        x = torch.rand(5, model.n_features)
        assert torch.equal(model(x), loaded.model(x))
    pairs = zip(model.parameters(), loaded.model.parameters(), strict=True)
    assert all(mine.requires_grad == theirs.requires_grad for mine, theirs in pairs)


def test_files_are_those_promised(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert (config["format"], config["model"], config["n_features"], config["n_hidden"]) == (1, "Autoencoder", 8, 3)


def test_nothing_is_overwritten_unless_asked(folder):
    before = load(folder).W_enc.clone()
    with pytest.raises(FileExistsError, match="already holds a result"):
        save(Autoencoder(8, 3, seed=9), folder)
    assert torch.equal(load(folder).W_enc, before)
    save(Autoencoder(8, 3, seed=9), folder, overwrite=True)
    assert not torch.equal(load(folder).W_enc, before)


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def flip(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def edit(**changes):
    def apply(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return apply


def remove(name):
    return lambda folder: (folder / name).unlink()


def other_shapes(folder):
    other = save(Autoencoder(6, 3), folder.parent / "other")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    digest = json.loads((other / "config.json").read_text())["weights_digest"]
    edit(weights_digest=digest)(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "model.safetensors is damaged"),
        (flip, "model.safetensors is damaged"),
        (remove("model.safetensors"), "but model.safetensors is not there"),
        (remove("config.json"), "config.json is not there"),
        (lambda folder: (folder / "config.json").write_text('{"a"'), "config.json is damaged"),
        (
            lambda folder: (folder / "config.json").write_text('{"architectures": ["GPT2"]}'),
            "must have format 1 or 2, got None",
        ),
        (edit(format=3), "must have format 1 or 2, got 3"),
        (edit(model="Transformer"), "must be Autoencoder, LinearAutoencoder.* PersianRug.*, got 'Transformer'"),
        (edit(n_features=9), "does not fit model.safetensors"),
        (edit(model="PersianRug"), "does not fit model.safetensors"),
        (edit(features={"n_features": 8}), "features must have the keys"),
        (edit(features=5), "config.json does not fit|features must"),
        (other_shapes, "does not fit model.safetensors"),
    ],
)
def test_damaged_and_foreign_folders_are_explained(folder, damage, message):
    damage(folder)
    with pytest.raises(ValueError, match=message):
        load_with_features(folder)


def test_features_of_another_model_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`features` must be those of the model, 6, got 8"):
        save(Autoencoder(6, 3), tmp_path, features=FEATURES)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_weights_alone_is_refused(folder):
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load(folder / "model.safetensors")


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            save(Autoencoder(4, 2), place)


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("culprit", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_model(folder, monkeypatch, culprit):
    before = load(folder).W_enc
    monkeypatch.setattr(culprit, no_space)
    with pytest.raises(OSError, match="No space left"):
        save(Autoencoder(8, 3, seed=9), folder, overwrite=True)
    monkeypatch.undo()
    assert torch.equal(load(folder).W_enc, before)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_disk_that_fills_while_weights_are_written_is_an_os_error(folder):
    import signal

    resource = pytest.importorskip("resource")
    before, limits = load(folder).W_enc, resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(Autoencoder(64, 8), folder, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert torch.equal(load(folder).W_enc, before)


def test_weights_that_do_not_match_their_config_are_refused(folder, monkeypatch):
    from superposition import _files

    monkeypatch.setattr(_files, "write_json", no_space)
    with pytest.raises(OSError, match="No space left"):
        save(Autoencoder(8, 3, seed=9), folder, overwrite=True)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load(folder)


def test_other_tools_can_read_the_weights(folder):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "W_enc": (3, 8),
        "W_dec": (8, 3),
        "b_dec": (8,),
    }
