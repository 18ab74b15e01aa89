"""Files that fit their digests and hold what this program never wrote are refused by name."""

import json
import signal
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from superposition import (
    Autoencoder,
    LinearAutoencoder,
    PersianRug,
    SparseFeatures,
    TrainingConfig,
    _files,
    load,
    save,
    train,
)
from superposition._files import digest
from superposition.models import load_with_features
from superposition.training import checkpoint
from superposition.training.storage import read_curve

FEATURES = SparseFeatures(8, 0.1)
SAVED = {
    "Autoencoder": lambda: Autoencoder(8, 3),
    "LinearAutoencoder": lambda: LinearAutoencoder.fit(FEATURES, 3),
    "PersianRug": lambda: PersianRug.fit(FEATURES, 3),
}


@pytest.fixture(params=SAVED)
def folder(request, tmp_path):
    return save(SAVED[request.param](), tmp_path / "model", features=FEATURES)


def forge(folder, *, config=None, tensors=None):
    """Replaces parts of a saved model, and makes its digest fit."""
    weights, path = folder / "model.safetensors", folder / "config.json"
    found = safetensors.torch.load_file(weights) | (tensors or {})
    safetensors.torch.save_file({name: t for name, t in found.items() if t is not None}, weights)
    described = json.loads(path.read_text()) | (config or {}) | {"weights_digest": digest(weights)}
    path.write_text(json.dumps(described))


CONFIGS = [
    {"n_features": 2**31 - 1},
    {"n_features": 2**70},
    {"n_features": -8},
    {"n_features": 0},
    {"n_features": 8.0},
    {"n_features": True},
    {"n_features": "8"},
    {"n_features": None},
    {"n_features": [8]},
    {"n_features": 16},
    {"n_hidden": 2**31 - 1},
    {"n_hidden": 4},
    {"n_hidden": 0},
    {"n_hidden": {}},
    {"model": ["Autoencoder"]},
    {"model": {}},
    {"model": None},
    {"model": "Model"},
    {"features": []},
    {"features": {"n_features": 8}},
    {"features": SparseFeatures(9, 0.1).to_config()},
    {"features": FEATURES.to_config() | {"law": {"name": []}}},
    {"features": FEATURES.to_config() | {"law": {"name": "Uniform", "low": "x"}}},
    {"features": FEATURES.to_config() | {"law": {"name": "Uniform", "low": 10**400}}},
    {"features": FEATURES.to_config() | {"law": {"name": "Empirical", "values": [[1]]}}},
    {"features": FEATURES.to_config() | {"law": {"name": "Empirical", "values": {"a": 1}}}},
    {"features": FEATURES.to_config() | {"probability": [[0.1] * 8]}},
    {"features": FEATURES.to_config() | {"probability": {}}},
    {"features": FEATURES.to_config() | {"importance": [10**400]}},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_configs_that_disagree_with_their_tensors(folder, config):
    forge(folder, config=config)
    with pytest.raises(ValueError, match=r"config\.json|model\.safetensors"):
        load_with_features(folder)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_scales_of_rugs(tmp_path, value):
    folder = save(PersianRug.fit(FEATURES, 3), tmp_path / "model")
    forge(folder, tensors={"scale": torch.tensor(value, dtype=torch.float64)})
    with pytest.raises(ValueError, match=r"config\.json|model\.safetensors"):
        load(folder)


@pytest.mark.parametrize(
    "rows", [[0, 1, 8], [0, 1, 1], [-1, 0, 1], [2, 1, 0], [2**62, 1, 0], [0, 1], [[0, 1, 2]]], ids=str
)
def test_rows_of_rugs(tmp_path, rows):
    folder = save(PersianRug.fit(FEATURES, 3), tmp_path / "model")
    forge(folder, tensors={"rows": torch.tensor(rows)})
    with pytest.raises(ValueError, match=r"config\.json does not fit"):
        load(folder)


def random_tensor(random):
    shape = random.choice([0, 1, 3, 8], size=random.integers(0, 4)).tolist()
    types = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int8, torch.bool]
    types += [torch.complex64, torch.float8_e4m3fn, torch.uint8]
    tensor = torch.rand(shape).to(types[random.integers(len(types))])
    if random.random() < 0.2 and tensor.numel() and tensor.is_floating_point() and tensor.element_size() > 1:
        tensor.view(-1)[0] = float("nan")
    return tensor


