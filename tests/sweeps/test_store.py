"""Cells and their store: keys made of content, nothing trained twice."""

import dataclasses

import pytest
import torch

from superposition._progress import Display
from superposition.sweeps import Store, TrainedCell

CELL = TrainedCell(n_features=16, n_hidden=4, probability=0.1, n_steps=30, n_held_out=200)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cells")


def complete(store, *cells):
    with Display() as display:
        store.complete(cells, display)


@pytest.mark.parametrize(
    "change",
    [
        {"n_features": 17},
        {"n_hidden": 5},
        {"probability": 0.2},
        {"protocol": "paper"},
        {"n_steps": 31},
        {"n_held_out": 201},
        {"seed": 1},
    ],
)
def test_every_field_is_in_the_key(change):
    assert dataclasses.replace(CELL, **change).key != CELL.key


def test_every_field_is_tried_above():
    assert {field.name for field in dataclasses.fields(TrainedCell)} == {
        "n_features", "n_hidden", "probability", "protocol", "n_steps", "n_held_out", "seed",
    }  # fmt: skip


def test_key_is_stable():
    assert TrainedCell(128, 32, 0.045).key == "4e8515d4289e2238dd85"


def test_trains_what_is_missing_once(store, monkeypatch):
    other = dataclasses.replace(CELL, seed=1)
    complete(store, CELL, other, CELL)
    assert store.missing([CELL, other]) == []
    monkeypatch.setattr("superposition.sweeps.store.train", lambda *_, **__: pytest.fail("trained again"))
    complete(store, CELL, other)


def test_returns_the_model_and_its_held_out_loss(store):
    complete(store, CELL)
    run = store.get(CELL)
    assert run.loss.count == 200
    assert run.record["steps"] == 30
    assert run.model.W_enc.shape == (4, 16)


def test_results_do_not_depend_on_what_was_trained_before(store, tmp_path):
    other = Store(tmp_path / "other")
    complete(store, CELL)
    complete(other, dataclasses.replace(CELL, seed=5), CELL)
    assert torch.equal(store.get(CELL).model.W_enc, other.get(CELL).model.W_enc)
    assert store.get(CELL).loss == other.get(CELL).loss


def test_interrupted_cell_goes_on(store, monkeypatch):
    from superposition.training import loop

    advance = loop._Loop._advance

    def interrupted(self):
        advance(self)
        if self.step == 12:
            import signal

            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Loop, "_advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            complete(store, CELL)
    assert store.missing([CELL]) == [CELL]
    complete(store, CELL)
    straight = Store(store.path(CELL).parent.parent / "straight")
    complete(straight, CELL)
    assert torch.equal(store.get(CELL).model.W_dec, straight.get(CELL).model.W_dec)


def test_cells_on_the_same_batches_are_trained_together(store, tmp_path, monkeypatch):
    cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4, 8)]
    apart = Store(tmp_path / "apart")
    for cell in cells:
        complete(apart, cell)
    monkeypatch.setattr("superposition.sweeps.store.train", lambda *_, **__: pytest.fail("trained alone"))
    complete(store, *cells)
    assert store.missing(cells) == []
    for cell in cells:
        one, other = store.get(cell), apart.get(cell)
        assert one.loss.value == pytest.approx(other.loss.value, rel=1e-3)
        assert one.record["steps"] == 30
        assert one.model.n_hidden == cell.n_hidden


def test_interrupted_group_goes_on(store, monkeypatch):
    import signal

    from superposition.training import loop

    cells = [dataclasses.replace(CELL, n_hidden=m) for m in (2, 4)]
    advance, steps = loop._Loop._advance, []

    def interrupted(self):
        steps.append(self.step)
        advance(self)
        if len(steps) == 12:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop._Loop, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        complete(store, *cells)
    assert store.missing(cells) == cells
    complete(store, *cells)
    assert steps == list(range(30))
    assert sorted(path.name for path in store.path(cells[0]).parent.iterdir()) == sorted(cell.key for cell in cells)


def test_absent_and_damaged_cells_say_where(store):
    with pytest.raises(ValueError, match=f"trained cell must be in .*{CELL.key}"):
        store.get(CELL)
    complete(store, CELL)
    weights = store.path(CELL) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match="is damaged"):
        store.get(CELL)


def test_paper_cells_start_as_two_linear_layers():
    model = dataclasses.replace(CELL, protocol="paper").model()
    assert model.W_enc.abs().max() <= 1 / 4
    assert not torch.equal(model.W_dec, model.W_enc.T)
