"""Planted dictionaries are found from hidden activations alone, and scores tell found from not found."""

import copy

import numpy as np
import pytest
import torch

from superposition import Autoencoder, PersianRug, SparseFeatures, TrainingConfig, load, train
from superposition._random import torch_generator
from superposition.models import DenseEncoder, HiddenActivations, encoder_of
from superposition.training import (
    CodePenalty,
    Dictionary,
    learn_dictionary,
    learn_dictionary_by_sklearn,
    loop,
    match_columns,
)
from tests.rounding import assert_within, gamma, trained_bound

SPARSE = SparseFeatures(32, 0.05)
CONFIG = TrainingConfig.dictionary()

PLANTED = {
    "gaussian": lambda: DenseEncoder.gaussian(32, 20, seed=1),
    "harmonic": lambda: DenseEncoder.harmonic(32, 20, seed=1),
    "rug": lambda: encoder_of(PersianRug.draw(32, 20, seed=1)),
}


# Three standard deviations or so below the mean of 16 seeds, 0.92, 0.63 and 0.98, 0.97; chance is 0.47, 0.
@pytest.mark.parametrize(
    ("kind", "cosine", "share"), [("gaussian", 0.85, 0.4), ("harmonic", 0.92, 0.85), ("rug", 0.92, 0.8)]
)
def test_a_planted_dictionary_is_found(kind, cosine, share):
    found = learn_dictionary(PLANTED[kind](), SPARSE, config=CONFIG.replace(n_steps=1200))
    assert found.mean_cosine > cosine
    assert found.recovered > share
    assert found.columns.shape == (20, 32)
    np.testing.assert_allclose(found.columns.norm(dim=0), 1, rtol=2 * gamma(20, torch.float32))  # 20 squares, twice
    assert 0 < found.loss.value < 0.2
    assert found.loss.count == 20_000
    # Of the variance of hidden activations, which the constant prediction loses.
    share = found.run.loss.value / HiddenActivations(PLANTED[kind](), SPARSE).variance.mean()
    assert found.loss.value == pytest.approx(share, rel=gamma(100, float))


def test_control_without_a_penalty_nothing_is_found():
    found = learn_dictionary(PLANTED["gaussian"](), SPARSE, penalty=0.0, config=CONFIG.replace(n_steps=600))
    assert found.recovered < 0.1
    assert found.loss.value < 0.05  # though it reconstructs better