def test_tensors_of_any_name_shape_and_type(folder):
    """Either refused, or a model whose tensors are all that it needs."""
    random, weights, config = np.random.default_rng(0), folder / "model.safetensors", folder / "config.json"
    right = safetensors.torch.load_file(weights)
    described = json.loads(config.read_text())
    n_refused = 0
    for _ in range(150):
        names = [name for name in right if random.random() < 0.8]
        names += ["more"] if random.random() < 0.2 else []
        forged = {name: random_tensor(random) if random.random() < 0.4 else right.get(name) for name in names}
        forged = {name: torch.zeros(1) if tensor is None else tensor for name, tensor in forged.items()}
        safetensors.torch.save_file(forged, weights)
        config.write_text(json.dumps(described | {"weights_digest": digest(weights)}))
        try:
            model = load(folder)
        except ValueError as error:
            assert str(folder) in str(error)  # noqa: PT017
            n_refused += 1
        else:
            assert model(torch.rand(2, 8, dtype=next(iter(model.state_dict().values())).dtype)).shape == (2, 8)
    assert 100 < n_refused < 150


HEADERS = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"W_enc": 5}',
    b'{"W_enc": {"dtype": "F32", "shape": [3, 8], "data_offsets": [0, 96000000000]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [1000000000, 1000000000], "data_offsets": [0, 96]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [18446744073709551615, 2], "data_offsets": [0, 96]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [-3, 8], "data_offsets": [0, 96]}}',
    b'{"W_enc": {"dtype": "F99", "shape": [3, 8], "data_offsets": [0, 96]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [3, 8], "data_offsets": [96, 0]}}',
    b'{"W_enc": {"dtype": "F4", "shape": [3, 64], "data_offsets": [0, 96]}}',
    b'{"W_enc": {"dtype": "F32", "shape": [3, 8], "data_offsets": [0, 96]}, "__metadata__": 5}',
    b"[" * 100000,
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize("length", [None, 0, 2**63, 2**64 - 1])
def test_headers_that_lie(folder, header, length):
    weights, config = folder / "model.safetensors", folder / "config.json"
    weights.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + bytes(96))
    config.write_text(json.dumps(json.loads(config.read_text()) | {"weights_digest": digest(weights)}))
    with pytest.raises(ValueError, match=r"config\.json|model\.safetensors"):
        load(folder)


COLUMNS = {"step": [50, 100], "loss": [0.5, 0.25], "standard_error": [0.1, float("nan")]}


@pytest.mark.parametrize(
    "changes",
    [
        {"step": None},
        {"step": ["50", "100"]},
        {"step": [100, 50]},
        {"step": [0, 50]},
        {"step": [50, None]},
        {"step": [50.0, 100.0]},
        {"step": pa.array([50, 100], pa.uint64())},
        {"loss": [[1.0], [2.0]]},
        {"loss": [None, None]},
        {"loss": [1, 2]},
        {"standard_error": None},
    ],
)
def test_curves(tmp_path, changes):
    pq.write_table(pa.table(COLUMNS), tmp_path / "curve.parquet")
    assert read_curve(tmp_path).step == (50, 100)
    columns = {name: value for name, value in (COLUMNS | changes).items() if value is not None}
    pq.write_table(pa.table(columns), tmp_path / "curve.parquet")
    with pytest.raises(ValueError, match=r"curve\.parquet must have"):
        read_curve(tmp_path)


