"""Trained cells: keys made of content, nothing trained twice, models and rows read back."""

import dataclasses
import signal

import numpy as np
import pytest
import safetensors.torch
import torch

from superposition import (
    Autoencoder,
    PersianRug,
    SparseFeatures,
    TrainingConfig,
    held_out_loss,
    symmetry,
    theory,
    train,
)
from superposition.sweeps import Store, Sweep, TrainedCell, run_sweep, stored_run
from superposition.sweeps.unit import Unit
from superposition.training import loop
from tests.rounding import assert_within, gamma, likely_gamma, trained_bound
from tests.sweeps.conftest import CELL


@pytest.mark.parametrize(
    "change",
    [
        {"n_features": 17},
        {"n_hidden": 5},
        {"probability": 0.2},
        {"protocol": "paper"},
        {"protocol": "fast"},
        {"n_steps": 31},
        {"n_held_out": 201},
        {"seed": 1},
        {"law": "exponential"},
        {"importance": "two-level:0.5"},
        {"batch_size": 512},
        {"learning_rate": 0.1},
        {"rate_cap": 0.1},
        {"stop_window": 10},
        {"precision": "bfloat16"},
        {"activation": "topk", "setting": 2.0},
        {"hidden_noise": 0.5},
        {"start": "linear"},
        {"cooldown": 0.2},
    ],
)
def test_every_field_is_in_the_key(change):
    assert dataclasses.replace(CELL, **change).key != CELL.key


def test_every_field_is_tried_above():
    tried = next(mark.args[1] for mark in test_every_field_is_in_the_key.pytestmark)
    assert {field.name for field in dataclasses.fields(TrainedCell)} == {name for change in tried for name in change}


def test_cells_that_train_alike_share_their_key():
    spelt = dataclasses.replace(CELL, n_steps=TrainingConfig().n_steps, batch_size=TrainingConfig().batch_size)
    assert spelt.key == dataclasses.replace(CELL, n_steps=None).key


@pytest.mark.parametrize(
    ("activation", "setting"), [("topk", 2), ("batchtopk", 2), ("jumprelu", 0.1), ("gated", 0.1), ("trec", 0.1)]
)
def test_a_cell_of_any_activation_is_trained_and_read_back(tmp_path, activation, setting):
    cell = dataclasses.replace(CELL, activation=activation, setting=setting)
    assert cell.batch() is None
    store = Store(tmp_path / "store")
    run_sweep(Sweep((cell,)), store)
    run = stored_run(store, cell)
    assert run.model.activation.kind == activation
    assert held_out_loss(run.model, cell.features(), n_samples=cell.n_held_out, seed=cell.seed) == run.loss


def test_a_cell_of_hidden_noise_is_held_against_its_own_theory(store, complete):
    cell = dataclasses.replace(CELL, hidden_noise=0.5)
    wider = dataclasses.replace(cell, n_hidden=8)
    assert cell.batch() == wider.batch() != CELL.batch()
    complete(store, cell, wider)
    row, model = store.get(cell).row, stored_run(store, cell).model
    assert row["mean_field_loss"] == theory.symmetric_optimum(0.25, 0.1, hidden_noise=0.5).loss
    assert row["linear_loss"] == pytest.approx(theory.linear_loss(0.25, 0.1, hidden_noise=0.5), rel=gamma(100, float))
    found = held_out_loss(model, cell.features(), n_samples=cell.n_held_out, seed=cell.seed)
    assert stored_run(store, cell).loss == found


def test_a_cell_of_a_former_name_is_that_of_the_new_one():
    former = dataclasses.replace(CELL, activation="jump-relu", setting=0.1)
    assert former == dataclasses.replace(CELL, activation="jumprelu", setting=0.1)
    assert former.content()["activation"] == "jumprelu"


def test_the_key_is_stable():
    assert TrainedCell(128, 32, 0.045).key == "4f3bcb634045141d0e43"


def test_keys_of_two_levels_are_those_of_their_former_field():
    alpha = {0.5: "a34201a957f7d26a0243", 1: "0d30a18ac07709342f1f", 0: "8fdb09153a45ad345a9c"}
    assert {a: TrainedCell(16, 4, 0.1, importance=f"two-level:{a}").key for a in alpha} == alpha
    assert TrainedCell(16, 4, 0.1).key == alpha[1]


