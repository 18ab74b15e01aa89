import os
import signal

import numpy as np
import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, train
from superposition.training import train_many
from superposition.training.loop import Loop
from tests.rounding import assert_within, likely_gamma, trained_bound, unit_roundoff

FEATURES = SparseFeatures(24, 0.15, importance=np.linspace(0.5, 1.5, 24))
WIDTHS = (1, 3, 8, 24)
CONFIG = TrainingConfig(n_steps=120, batch_size=64)


def models(dtype=torch.float32, initialization="tied"):
    return [Autoencoder(24, width, seed=width, initialization=initialization).to(dtype) for width in WIDTHS]


def results(run):
    return [run.loss.value, run.curve.loss, *run.model.parameters()]


@pytest.mark.parametrize("initialization", ["tied", "linear"])
def test_naive_twin_one_at_a_time(initialization):
    """In double precision rounding does not grow to be seen in so many steps."""
    together = train_many(models(torch.float64, initialization), FEATURES, CONFIG, seed=3, n_held_out=500)

    def alone(model):
        return train(model, FEATURES, CONFIG, seed=3, n_held_out=500)

    for run, model in zip(together, models(torch.float64, initialization), strict=True):
        # The longest sum is the loss of a batch.
        bounds = trained_bound(lambda model: results(alone(model)), model, CONFIG.n_steps, 64 * 24, np.float64)
        expected = alone(model)
        assert (run.stopped, run.steps) == (expected.stopped, expected.steps)
        bounds[1] += 2 * unit_roundoff(np.float32) * max(expected.curve.loss)  # losses are noted in float32
        for mine, its, bound in zip(results(run), results(expected), bounds, strict=True):
            assert_within(mine, its, bound, resolution=1e-6)


def test_mutant_another_seed_is_another_run():
    one, other = (train_many(models(), FEATURES, CONFIG, seed=seed, n_held_out=10) for seed in (3, 4))
    assert not torch.allclose(one[1].model.W_dec, other[1].model.W_dec, rtol=1e-2)


def test_single_precision_ends_at_the_same_loss():
    def alone(model):
        return [train(model, FEATURES, CONFIG, n_held_out=4000).loss.value]

    together = train_many(models(), FEATURES, CONFIG, n_held_out=4000)
    for run, model in zip(together, models(), strict=True):
        # Changed by 2⁻¹⁰, far above what 120 steps round in float32.
        (bound,) = trained_bound(
            alone, model, CONFIG.n_steps, 64 * 24, np.float32, growth=likely_gamma, change=2.0**-10
        )
        assert_within(run.loss.value, alone(model)[0], bound, resolution=0.05)


def test_each_model_ends_by_itself_and_then_stays_as_it_is(monkeypatch):
    weights = []
    note_ends = Loop._note_ends

    def note(self):
        note_ends(self)
        if (self._ends[:, 0] >= 0).any():
            ended = int(torch.argmax(self._ends[:, 0]))
            weights.append((ended, self.models[ended].W_dec.detach().clone()))

    monkeypatch.setattr(Loop, "_note_ends", note)
    config = TrainingConfig.paper().replace(n_steps=4000, batch_size=16, learning_rate=0.1, stop_window=20)
    runs = train_many(models(initialization="linear"), FEATURES, config, n_held_out=100)
    assert len({run.steps for run in runs}) > 1
    assert {run.stopped for run in runs} == {"plateau"}
    first, at_its_end = weights[0]
    assert torch.equal(runs[first].model.W_dec, at_its_end)
    assert all(run.curve.step[-1] == run.steps for run in runs)


@pytest.mark.parametrize("step", [1, 49, 50, 77])
def test_interrupted_and_gone_on_is_the_straight_run(step, tmp_path, monkeypatch):
    straight = train_many(models(), FEATURES, CONFIG, seed=2, n_held_out=10)
    advance = Loop._advance

    def advance_and_signal(self):
        advance(self)
        if self.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_advance", advance_and_signal)
        with pytest.raises(KeyboardInterrupt):
            train_many(models(), FEATURES, CONFIG, seed=2, checkpoints=tmp_path, n_held_out=10)
    assert list(tmp_path.glob("checkpoint-*"))
    resumed = train_many(models(), FEATURES, CONFIG, seed=2, checkpoints=tmp_path, n_held_out=10)
    for run, other in zip(resumed, straight, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(run.model.parameters(), other.model.parameters(), strict=True))
        assert run.curve == other.curve
    again = train_many(models(), FEATURES, CONFIG, seed=2, checkpoints=tmp_path, n_held_out=10)
    assert [run.loss for run in again] == [run.loss for run in straight]


def test_checkpoints_of_other_models_are_refused(tmp_path):
    train_many(models(), FEATURES, CONFIG, checkpoints=tmp_path, n_held_out=10)
    with pytest.raises(ValueError, match="`n_hidden` must be that of the unfinished run"):
        train_many(models()[:2], FEATURES, CONFIG, checkpoints=tmp_path, n_held_out=10)


def test_models_own_their_memory_afterwards():
    runs = train_many(models(), FEATURES, CONFIG.replace(n_steps=1), n_held_out=10)
    one, other = runs[1].model, runs[2].model
    before = other.W_enc.detach().clone()
    with torch.no_grad():
        one.W_enc.zero_()
        one.b_dec.zero_()
    assert torch.equal(other.W_enc, before)
    assert one.W_enc.T.is_contiguous()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`models` must hold at least one model"):
        train_many([], FEATURES)
    with pytest.raises(ValueError, match="n_features"):
        train_many([Autoencoder(24, 2), Autoencoder(12, 2)], FEATURES)
