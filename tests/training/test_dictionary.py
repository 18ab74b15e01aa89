"""Planted dictionaries are found from hidden activations alone, and scores tell found from not found."""

import numpy as np
import pytest
import torch

from superposition import PersianRug, SparseFeatures
from superposition.models import DenseEncoder, encoder_of
from superposition.training.dictionary import learn_dictionary, learn_dictionary_by_sklearn, match_columns
from tests.rounding import gamma

PLANTED = {
    "gaussian": lambda: DenseEncoder.gaussian(32, 20, seed=1),
    "harmonic": lambda: DenseEncoder.harmonic(32, 20, seed=1),
    "rug": lambda: encoder_of(PersianRug.draw(32, 20, seed=1)),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_dictionary_is_found(kind):
    found = learn_dictionary(PLANTED[kind](), SparseFeatures(32, 0.05), n_steps=1200)
    assert found.mean_cosine > 0.9
    assert found.recovered > 0.7
    assert found.columns.shape == (20, 32)
    np.testing.assert_allclose(found.columns.norm(dim=0), 1, rtol=2 * gamma(20, torch.float32))  # 20 squares, twice
    assert 0 < found.loss < 0.2


def test_control_without_a_penalty_nothing_is_found():
    found = learn_dictionary(PLANTED["gaussian"](), SparseFeatures(32, 0.05), penalty=0.0, n_steps=600)
    assert found.recovered < 0.1
    assert found.loss < 0.05  # though it reconstructs better


def test_scikit_learn_finds_it_too():
    found = learn_dictionary_by_sklearn(PLANTED["gaussian"](), SparseFeatures(32, 0.05), n_samples=1500, max_iter=8)
    assert found.recovered > 0.6
    assert np.isnan(found.loss)


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
