"""Features that a user defines, dependent ones among them: trained on, measured, saved, and told apart when resumed."""

import subprocess
import sys
from itertools import product
from typing import ClassVar

import numpy as np
import pytest
import torch

from superposition import Autoencoder, Constant, PersianRug, SparseFeatures, TrainingConfig, held_out_loss, save, train
from superposition.features import Features, register_features
from superposition.features.sampling import SparseBatch
from superposition.models import HiddenActivations, load_with_features
from superposition.theory import weighted_linear_loss
from superposition.training import Reconstruction, train_many
from tests.rounding import assert_within, gamma
from tests.statistics import Z_BOUND

CONFIG = TrainingConfig(n_steps=150, batch_size=64)


@register_features
class Twins(Features):
    """Features 2k and 2k + 1 are both 1, with a probability, or both 0."""

    kind: ClassVar[str] = "tests.twins"

    def __init__(self, n_features, probability, importance=1.0):
        self.n_features, self.probability = n_features, probability
        self.importance = importance if np.ndim(importance) == 0 else np.array(importance)

    @property
    def mean(self):
        return self.probability

    @property
    def variance(self):
        return self.probability * (1 - self.probability)

    @property
    def covariance(self):
        return self.variance * np.kron(np.eye(self.n_features // 2), np.ones((2, 2)))

    def sample(self, n_samples, generator, *, dtype=None):
        active = torch.rand(n_samples, self.n_features // 2, generator=generator) < self.probability
        return active.repeat_interleave(2, dim=1).to(dtype or torch.float32)

    def to_config(self):
        importance = np.asarray(self.importance).tolist()
        return {"n_features": self.n_features, "probability": self.probability, "importance": importance}


class Unsaved(Twins):
    kind: ClassVar[str] = ""


def test_naive_twin_best_linear_loss_is_that_of_principal_components(generator):
    features = Twins(6, 0.3, importance=[1.0, 0.5, 2.0, 0.1, 1.0, 1.0])
    x = features.sample(5, generator, dtype=torch.float64).numpy()
    assert set(np.unique(x)) <= {0.0, 1.0}
    states = np.repeat(np.array(list(product([0.0, 1.0], repeat=3))), 2, axis=1)
    chance = 0.3 ** states[:, ::2].sum(1) * 0.7 ** (3 - states[:, ::2].sum(1))
    weighted = (states - chance @ states) * np.sqrt(features.importance)
    # Singular values of the centred, weighted states: what is left after the k largest.
    left = np.linalg.svd(np.sqrt(chance)[:, None] * weighted, compute_uv=False) ** 2
    for k in range(7):
        bound = gamma(1000, float) * left.sum()  # of an eigenvalue of order 6, and of a singular value
        assert_within(weighted_linear_loss(features, k), left[k:].sum() / 6, bound, resolution=np.inf)
    # Twins of equal weight take one direction each: three dimensions keep all.
    assert weighted_linear_loss(Twins(6, 0.3), 3) < 1e-12 < weighted_linear_loss(Twins(6, 0.3), 2)
    assert weighted_linear_loss(SparseFeatures(6, 0.3, Constant()), 3) > 0.1


def test_a_batch_is_its_entries_that_are_not_0(generator):
    x = Twins(8, 0.3).sample(20, generator)
    batch = SparseBatch.of(x)
    assert torch.equal(batch.to_dense(), x)
    assert (batch.values != 0).all()
    assert torch.equal(Twins(8, 0.3).sample_sparse(20, generator.manual_seed(1)).to_dense(),
                       Twins(8, 0.3).sample(20, generator.manual_seed(1)))  # fmt: skip


@pytest.mark.parametrize("objective", [None, Reconstruction()])
def test_training_finds_that_twins_go_together(objective):
    # Four dimensions can keep eight features that are four pairs.
    run = train(Autoencoder(8, 4, seed=2), Twins(8, 0.3), CONFIG, objective=objective, n_held_out=4000)
    alone = train(Autoencoder(8, 4, seed=2), SparseFeatures(8, 0.3, Constant()), CONFIG, n_held_out=4000)
    assert run.stopped == "completed"
    assert run.loss.value < 0.25 * alone.loss.value
    assert held_out_loss(run.model, run.features, n_samples=4000, seed=0) == run.loss
    (together,) = train_many([Autoencoder(8, 4, seed=2)], Twins(8, 0.3), CONFIG, n_held_out=4000)
    assert abs(together.loss.value - run.loss.value) < 0.2 * alone.loss.value


def test_a_run_that_is_no_better_than_the_constant_has_collapsed():
    idle = TrainingConfig(n_steps=1, batch_size=2, learning_rate=1e-9)
    assert train(Autoencoder(8, 4), Twins(8, 0.3), idle, n_held_out=500).stopped == "collapsed"


def test_features_are_saved_with_a_model_by_their_kind(tmp_path):
    train(Autoencoder(8, 4), Twins(8, 0.3), CONFIG.replace(n_steps=2), folder=tmp_path / "run", n_held_out=10)
    loaded = load_with_features(tmp_path / "run").features
    assert isinstance(loaded, Twins)
    assert loaded.to_config() == Twins(8, 0.3).to_config()
    train(Autoencoder(8, 4), Unsaved(8, 0.3), CONFIG.replace(n_steps=2), folder=tmp_path / "other", n_held_out=10)
    assert load_with_features(tmp_path / "other").features is None
    with pytest.raises(ValueError, match="`features` must be of a kind that can be loaded, got Unsaved: register_feat"):
        save(Autoencoder(8, 4), tmp_path / "no", features=Unsaved(8, 0.3))


@pytest.mark.parametrize("other", [Twins(8, 0.2), SparseFeatures(8, 0.3), Unsaved(8, 0.3)])
def test_a_run_goes_on_with_the_features_it_had_and_a_refusal_changes_nothing(tmp_path, other):
    def pressed(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(PersianRug.draw(8, 4), Twins(8, 0.3), CONFIG, folder=tmp_path, progress=pressed)
    rug = PersianRug.draw(8, 4)
    with pytest.raises(ValueError, match="must be that of the unfinished run"):
        train(rug, other, CONFIG, folder=tmp_path, resume=True)
    assert not any(parameter.requires_grad for parameter in rug.parameters())
    run = train(rug, Twins(8, 0.3), CONFIG, folder=tmp_path, resume=True, n_held_out=10)
    whole = train(PersianRug.draw(8, 4), Twins(8, 0.3), CONFIG, n_held_out=10)
    assert run.curve == whole.curve
    assert run.loss == whole.loss


def test_what_needs_independent_features_says_so():
    # In a process of its own: here the annotations are checked before.
    code = """
import torch
from superposition import PersianRug, SparseFeatures, symmetry
from superposition.models import HiddenActivations
try:
    symmetry(PersianRug.draw(4, 2), HiddenActivations(torch.eye(4), SparseFeatures(4, 0.3)))
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        "`features` must be a SparseFeatures, got <superposition.models.hidden_activations.Hid"
    )
    assert done.stdout.count("\n") == 1


class TestHiddenActivations:
    def test_naive_twin_moments_over_all_states(self, generator):
        W = torch.randn(2, 4, generator=generator, dtype=torch.float64)
        p = np.array([0.1, 0.5, 0.9, 0.3])
        states = np.array(list(product([0.0, 2.0], repeat=4)))
        chance = np.prod(np.where(states > 0, p, 1 - p), axis=1)
        h = states @ W.numpy().T
        hidden = HiddenActivations(W, SparseFeatures(4, p, Constant(2.0)))
        centred = h - chance @ h
        largest = (np.abs(h) ** 2).max()
        assert_within(hidden.mean, chance @ h, gamma(100, float) * np.abs(h).max())
        assert_within(hidden.covariance, (chance[:, None] * centred).T @ centred, gamma(200, float) * largest)
        assert np.array_equal(hidden.variance, hidden.covariance.diagonal())
        assert hidden.n_features == 2

    def test_of_dependent_features_too(self):
        W = torch.tensor([[1.0, -1.0, 0.0, 0.0]])
        assert float(HiddenActivations(W, Twins(4, 0.3)).variance[0]) == 0  # twins cancel
        assert float(HiddenActivations(W, SparseFeatures(4, 0.3)).variance[0]) > 0

    @pytest.mark.parametrize("encoder", [PersianRug.draw(16, 6), torch.eye(16)[:6]], ids=["rug", "matrix"])
    def test_samples_are_encoded_samples(self, encoder, generator):
        features = SparseFeatures(16, 0.2)
        hidden = HiddenActivations(encoder, features)
        drawn = hidden.sample(20_000, generator.manual_seed(3))
        x = features.sample(20_000, generator.manual_seed(3))
        assert torch.equal(drawn, hidden.encoder.encode(x))
        # A z-score of every mean, of a resolution that another mean would not pass.
        error = np.sqrt(hidden.variance / len(drawn))
        assert (np.abs(drawn.double().mean(dim=0).numpy() - hidden.mean) < Z_BOUND * error).all()
        assert (Z_BOUND * error < 0.5 * np.sqrt(hidden.variance)).all()

    def test_a_number_of_features_that_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="`features` must have the encoder's n_features = 8, got 9"):
            HiddenActivations(torch.eye(8), SparseFeatures(9, 0.1))
