"""Runs of several lengths: each is the run of `train`, and an interruption at any point changes nothing."""

import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, train
from superposition.models import TopK
from superposition.training import lengths, train_lengths
from superposition.training.storage import RECORD

FEATURES = SparseFeatures(12, 0.2)
CONFIG = TrainingConfig(batch_size=16, warm_up=0.0, decay="linear", cooldown=0.25)
LENGTHS = [60, 8, 20]


def fresh():
    return Autoencoder(12, 3, seed=1)


def test_each_is_the_run_of_train():
    runs = train_lengths(fresh(), FEATURES, CONFIG, LENGTHS, seed=2, n_held_out=50)
    assert [run.steps for run in runs] == LENGTHS
    for run in runs:
        alone = train(fresh(), FEATURES, CONFIG.replace(n_steps=run.steps), seed=2, n_held_out=50)
        assert run.loss == alone.loss
        assert run.curve == alone.curve
        for name, tensor in alone.model.state_dict().items():
            assert torch.equal(run.model.state_dict()[name], tensor)
    losses = [run.model.W_enc for run in runs]
    assert not torch.equal(losses[0], losses[1])  # copies: none is the other's weights
    other = train(fresh(), FEATURES, CONFIG.replace(n_steps=60, cooldown=0.5), seed=2, n_held_out=50)
    assert not torch.equal(other.model.W_enc, runs[0].model.W_enc)


@pytest.mark.parametrize("after", range(0, 67, 6))
def test_an_interrupted_run_goes_on(tmp_path, after):
    folders = {length: tmp_path / str(length) for length in LENGTHS}

    def all_of(progress=False):
        made = lengths.branches(
            fresh(), FEATURES, CONFIG, LENGTHS, 2, progress, 50, folders=folders, trunk=tmp_path / "trunk"
        )
        return {run.steps: run for run in made}

    def stop(*_):
        raise KeyboardInterrupt

    real, steps = lengths.Loop._advance, []

    def failing(self):
        if len(steps) == after:
            stop()
        steps.append(self.step)
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lengths.Loop, "_advance", failing)
        with pytest.raises(KeyboardInterrupt):
            all_of()
    done = {length for length, folder in folders.items() if (folder / RECORD).exists()}
    made = all_of()
    assert set(made) == set(LENGTHS) - done
    whole = {run.steps: run for run in train_lengths(fresh(), FEATURES, CONFIG, LENGTHS, seed=2, n_held_out=50)}
    for length, run in made.items():
        assert run.loss == whole[length].loss
        assert torch.equal(run.model.W_dec, whole[length].model.W_dec)


def test_a_run_that_lost_its_branch_is_refused(tmp_path):
    folders = {length: tmp_path / str(length) for length in LENGTHS}
    for _ in lengths.branches(fresh(), FEATURES, CONFIG, LENGTHS, folders=folders, trunk=tmp_path / "trunk"):
        pass
    (folders[8] / RECORD).unlink()
    with pytest.raises(ValueError, match=r"8 must hold the run of 8 steps: remove .*trunk to start again"):
        list(lengths.branches(fresh(), FEATURES, CONFIG, LENGTHS, folders=folders, trunk=tmp_path / "trunk"))


@pytest.mark.parametrize(
    ("config", "numbers", "model", "message"),
    [
        (TrainingConfig(), [4], fresh(), "`config` must have a cooldown"),
        (CONFIG.replace(warm_up=0.1), [4], fresh(), "`config` must have .* neither a warm-up"),
        (CONFIG.replace(stop_window=3), [4], fresh(), "`config` must have .* stop rule"),
        (CONFIG, [], fresh(), "`lengths` must be distinct numbers of steps, at least one"),
        (CONFIG, [4, 4], fresh(), r"`lengths` must be distinct numbers of steps, at least one, got \[4, 4\]"),
        (CONFIG, [0], fresh(), "`lengths` must be a whole number of at least 1, got 0"),
        (CONFIG, [4], Autoencoder(12, 3, activation=TopK(2)), "`model` must have a ReLU, got topk"),
        (CONFIG, [4], Autoencoder(11, 3), "11"),
    ],
)
def test_bad_arguments_are_refused(config, numbers, model, message):
    with pytest.raises(ValueError, match=message):
        train_lengths(model, FEATURES, config, numbers)


def test_the_given_model_ends_where_the_rate_is_lowered():
    model = fresh()
    train_lengths(model, FEATURES, CONFIG, LENGTHS, seed=2, n_held_out=5)
    constant = CONFIG.replace(n_steps=45, decay="none", cooldown=None)
    assert torch.equal(model.W_enc, train(fresh(), FEATURES, constant, seed=2, n_held_out=5).model.W_enc)
    assert all(parameter.grad is None for parameter in model.parameters())