class TestCheckpoints:
    CONFIG = TrainingConfig(n_steps=20, batch_size=4)

    @pytest.fixture
    def begun(self, tmp_path, monkeypatch):
        """Returns the folder of a run that has a checkpoint of 5 steps, and what it holds."""
        from superposition.training import loop

        advance = loop.Loop._advance

        def stop(self):
            if self.step == 5:
                raise KeyboardInterrupt
            advance(self)

        with monkeypatch.context() as patch:
            patch.setattr(loop.Loop, "_advance", stop)
            patch.setattr(loop, "_CHECKPOINT_SECONDS", 0.0)
            patch.setattr(loop, "_CHECKPOINT_SHARE", 0)
            with pytest.raises(KeyboardInterrupt):
                self.train(tmp_path)
        path = sorted(tmp_path.glob("checkpoint-*"))[-1]
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            identity = json.loads(file.metadata()["identity"])
        checkpoint.remove(tmp_path)
        return tmp_path, tensors, identity

    def train(self, folder):
        return train(Autoencoder(8, 3), FEATURES, self.CONFIG, folder=folder, resume=True, n_held_out=10)

    def test_of_ours_go_on(self, begun):
        folder, tensors, identity = begun
        checkpoint.write(folder, 5, tensors, identity)
        assert self.train(folder).steps == 20

    @pytest.mark.parametrize("step", [-1, 4, 6, 21, 2**40])
    def test_of_other_steps(self, begun, step):
        folder, tensors, identity = begun
        checkpoint.write(folder, step, tensors, identity)
        with pytest.raises(ValueError, match="checkpoint"):
            self.train(folder)

    @pytest.mark.parametrize(
        "changes",
        [
            {"losses": None},
            {"losses": torch.zeros(6, 1)},
            {"losses": torch.zeros(5)},
            {"losses": torch.zeros(5, 1, dtype=torch.float64)},
            {"ends": torch.tensor([[-1.0, 0.0]])},
            {"ends": torch.tensor([[9, 0]])},
            {"ends": torch.tensor([[-2, 0]])},
            {"ends": torch.tensor([[0, 6]])},
            {"ends": torch.tensor([[0, -1]])},
            {"ends": torch.tensor([[-1, 0], [-1, 0]])},
            {"W_enc": torch.zeros(8, 4)},
            {"W_enc": torch.zeros(8, 3, dtype=torch.bfloat16)},
            {"W_enc.mean": None},
            {"more": torch.zeros(1)},
        ],
        ids=lambda changes: ",".join(f"{k} {v if v is None else tuple(v.shape)}" for k, v in changes.items()),
    )
    def test_of_other_tensors(self, begun, changes):
        folder, tensors, identity = begun
        forged = {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}
        checkpoint.write(folder, 5, forged, identity)
        with pytest.raises(ValueError, match="checkpoint"):
            self.train(folder)

    @pytest.mark.parametrize("identity", [[], 5, None, "x", {}, [[[]]]], ids=str)
    def test_of_no_run(self, begun, identity):
        folder, tensors, _ = begun
        metadata = {"identity": json.dumps(identity), "step": "5"}
        metadata["digest"] = checkpoint._digest(tensors, metadata)
        _files.write_tensors(folder / "checkpoint-000000005.safetensors", tensors, metadata)
        with pytest.raises(ValueError, match=r"no checkpoint in .* can be used|must be that of the unfinished run"):
            self.train(folder)


def test_models_in_bfloat16_are_saved_trained_and_resumed(tmp_path, monkeypatch):
    from superposition.training import loop

    def model():
        return Autoencoder(8, 3).to(torch.bfloat16)

    saved = load(save(model(), tmp_path / "model"))
    assert saved.W_enc.dtype == torch.bfloat16
    assert torch.equal(saved.W_enc, model().W_enc)
    config = TrainingConfig(n_steps=20, batch_size=16)
    whole = train(model(), FEATURES, config, folder=tmp_path / "whole", n_held_out=10)
    advance = loop.Loop._advance

    def stop(self):
        advance(self)
        if self.step == 7:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_advance", stop)
        with pytest.raises(KeyboardInterrupt):
            train(model(), FEATURES, config, folder=tmp_path / "begun", n_held_out=10)
    resumed = train(model(), FEATURES, config, folder=tmp_path / "begun", resume=True, n_held_out=10)
    assert resumed.model.W_enc.dtype == torch.bfloat16
    assert not torch.equal(resumed.model.W_enc, model().W_enc)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])
        assert torch.equal(tensor, load(tmp_path / "begun").state_dict()[name])
    assert (resumed.loss, resumed.curve) == (whole.loss, whole.curve)


def test_large_models_in_bfloat16_train(monkeypatch):
    monkeypatch.setattr("superposition.training.step._SMALL", 0)
    run = train(
        Autoencoder(64, 4).to(torch.bfloat16), SparseFeatures(64, 0.01), TrainingConfig(n_steps=2), n_held_out=10
    )
    assert run.steps == 2


def test_models_that_diverged_are_refused(tmp_path):
    model = Autoencoder(8, 3)
    with torch.no_grad():
        model.W_dec[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"model\.safetensors must hold finite numbers, but `W_dec` does not"):
        load(save(model, tmp_path))