def test_naive_twin_adam_on_unit_columns():
    """The loss ‖h − ĥ‖² + λ Σ x̂ as it is written, and columns of norm 1 after every step; in float64."""
    encoder, config, penalty = DenseEncoder.gaussian(8, 5, dtype=torch.float64), CONFIG.replace(n_steps=60), 0.2
    hidden = HiddenActivations(encoder, SparseFeatures(8, 0.1))
    # By the naive loss Adam's ε has other units, of which there is nothing to be seen.
    start = Dictionary(5, 9, seed=2).double()
    with torch.no_grad():
        start.centre.copy_(torch.from_numpy(hidden.mean))

    def results(model):
        run = train(model, hidden, config, objective=CodePenalty(penalty), seed=4, n_held_out=10)
        return [run.model.columns, run.model.bias]

    bounds = trained_bound(results, start, config.n_steps, 512 * 9, np.float64)
    twin = copy.deepcopy(start)
    D, b, c = twin.columns, twin.bias, twin.centre
    optimizer = torch.optim.Adam([D, b], betas=config.betas, eps=config.epsilon)
    for step in range(config.n_steps):
        h = hidden.sample(512, torch_generator(4, "batch", step), dtype=torch.float64)
        code = torch.relu((h - c) @ D + b)
        loss = (h - code @ D.T).square().sum(dim=1).mean() + penalty * code.sum(dim=1).mean()
        optimizer.param_groups[0]["lr"] = config.learning_rate / 5**0.5 * config.rate_factor(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            D /= D.norm(dim=0)
    for found, expected, bound in zip(results(start), (D, b), bounds, strict=True):
        assert_within(found, expected, bound + 1e-9 * float(expected.detach().abs().max()), resolution=1e-6)


def test_an_interrupted_dictionary_goes_on_bit_for_bit_and_is_loaded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(loop, "_CHECKPOINT_SHARE", 0)
    config = CONFIG.replace(n_steps=110)

    def learnt(folder, **options):
        return learn_dictionary(PLANTED["rug"](), SPARSE, config=config, folder=folder, n_held_out=100, **options)

    def pressed(done, *_):
        if done == 50:
            raise KeyboardInterrupt

    whole = learnt(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        learnt(tmp_path / "cut", progress=pressed)
    for changed, name in ((SparseFeatures(32, 0.1), "features"), (SPARSE, "encoder")):
        encoder = PLANTED["rug" if name == "features" else "gaussian"]()
        with pytest.raises(ValueError, match="`features` must be that of the unfinished run"):
            learn_dictionary(encoder, changed, config=config, folder=tmp_path / "cut", resume=True)
    with pytest.raises(ValueError, match=r"`objective` must be that .*CodePenalty\(penalty=0\.15"):
        learnt(tmp_path / "cut", resume=True, penalty=0.1)
    cut = learnt(tmp_path / "cut", resume=True)
    assert torch.equal(cut.columns, whole.columns)
    assert (cut.loss, cut.run.curve) == (whole.loss, whole.run.curve)
    loaded = load(tmp_path / "cut")
    assert isinstance(loaded, Dictionary)
    assert all(torch.equal(part, whole.run.model.state_dict()[name]) for name, part in loaded.state_dict().items())


def test_columns_of_a_trained_model_are_learnt_from_any_features():
    found = learn_dictionary(Autoencoder(8, 4), SparseFeatures(8, 0.2), n_atoms=11, config=CONFIG.replace(n_steps=3))
    assert found.columns.shape == (4, 11)
    of_hidden = HiddenActivations(torch.eye(4), SparseFeatures(4, 0.2))  # features that are no SparseFeatures
    assert learn_dictionary(torch.eye(4), of_hidden, config=CONFIG.replace(n_steps=3)).columns.shape == (4, 4)


def test_a_run_that_diverges_finds_nothing():
    wild = CONFIG.replace(n_steps=60, learning_rate=1e38, warm_up=0.0)
    found = learn_dictionary(PLANTED["gaussian"](), SPARSE, config=wild, n_held_out=100)
    assert not found.run.succeeded


def test_an_objective_for_dictionaries_refuses_other_models():
    with pytest.raises(ValueError, match="`model` must be a Dictionary, got Autoencoder"):
        train(Autoencoder(8, 4), SparseFeatures(8, 0.2), CONFIG, objective=CodePenalty(0.1))


def test_scikit_learn_finds_it_too():
    found = learn_dictionary_by_sklearn(PLANTED["gaussian"](), SPARSE, n_samples=1500, max_iter=8)
    assert found.recovered > 0.6
    assert found.loss is None


def test_matching_is_one_to_one_and_signed(generator):
    planted = torch.randn(6, 5, generator=generator)
    order = torch.tensor([3, 0, 4, 2, 1])
    found = torch.cat([-planted[:, :1], 2 * planted[:, order]], dim=1)
    np.testing.assert_allclose(match_columns(planted, found), 1, rtol=gamma(32, float))  # in float64
    assert match_columns(planted, -planted).max() < 0.99
    doubled = torch.cat([planted[:, :1]] * 5, dim=1)
    assert (match_columns(planted, doubled) > 0.999).sum() == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: learn_dictionary(torch.zeros(2, 3), SparseFeatures(3, 0.1)),
            "`features` must give hidden activations that vary, got a variance of 0",
        ),
        (lambda: match_columns(torch.eye(3), torch.eye(3)[:, :2]), r"`found` must have 3 rows and at least 3 columns"),
        (
            lambda: learn_dictionary(DenseEncoder.gaussian(8, 4), SparseFeatures(9, 0.1)),
            "`features` must have the encoder's n_features = 8, got 9",
        ),
        (
            lambda: learn_dictionary(DenseEncoder.gaussian(8, 4), SparseFeatures(8, 0.1), penalty=-1.0),
            "`penalty` must be finite and not negative",
        ),
        (
            lambda: learn_dictionary(DenseEncoder.gaussian(8, 4), SparseFeatures(8, 0.1), n_atoms=7),
            "`n_atoms` must be a whole number of at least 8",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
