import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy.special import ndtr

from superposition import Constant, Uniform
from superposition.theory import relu_loss
from tests.oracles import rectified_loss
from tests.rounding import assert_close, gamma
from tests.statistics import agrees

# A sum over some hundred nodes of positive terms.
QUADRATURE = gamma(200, float)


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@pytest.mark.parametrize("case", range(20))
def test_naive_twin_integral_at_40_digits(case):
    rng = np.random.default_rng(case)
    sigma, p, scale = log_uniform(rng, 1e-8, 1e3), log_uniform(rng, 1e-12, 1), log_uniform(rng, 0.01, 3)
    bias = scale * sigma * rng.uniform(-6, 3)
    law, constant = (Constant(0.7), 0.7) if case % 4 == 3 else (Uniform(), None)
    exact = float(rectified_loss.loss(scale, bias, sigma, p, constant))
    assert_close(relu_loss(scale, bias, sigma, p, law), exact, rectified_loss.rounding(-6))


@pytest.mark.parametrize("law", [Uniform(), Uniform(0.5, 2.0), Constant(0.7)])
@pytest.mark.parametrize(("scale", "bias", "sigma", "p"), [(1.29, -0.446, 0.2085, 0.045), (0.8, 0.1, 0.5, 0.5)])
def test_simulation(scale, bias, sigma, p, law, rng):
    n = 2_000_000
    u = law.draw(n, torch.Generator().manual_seed(7), torch.float64).numpy()
    x = u * (rng.random(n) < p)
    errors = (x - np.maximum(scale * (x + sigma * rng.standard_normal(n)) + bias, 0)) ** 2
    exact = relu_loss(scale, bias, sigma, p, law)
    assert agrees(errors, exact, resolution=0.03)
    assert not agrees(errors, relu_loss(scale, bias * 1.1, sigma, p * 1.1, law), resolution=0.03)


def test_mutant_with_the_other_sign_of_the_bias_differs():
    # The Toy Models appendix writes −b.
    exact = float(rectified_loss.loss(1.2, -0.3, 0.2, 0.1))
    assert relu_loss(1.2, 0.3, 0.2, 0.1) != pytest.approx(exact, rel=0.1)


def test_mutant_without_the_off_term_differs():
    s, b, p = 1.2 * 0.2, -0.3, 0.1
    off = (b * b + s * s) * ndtr(b / s) + b * s * np.exp(-((b / s) ** 2) / 2) / np.sqrt(2 * np.pi)
    loss = relu_loss(1.2, b, 0.2, p)
    exact = float(rectified_loss.loss(1.2, b, 0.2, p))
    assert_close(loss, exact, rectified_loss.rounding(b / s))
    assert loss - (1 - p) * off != pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("law", [Uniform(), Constant(0.7)])
def test_naive_twin_without_noise(law):
    u, weights = law.nodes(0.2 / 1.3, 0.0)
    expected = 0.3 * weights @ (u - np.maximum(1.3 * u - 0.2, 0)) ** 2
    assert_close(relu_loss(1.3, -0.2, 0.0, 0.3, law), expected, QUADRATURE)
    # Noise adds its own variance, no more.
    assert_close(relu_loss(1.3, -0.2, 1e-9, 0.3, law), expected, QUADRATURE + (1.3 * 1e-9) ** 2 / expected)


def test_limit_identity_and_switched_off():
    assert relu_loss(1.0, 0.0, 0.0, 0.3) == 0.0
    for threshold in (-1.5, -9.9, -10.1, -100.0):
        # In closed form, up to 10 lengths of the law below 0, terms of the cube of the threshold cancel.
        bound = QUADRATURE + gamma(30, float) * min(abs(threshold), 10) ** 3
        assert_close(relu_loss(1.0, threshold, 0.01, 0.3), 0.1, bound)


def test_limit_everything_is_on_is_linear():
    a, b, sigma, p = 0.5, 50.0, 0.3, 0.2
    x_mean, x_square = p / 2, p / 3
    expected = (1 - a) ** 2 * x_square - 2 * (1 - a) * b * x_mean + b * b + (a * sigma) ** 2
    assert_close(relu_loss(a, b, sigma, p), expected, QUADRATURE)  # b² is nearly all of it: nothing cancels


@given(
    scale=st.floats(1e-6, 1e6), t=st.floats(-1e6, 1e6), sigma=st.floats(1e-8, 1e8), p=st.floats(1e-12, 1.0),
    constant=st.booleans(),
)  # fmt: skip
def test_property_finite_not_negative_and_silent(scale, t, sigma, p, constant):
    law = Constant() if constant else Uniform()
    with np.errstate(divide="raise", invalid="raise", over="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = relu_loss(scale, scale * t * sigma, sigma, p, law)
    assert np.isfinite(loss)
    assert loss >= 0


@pytest.mark.parametrize(("scale", "bias", "sigma"), [(1.0, 1e9, 0.0), (1e-300, -1.0, 1.0), (1e100, 1.0, 1e-100)])
def test_extreme_arguments_are_silent(scale, bias, sigma):
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        assert np.isfinite(relu_loss(scale, bias, sigma, 0.5))


@given(unit=st.floats(1e-3, 1e3))
def test_property_the_loss_scales_with_the_unit_squared(unit):
    expected = unit**2 * relu_loss(1.2, -0.2, 0.3, 0.1)
    assert_close(
        relu_loss(1.2, -0.2 * unit, 0.3 * unit, 0.1, Uniform(0, unit)), expected, 2 * rectified_loss.rounding(-1)
    )


def test_broadcasting_equals_scalars(rng):
    a, b = rng.uniform(0.5, 2, (3, 1)), rng.uniform(-1, 1, 4)
    together = relu_loss(a, b, 0.3, [0.1, 0.2, 0.5, 1.0])
    assert together.shape == (3, 4)
    alone = [[relu_loss(a[i, 0], b[j], 0.3, [0.1, 0.2, 0.5, 1.0][j]) for j in range(4)] for i in range(3)]
    assert_close(together, alone, 2 * rectified_loss.rounding(-1 / (0.5 * 0.3)))
    assert isinstance(relu_loss(1, 0, 1, 1), float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0, 1, 0.5), "`scale` must be positive, got 0"),
        ((float("nan"), 0, 1, 0.5), "`scale` must be finite, got nan"),
        ((1, float("inf"), 1, 0.5), "`bias` must be finite, got inf"),
        ((1, 0, -1, 0.5), "`noise_std` must be finite and not negative, got -1"),
        ((1, 0, 1, 0.0), "`probability` must be in"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        relu_loss(*arguments)
