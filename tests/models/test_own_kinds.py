"""A kind of model and an activation that a user defines: what ours do with them, without knowing them."""

import dataclasses
import json
import re
import subprocess
import sys
from typing import ClassVar

import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, held_out_loss, load, save, symmetry, train
from superposition.decoders import OAMP, Elementwise, compare_decoders, fit_decoder, recover
from superposition.diagnostics import interference, loss_split, spectrum
from superposition.features.exactly_sparse import sparse_vectors
from superposition.models import (
    Activation,
    BatchTopK,
    JumpReLU,
    Model,
    NoActivation,
    ReLU,
    TopK,
    register_activation,
    register_model,
)
from superposition.sweeps import Store, Sweep, TrainedCell, run_sweep, stored_run
from tests.rounding import assert_close, assert_within, gamma

FEATURES = SparseFeatures(12, 0.2)


@register_activation
class Squared(Activation):
    """s ReLU(m + b)², s > 0 learnt."""

    kind: ClassVar[str] = "tests.squared"
    setting: ClassVar[str | None] = "power"

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        self.power = power
        self.log_scale = torch.nn.Parameter(torch.zeros(()))

    def forward(self, m, bias):
        return self.log_scale.exp() * torch.relu(m + bias) ** self.power

    def settings(self):
        return {"power": self.power}


class Mirrored(Model):
    """x̂ = ReLU(g Cᵀ C x + b), C of columns (cos, sin) of equal angles: one gain and one bias for all."""

    kind: ClassVar[str] = "tests.mirrored"

    def __init__(self, n_features, n_hidden, *, turns=1):
        super().__init__()
        self.n_features, self.n_hidden, self.turns = n_features, n_hidden, turns
        self.activation = ReLU()
        self.gain, self.b = (torch.nn.Parameter(torch.tensor(value)) for value in (0.7, -0.1))

    @property
    def code(self):
        angle = 2 * torch.pi * self.turns * torch.arange(self.n_features) / self.n_features
        return torch.stack([torch.cos(angle), torch.sin(angle)])

    def encode(self, x):
        return x @ self.code.T

    def read_out(self, hidden):
        return self.gain * (hidden @ self.code)

    def bias_vector(self):
        return self.b.detach().expand(self.n_features)

    def settings(self):
        return {"turns": self.turns}


def twin(model):
    """The same matrices in a model of ours."""
    same = Autoencoder(12, 2)
    with torch.no_grad():
        same.W_enc.copy_(model.code)
        same.W_dec.copy_(0.7 * model.code.T)
        same.b_dec.fill_(-0.1)
    return same


def test_naive_twin_a_model_of_ones_own_is_asked_what_ours_are(generator):
    own = Mirrored(12, 2)
    ours, x = twin(own), FEATURES.sample(50, generator)
    rounding = gamma(40, torch.float32)  # sums of 12, then of 2, of entries of order one, and eight more
    for ask in (
        lambda model: model(x),
        lambda model: model.decode(model.encode(x)),
        lambda model: model.pre_activations(x),
        lambda model: model.W_rows(3, 7),
        lambda model: model.encoder.columns(torch.arange(12)),
        lambda model: model.W_dec_of_unit_diagonal(),
        lambda model: recover(model, model.encode(sparse_vectors(12, 1, 5)), 1).x,
    ):
        assert_within(ask(own), ask(ours), 12 * rounding)
    assert_within(spectrum(own).singular_values, spectrum(ours).singular_values, 12 * rounding)
    for measure in (held_out_loss, lambda model, features: loss_split(model, features, n_samples=500).loss):
        assert_close(measure(own, FEATURES).value, measure(ours, FEATURES).value, 100 * rounding)
    assert_within(interference(own, FEATURES).variance, interference(ours, FEATURES).variance, 12 * rounding)
    assert_close(symmetry(own, FEATURES).diagonal.mean, symmetry(ours, FEATURES).diagonal.mean, 12 * rounding)
    found = compare_decoders(own, FEATURES, [fit_decoder(Elementwise(ReLU()), own, FEATURES), OAMP()], 200)
    assert all(result.loss.value > 0 for result in found)