def test_words_that_mean_the_same_are_one_cell():
    one = dataclasses.replace(CELL, probability="zipf:.1:1", law="uniform:0:1")
    assert one.key == dataclasses.replace(CELL, probability="zipf:0.1:1.0").key != CELL.key


def test_a_table_has_columns_of_one_type_for_cells_of_any_words(store):
    cells = (
        CELL,
        dataclasses.replace(CELL, probability="zipf:0.1:1", law="exponential"),
        dataclasses.replace(CELL, importance="decay:0.9", law="beta:0.5:3"),
    )
    run_sweep(Sweep(cells), store)
    table = store.table(cells)
    assert table["probability"].to_pylist() == pytest.approx([0.1, 0.1, 0.1])
    assert table["probabilities"].to_pylist() == [None, "zipf:0.1:1.0", None]
    assert table["importance"].to_pylist() == ["1.0", "1.0", "decay:0.9"]
    assert table["law"].to_pylist() == ["uniform", "exponential", "beta:0.5:3"]
    for cell, predicted in zip(cells, table["mean_field_loss"].to_pylist(), strict=True):
        features = cell.features()
        expected = theory.allocate(features, 4) if cell is not CELL else theory.symmetric_optimum(1 / 4, 0.1)
        assert predicted == expected.loss


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_hidden": 0}, r"`n_hidden` must be a whole number in \[1, 16\], got 0"),
        ({"n_hidden": 17}, "the bottleneck cannot be wider"),
        ({"n_features": 0}, "`n_features` must be"),
        ({"probability": 0.0}, r"`probability` must be in \(0, 1\], got 0"),
        ({"probability": 1e-16}, r"`probability` must be in \[1e-15, 1\], got 1e-16"),
        ({"seed": -1}, "`seed` must be"),
        ({"n_held_out": 0}, "`n_held_out` must be"),
        ({"importance": "two-level:-0.5"}, "`importance` must have finite numbers, none below 0"),
        ({"importance": float("nan")}, "`importance` must be finite and not negative, got nan"),
        ({"importance": "decai:0.5"}, "`importance` must be M, decay:FACTOR or two-level:ALPHA, got 'decai:0.5'"),
        ({"probability": "zipf:0.1"}, "`probability` must be P, or zipf:MEAN:EXPONENT, got 'zipf:0.1'"),
        ({"probability": "zipf:0.1:40"}, r"`probability` must be in \[1e-15, 1\]"),
        ({"law": "beta"}, "`law` beta must have alpha and beta after colons, got 'beta'"),
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"learning_rate": 0.0}, "`learning_rate` must be"),
        ({"activation": "topk"}, "`setting` must be given for topk: its k"),
        ({"activation": "topk", "setting": 2.5}, r"`k` must be a whole number in \[1, 16\], got 2.5"),
        ({"activation": "batchtopk", "setting": 17}, r"`k` must be a whole number in \[1, 16\], got 17"),
        ({"activation": "gated", "setting": 0.0}, r"`bandwidth` must be in \(0, inf\), got 0"),
        ({"hidden_noise": -0.5}, "`hidden_noise` must be finite and not negative, got -0.5"),
        ({"activation": "gelu"}, "`activation` must be none, relu, topk, .*, got 'gelu'"),
        ({"setting": 2.0}, r"`setting` must be left out for relu, got 2\.0"),
        ({"start": "rug", "hidden_noise": 0.1}, "`start` must be tied or linear with hidden noise .*, got rug"),
        ({"start": "rug", "n_features": 18}, "`n_features` must be .*, got 18"),
        ({"start": "rug", "importance": "two-level:0.5"}, "a rug"),
        ({"cooldown": 2.0}, r"`cooldown` must be in \(0, 1\], got 2"),
    ],
)
def test_a_model_that_cannot_exist_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CELL, **change)


def test_optional_fields_reach_features_and_configuration():
    cell = dataclasses.replace(CELL, importance="two-level:0.5", batch_size=64, learning_rate=0.1, rate_cap=0.3)
    assert cell.features() == SparseFeatures(16, 0.1, importance=np.repeat([1.0, 0.5], 8))
    assert cell.config() == TrainingConfig(n_steps=30, batch_size=64, learning_rate=0.1, rate_cap=0.3)
    assert dataclasses.replace(CELL, protocol="paper", stop_window=10).config() == TrainingConfig.paper().replace(
        n_steps=30, stop_window=10
    )


