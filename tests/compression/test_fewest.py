"""The least number of neurons: its network, and that fewer, or a linear code, gain no more."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from superposition import SparseFeatures, TrainingConfig
from superposition.compression import learn, linear_code_bound, linear_loss, smallest_network
from tests.statistics import agrees

# Of means over midpoints h = 1.3/4000 apart, relative: h²/24 f″ of the polynomials between kinks and h²/8 a change of
# slope at the kinks, with f″ and changes of some tens of f, come to less than 1e-5.
MIDPOINTS = 1e-4


def conditional(direction, n=4000):
    """Codes s = x + a y with their density, the means of x and y given s, and the mean of their variances given s."""
    a = direction
    s = (np.arange(n) + 0.5) / n * (1 + a)
    low, high = np.maximum(0, (s - 1) / a), np.minimum(1, s / a)
    y = (low + high) / 2
    return s, (high - low) * (1 + a) / n, np.stack([s - a * y, y], axis=1), (1 + a**2) * (high - low) ** 2 / 24


def loss_of_decoder(direction, features):
    """Least loss of outputs that are linear in features of the code, such as hinges."""
    s, weight, middle, variance = conditional(direction)
    design = np.stack([np.ones_like(s), *(feature(s) for feature in features)], axis=1) * np.sqrt(weight)[:, None]
    target = middle * np.sqrt(weight)[:, None]
    rest = target - design @ np.linalg.lstsq(design, target)[0]
    return float((weight * variance).sum() + (rest**2).sum() / 2)


def hinge(at):
    return lambda s: np.maximum(s - at, 0)


def test_a_linear_code_gains_seven_percent_at_most():
    every = [conditional(a) for a in np.linspace(0.01, 1, 100)]
    losses = [float((weight * variance).sum()) for _, weight, _, variance in every]
    assert min(losses) == pytest.approx(linear_code_bound(), rel=MIDPOINTS)
    assert np.linspace(0.01, 1, 100)[np.argmin(losses)] == pytest.approx(1 / 3, abs=0.01)  # the grid's step
    assert losses[-1] == pytest.approx(linear_loss(), rel=MIDPOINTS)
    # Three neurons in the decoder attain it: the curve of the means has two kinks.
    exact = loss_of_decoder(1 / 3, [lambda s: s, hinge(1 / 3), hinge(1.0)])
    assert exact == pytest.approx(linear_code_bound(), rel=MIDPOINTS)


def test_smallest_network_beats_linear_as_said():
    z = torch.rand(400_000, 2, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        errors = (smallest_network()(z) - z).square().mean(1).numpy()
    assert agrees(errors, 0.0404944, resolution=0.03)
    assert not agrees(errors, linear_loss(), resolution=0.03)
    s, weight, middle, variance = conditional(0.25855856)
    with torch.no_grad():
        decoded = smallest_network().decoder(torch.from_numpy(s).float()[:, None]).double().numpy()
    exact = (weight * variance).sum() + (weight[:, None] * (decoded - middle) ** 2).sum() / 2
    assert exact == pytest.approx(0.0404944, rel=MIDPOINTS)


def test_no_network_of_three_neurons_and_a_linear_code_is_better():
    def loss(v):
        return loss_of_decoder(min(max(v[0], 0.01), 1.0), [hinge(v[1]), hinge(v[2])])

    starts = [(a, b, c) for a in (0.2, 0.6) for b in (-0.2, 0.1) for c in (0.3, 1.0)]
    best = min(minimize(loss, start, method="Nelder-Mead", options={"maxiter": 150}).fun for start in starts)
    assert best == pytest.approx(0.0404944, rel=2 * MIDPOINTS)  # and of a search that stops early


@pytest.mark.parametrize("widths", [(1, 1), (12, 1)])
def test_one_neuron_in_the_decoder_gains_nothing(widths):
    losses = learn(
        SparseFeatures(2, 1.0),
        (2, widths[0], 1),
        (1, widths[1], 2),
        n_runs=16,
        config=TrainingConfig.networks().replace(n_steps=800),
    ).losses
    best = min(losses, key=lambda loss: loss.value)
    assert best.z_score(linear_loss()) > -4.5
    assert best.value < 1.03 * linear_loss()