def test_files_name_kinds_that_are_known_after_registration(tmp_path):
    model = Mirrored(12, 2, turns=5)
    with torch.no_grad():
        model.gain.fill_(0.25)
    with pytest.raises(ValueError, match="`model` must be of a kind that can be loaded, got Mirrored"):
        save(model, tmp_path / "unknown")
    assert not (tmp_path / "unknown").exists()
    assert register_model(Mirrored) is Mirrored
    register_model(Mirrored)
    loaded = load(save(model, tmp_path / "own", features=FEATURES))
    assert isinstance(loaded, Mirrored)
    assert (loaded.turns, float(loaded.gain.detach())) == (5, 0.25)

    class Another(Mirrored):
        pass

    with pytest.raises(ValueError, match=r"must have a name of its own, got 'tests\.mirrored', that of Mirrored"):
        register_model(Another)

    class Nameless(Mirrored):
        kind: ClassVar[str] = ""

    with pytest.raises(ValueError, match="must have a name in files, got Nameless"):
        register_model(Nameless)


def test_a_class_that_is_defined_anew_takes_the_place_of_the_former(tmp_path):
    """A cell of a notebook is run again."""

    def define():
        class Anew(Activation):
            kind: ClassVar[str] = "tests.anew"

            def forward(self, m, bias):
                return m + bias

        return register_activation(Anew)

    former, latter = define(), define()
    assert former is not latter
    folder = save(Autoencoder(4, 2, activation=latter()), tmp_path / "model")
    assert type(load(folder).activation) is latter


@pytest.mark.parametrize(
    ("settings", "shown"), [({"t": torch.ones(2)}, "tensor"), ({"x": float("nan")}, "nan"), ({1: 2}, "1: 2")]
)
def test_settings_that_do_not_come_back_are_refused_before_anything_is_written(tmp_path, settings, shown):
    register_model(Mirrored)
    folder = save(Autoencoder(12, 2), tmp_path / "kept")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = Mirrored(12, 2)
    model.settings = lambda: settings
    with pytest.raises(ValueError, match=f"`settings` of Mirrored must be plain data .*{shown}"):
        save(model, folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_settings_may_be_called_as_the_file_calls_its_own(tmp_path):
    class Format(Mirrored):
        kind: ClassVar[str] = "tests.format"

        def __init__(self, n_features, n_hidden, *, format=0, model=0, features=0):  # noqa: A002
            super().__init__(n_features, n_hidden)
            self.given = {"format": format, "model": model, "features": features}

        def settings(self):
            return self.given

    register_model(Format)
    loaded = load(save(Format(12, 2, format=7, model=8, features=9), tmp_path / "model", features=FEATURES))
    assert loaded.given == {"format": 7, "model": 8, "features": 9}


def test_sizes_that_a_file_claims_are_held_against_it_before_memory_is_taken(tmp_path):
    class Tall(Model):
        kind: ClassVar[str] = "tests.tall"

        def __init__(self, n_features, n_hidden):
            super().__init__()
            self.n_features, self.n_hidden, self.activation = n_features, n_hidden, ReLU()
            self.W = torch.nn.Parameter(torch.zeros(n_features, n_hidden))

        def encode(self, x):
            return x @ self.W

        def read_out(self, hidden):
            return hidden @ self.W.T

        def bias_vector(self):
            return torch.zeros(self.n_features)

    register_model(Tall)
    folder = save(Tall(4, 2), tmp_path / "model")
    config = folder / "config.json"
    # 40 TB: making it would fail in another way.
    config.write_text(
        config.read_text().replace('"n_features": 4', '"n_features": 10000000').replace(": 2,", ": 1000000,")
    )
    with pytest.raises(ValueError, match=r"`W` must have shape \(10000000, 1000000\), got \(4, 2\)"):
        load(folder)


def test_an_activation_for_other_features_is_refused():
    with pytest.raises(ValueError, match="`activation` must be for 64 features, got JumpReLU"):
        Autoencoder(64, 16, activation=JumpReLU(32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "register_activation(models.PersianRug)",
            "`kind` must be a subclass of Activation, got .*PersianRug'>",
        ),
        ("register_model(3)", "`kind` must be a subclass of Reconstructor, got 3"),
        ("models.Autoencoder(8, 2, activation='relu')", "`activation` must be an Activation such as .*, got 'relu'"),
    ],
)
def test_what_is_none_is_refused(call, message):
    # In a process of its own: the checks of annotations, which are on here, would be first.
    script = f"from superposition import models; from superposition.models import *; {call}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert re.search(f"ValueError: {message}", done.stderr), done.stderr