def test_paper_cells_start_as_two_linear_layers():
    model = dataclasses.replace(CELL, protocol="paper").model()
    assert model.W_enc.abs().max() <= 1 / 4
    assert not torch.equal(model.W_dec, model.W_enc.T)


def test_a_start_is_that_of_its_name():
    model = dataclasses.replace(CELL, protocol="paper", start="tied").model()
    assert torch.equal(model.W_dec, model.W_enc.T)
    assert dataclasses.replace(CELL, start="tied").key == CELL.key  # the protocol's own, spelt out
    rug, made = PersianRug.fit(CELL.features(), 4, seed=CELL.seed), dataclasses.replace(CELL, start="rug").model()
    W = rug.W_rows(0, 16)
    assert_within(made.W_rows(0, 16), W, gamma(16, np.float32) * 16 * float(W.abs().max()))
    assert torch.equal(made.bias_vector(), rug.bias_vector())


def test_lengths_are_branches_of_one_run(store, complete):
    cells = [dataclasses.replace(CELL, cooldown=0.2, n_steps=steps) for steps in (10, 30, 20)]
    complete(store, *cells)
    for cell in cells:
        row, alone = store.get(cell).row, train(cell.model(), cell.features(), cell.config(), n_held_out=200)
        assert (row["steps"], row["together"]) == (cell.n_steps, 3)
        assert stored_run(store, cell).loss == alone.loss
    assert store.unfinished() == []


def test_the_row_is_what_the_library_measures(store, complete):
    complete(store, CELL)
    run, row = stored_run(store, CELL), store.get(CELL).row
    found = symmetry(run.model, CELL.features())
    assert run.loss.count == row["loss_count"] == 200
    assert (row["steps"], row["stopped"], row["together"], row["threads"]) == (30, "completed", 1, 1)
    assert row["mean_field_loss"] == theory.symmetric_optimum(0.25, 0.1).loss
    assert row["linear_loss"] == pytest.approx(theory.linear_loss(0.25, 0.1), rel=gamma(8, float))
    assert row["non_gaussianity"] == found.non_gaussianity
    for name in ("diagonal", "bias", "noise_mean", "noise_variance"):
        spread = getattr(found, name)
        assert row[f"{name}_mean_square"] == spread.mean_square
        assert row[f"{name}_extent"] == spread.extent
        assert row[f"{name}_mean_square_standard_error"] > 0
    diagonal = run.model.W_rows(0, 16).diagonal().double().numpy()
    squares = (diagonal - diagonal.mean()) ** 2
    assert row["diagonal_mean_square_standard_error"] == pytest.approx(
        squares.std(ddof=1) / 4, rel=100 * gamma(64, float)
    )
    tensors = safetensors.torch.load_file(store.folder(CELL) / "features.safetensors")
    np.testing.assert_array_equal(tensors["diagonal"], diagonal)
    assert set(tensors) == {"diagonal", "bias", "noise_mean", "noise_variance"}


def test_work_that_was_begun_otherwise_is_swept_once_its_cell_is_stored(store, complete):
    """A driver was killed while it took a batch apart; the next one makes a batch of what is missing again."""
    complete(store, dataclasses.replace(CELL, seed=5))
    alone = Unit((CELL,), store.root.resolve(), 1, "cpu")
    (store.workplace(alone.name) / CELL.key).mkdir(parents=True)
    complete(store, CELL, dataclasses.replace(CELL, n_hidden=CELL.n_hidden + 1))
    assert store.get(CELL).row["together"] == 2
    assert store.unfinished() == []


def test_a_cell_of_unequal_importance_is_held_against_the_best_allocation(store, complete):
    cell = dataclasses.replace(CELL, importance="two-level:0.5")
    complete(store, cell)
    assert store.get(cell).row["mean_field_loss"] == theory.allocate(cell.features(), 4).loss


@pytest.mark.parametrize("n_features", [16, 520])
def test_a_diverged_run_is_a_row_without_statistics(store, complete, n_features):
    cell = dataclasses.replace(CELL, n_features=n_features, learning_rate=1e30, rate_cap=1e30, n_steps=60)
    complete(store, cell)
    row = store.get(cell).row
    assert row["stopped"] == "diverged"
    assert row["loss"] is None
    assert row["diagonal_mean"] is None


