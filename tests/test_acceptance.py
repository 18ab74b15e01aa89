"""The figures a trained model and a rug must reach (Persian Rug, figure 3 and eq. 5), on default settings."""

import pytest

from superposition import Autoencoder, PersianRug, SparseFeatures, held_out_loss, symmetry, train
from superposition.theory import symmetric_optimum
from tests.statistics import Z_BOUND


@pytest.mark.slow
def test_default_training_reaches_figure_3():
    features = SparseFeatures(512, 0.045)
    run = train(Autoencoder(512, 128), features)
    assert run.steps <= 2500
    assert run.succeeded
    assert run.loss.value + Z_BOUND * run.loss.standard_error <= 3.75e-3
    measured = symmetry(run.model, features)
    assert measured.diagonal.mean == pytest.approx(1.29, abs=0.02)
    assert measured.diagonal.root_mean_square <= 0.02
    assert -0.24 <= measured.bias.mean <= -0.15
    assert measured.dead_features == 0


@pytest.mark.slow
def test_a_large_rug_has_the_predicted_loss():
    features = SparseFeatures(8192, 0.045)
    measured = held_out_loss(PersianRug.fit(features, 2048), features, n_samples=20_000)
    expected = symmetric_optimum(0.25, 0.045).loss
    assert expected == pytest.approx(4.8558e-3, abs=5e-8)  # to five digits
    assert Z_BOUND * measured.standard_error < 0.005 * expected
    assert measured.value == pytest.approx(expected, rel=0.01)