def test_a_model_of_an_activation_that_nobody_could_load_is_not_saved(tmp_path):
    class Unknown(Activation):
        kind: ClassVar[str] = "tests.unknown"

        def forward(self, m, bias):
            return m + bias

    with pytest.raises(ValueError, match="`activation` must be of a kind that can be loaded, got Unknown"):
        save(Autoencoder(4, 2, activation=Unknown()), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("activation", [Squared(1.5), BatchTopK(3), NoActivation(), JumpReLU()])
def test_an_autoencoder_of_any_activation_is_trained_saved_and_loaded(tmp_path, generator, activation):
    model = Autoencoder(12, 4, activation=activation, seed=1)
    before = held_out_loss(model, FEATURES, n_samples=4000)
    train(model, FEATURES, TrainingConfig(n_steps=150, batch_size=128), n_held_out=10)
    after = held_out_loss(model, FEATURES, n_samples=4000)
    assert after.z_score(before.value) < -5
    loaded = load(save(model, tmp_path / "model"))
    x = FEATURES.sample(20, generator)
    assert torch.equal(loaded(x), model(x))
    assert loaded.activation.settings() == activation.settings()


def test_an_activation_nobody_knows_is_refused_by_name(tmp_path):
    folder = save(Autoencoder(12, 4, activation=Squared()), tmp_path / "model")
    config = folder / "config.json"
    text = config.read_text()
    assert "tests.squared" in text
    config.write_text(text.replace("tests.squared", "somebody.else"))
    with pytest.raises(ValueError, match=r"`activation` must be none, relu, .*, got 'somebody\.else': one of your own"):
        load(folder)


@pytest.mark.parametrize(
    ("former", "activation"),
    [
        ('"kind": "top-k", "k": 3, "among": "sample"', TopK(3)),
        ('"kind": "top-k", "k": 3, "among": "batch"', BatchTopK(3)),
        ('"kind": "jump-relu", "bandwidth": 0.2', JumpReLU(12, bandwidth=0.2)),
    ],
)
def test_activations_by_their_former_names_are_read(tmp_path, generator, former, activation):
    model = Autoencoder(12, 4, activation=activation, seed=1)
    config = save(model, tmp_path / "model") / "config.json"
    text = re.sub(r'"activation": {.*?}', f'"activation": {{{former}}}', config.read_text(), flags=re.DOTALL)
    config.write_text(text)
    x = FEATURES.sample(20, generator)
    assert torch.equal(load(config.parent)(x), model(x))
    with pytest.raises(ValueError, match=r"`kind` must have a name of its own, got .*, that of"):
        register_activation(type("Other", (Squared,), {"kind": json.loads(f"{{{former}}}")["kind"]}))


def test_a_cell_of_an_activation_of_ones_own_is_swept(tmp_path):
    cell = TrainedCell(12, 4, 0.2, n_steps=20, n_held_out=100, activation="tests.squared", setting=1.5)
    store = Store(tmp_path / "store")
    run_sweep(Sweep((cell,)), store)
    assert stored_run(store, cell).model.activation.power == 1.5
    with pytest.raises(ValueError, match=r"`setting` must be given for tests\.squared: its power"):
        dataclasses.replace(cell, setting=None)