def test_results_do_not_depend_on_what_was_trained_before(store, tmp_path, complete):
    other = Store(tmp_path / "other")
    complete(store, CELL)
    complete(other, dataclasses.replace(CELL, seed=5), CELL)
    assert torch.equal(stored_run(store, CELL).model.W_enc, stored_run(other, CELL).model.W_enc)
    assert stored_run(store, CELL).loss == stored_run(other, CELL).loss


def test_interrupted_cell_goes_on(store, tmp_path, complete, interrupted):
    with interrupted(12), pytest.raises(KeyboardInterrupt):
        complete(store, CELL)
    assert store.missing([CELL]) == [CELL]
    complete(store, CELL)
    straight = Store(tmp_path / "straight")
    complete(straight, CELL)
    assert torch.equal(stored_run(store, CELL).model.W_dec, stored_run(straight, CELL).model.W_dec)


def test_cells_on_the_same_batches_are_trained_together(store, tmp_path, complete, monkeypatch):
    cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4, 8)]
    apart = Store(tmp_path / "apart")
    for cell in cells:
        complete(apart, cell)

    def alone(model):
        return [train(model, CELL.features(), CELL.config(), seed=CELL.seed, n_held_out=CELL.n_held_out).loss.value]

    # Float32, from weights that are changed by 2⁻¹⁰, far above what 30 steps round. The longest sum is a batch's loss.
    terms = CELL.config().batch_size * CELL.n_features
    growing = {"growth": likely_gamma, "change": 2.0**-10}
    bounds = [trained_bound(alone, Autoencoder(16, m), 30, terms, np.float32, **growing)[0] for m in (2, 4, 8)]
    monkeypatch.setattr("superposition.training.train", lambda *_, **__: pytest.fail("trained alone"))
    complete(store, *cells)
    assert store.missing(cells) == []
    for cell, bound in zip(cells, bounds, strict=True):
        one, other = stored_run(store, cell), stored_run(apart, cell)
        assert_within(one.loss.value, other.loss.value, bound, resolution=0.05)
        assert (one.row["together"], other.row["together"]) == (3, 1)
        assert one.model.n_hidden == cell.n_hidden


def test_an_interrupted_batch_goes_on(store, complete, monkeypatch):
    cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4)]
    advance, steps = loop.Loop._advance, []

    def interrupted(self):
        steps.append(self.step)
        advance(self)
        if len(steps) == 12:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.Loop, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        complete(store, *cells)
    assert store.missing(cells) == cells
    complete(store, *cells)
    assert steps == list(range(30))
    assert list((store.root / "work").iterdir()) == []


def test_a_batch_that_was_stored_in_part_ends_as_a_whole_one(store, tmp_path, complete, monkeypatch):
    cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4, 8)]
    straight = Store(tmp_path / "straight")
    complete(straight, *cells)
    put, stored = Store.put, []

    def killed_after_one(self, *arguments):
        if stored:
            raise KeyboardInterrupt
        stored.append(put(self, *arguments))

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            complete(store, *cells)
    assert store.missing(cells) == cells[1:]
    complete(store, *cells)
    for cell in cells:
        one, other = stored_run(store, cell), stored_run(straight, cell)
        assert torch.equal(one.model.W_enc, other.model.W_enc)
        assert (one.loss, one.row["together"]) == (other.loss, 3)


def test_a_batch_grows_without_training_the_stored_again(store, complete):
    cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4)]
    complete(store, *cells)
    more = dataclasses.replace(CELL, n_hidden=8)
    assert complete(store, *cells, more).measured == 1
    assert store.get(more).row["together"] == 1


def test_damaged_models_say_where(store, complete):
    complete(store, CELL)
    weights = store.folder(CELL) / "run" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match=f"{CELL.key}.* is damaged"):
        _ = stored_run(store, CELL).model


def test_a_batch_that_was_killed_while_it_was_saved_goes_on(store, complete, monkeypatch):
    """Between config.json and record.json a member's folder has neither a checkpoint nor a record."""
    from superposition.models import save
    from superposition.training import storage

    cells = [CELL, dataclasses.replace(CELL, n_hidden=8)]

    def save_the_model_and_die(run, folder):
        save(run.model, folder)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "save_run", save_the_model_and_die)
        assert len(complete(store, *cells).missing) == 2
    assert not complete(store, *cells).missing
