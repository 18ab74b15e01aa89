"""Any model and any objective in the one loop: equal to the step written by hand, resumable, refused if they must."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from superposition import Autoencoder, LinearAutoencoder, PersianRug, SparseFeatures, TrainingConfig, load, train
from superposition.models import JumpReLU, TopK
from superposition.training import Objective, Reconstruction
from tests.rounding import assert_within, gamma, trained_bound

FEATURES = SparseFeatures(32, 0.1, importance=np.linspace(0.5, 1.5, 32))
CONFIG = TrainingConfig(n_steps=60, batch_size=64)


@dataclass(frozen=True)
class Clipped(Objective):
    """A user's: outputs above a limit cost their excess."""

    limit: float = 0.5

    def __call__(self, loss, model, x, reconstruction):  # noqa: ARG002
        return loss + (reconstruction - self.limit).relu().mean()


@dataclass(frozen=True)
class Shifted(Objective):
    """The loss and a constant."""

    def __call__(self, loss, model, x, reconstruction):  # noqa: ARG002
        return loss + 7.0


def test_naive_twin_by_autograd_it_is_the_training_by_hand():
    def results(model, **options):
        run = train(model, FEATURES, CONFIG, seed=5, n_held_out=10, **options)
        return [getattr(run.model, name) for name in ("W_enc", "W_dec", "b_dec")]

    start = Autoencoder(32, 8, seed=3).double()
    # In float64; the loss of a batch is the longest sum, of 64 · 32 terms.
    bounds = trained_bound(results, start, CONFIG.n_steps, 64 * 32, np.float64)
    by_autograd = results(Autoencoder(32, 8, seed=3).double(), objective=Reconstruction())
    for found, expected, bound in zip(by_autograd, results(start), bounds, strict=True):
        assert_within(found, expected, bound, resolution=1e-6)


def test_tied_weights_stay_tied():
    tied = CONFIG.replace(tied=True)
    run = train(Autoencoder(32, 8, seed=3), FEATURES, tied, objective=Reconstruction(), n_held_out=10)
    assert torch.equal(run.model.W_dec, run.model.W_enc.T)
    by_hand = train(Autoencoder(32, 8, seed=3), FEATURES, tied, n_held_out=10)
    # Rounding of float32, 6e-8, grows by a factor of some hundreds in 60 steps; other gradients would differ by all.
    assert_within(run.model.W_dec, by_hand.model.W_dec, 1e-3)


@pytest.mark.parametrize(("sparsity", "weight_decay"), [(0.3, 0.0), (0.0, 0.2), (-0.1, -0.4)])
def test_naive_twin_penalties(generator, sparsity, weight_decay):
    model, x = Autoencoder(32, 8, seed=1).double(), FEATURES.sample(40, generator, dtype=torch.float64)
    reconstruction, loss = model(x), torch.tensor(0.25, dtype=torch.float64)
    found = Reconstruction(sparsity, weight_decay)(loss, model, x, reconstruction)
    weights = sum(float((matrix.detach() ** 2).sum()) for matrix in (model.W_enc, model.W_dec))
    expected = 0.25 + sparsity * float(reconstruction.detach().abs().mean()) + weight_decay * weights / (2 * 32)
    # Sums of 40 · 32 and 2 · 8 · 32 terms, of one sign each.
    largest = 1 + abs(weight_decay) * weights / 64
    assert_within(float(found.detach()), expected, gamma(2000, float) * largest)


def test_penalties_do_what_they_say_and_losses_are_reported_without_them():
    def trained(objective):
        run = train(Autoencoder(32, 8, seed=3), FEATURES, CONFIG, objective=objective, n_held_out=2000)
        weights = sum(float(matrix.detach().square().sum()) for matrix in (run.model.W_enc, run.model.W_dec))
        return run, weights, float(run.model(torch.eye(32)).detach().mean())

    plain, weights, size = trained(Reconstruction())
    less, more = (trained(Reconstruction(weight_decay=factor))[1] for factor in (0.5, -0.05))
    assert less < 0.9 * weights < weights < more
    assert trained(Reconstruction(sparsity=0.05))[2] < 0.8 * size
    assert trained(Clipped(0.1))[2] < 0.8 * size
    # What is added without a gradient changes nothing, and does not show.
    assert trained(Shifted())[0].curve == plain.curve


@pytest.mark.parametrize(
    "make",
    [
        lambda: Autoencoder(32, 8, activation=JumpReLU(32)),
        lambda: Autoencoder(32, 8, activation=TopK(4)),
        lambda: PersianRug.draw(32, 8),
    ],
    ids=["jump", "top-k", "rug"],
)
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, make, monkeypatch):
    from superposition.training import loop

    whole = train(make(), SparseFeatures(32, 0.1), CONFIG, folder=tmp_path / "whole", n_held_out=500)
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(loop, "_CHECKPOINT_SHARE", 0)

    def pressed(done, *_):
        if done == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make(), SparseFeatures(32, 0.1), CONFIG, folder=tmp_path / "cut", progress=pressed, n_held_out=500)
    cut = train(make(), SparseFeatures(32, 0.1), CONFIG, folder=tmp_path / "cut", resume=True, n_held_out=500)
    assert cut.loss == whole.loss
    assert cut.curve == whole.curve
    mine, theirs = (load(tmp_path / name).state_dict() for name in ("cut", "whole"))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert not any(parameter.requires_grad for parameter in make().parameters()) or type(cut.model) is Autoencoder


def test_a_run_goes_on_with_the_objective_it_had(tmp_path, monkeypatch):
    from superposition.training import loop

    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", 0)

    def pressed(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Autoencoder(32, 8), FEATURES, CONFIG, objective=Clipped(), folder=tmp_path, progress=pressed)
    with pytest.raises(ValueError, match=r"`objective` must be that of the unfinished run .*, 'Clipped\(limit=0\.5\)'"):
        train(Autoencoder(32, 8), FEATURES, CONFIG, objective=Clipped(0.1), folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: train(Autoencoder(32, 8), FEATURES, CONFIG.replace(precision="bfloat16"), objective=Clipped()),
            "`precision` must be float32 for a model trained by autograd",
        ),
        (
            lambda: train(PersianRug.draw(32, 8), SparseFeatures(32, 0.1), CONFIG.replace(tied=True)),
            r"must start with W_dec = W_enc\.T",
        ),
        (
            lambda: train(LinearAutoencoder.fit(FEATURES, 8), FEATURES, CONFIG),
            "`model` must have parameters to train, got LinearAutoencoder",
        ),
        (lambda: train(PersianRug.draw(32, 8), SparseFeatures(16, 0.1)), "the model's n_features = 32, got 16"),
        (lambda: Reconstruction(sparsity=float("nan")), "`sparsity` must be finite"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
