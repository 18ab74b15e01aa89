"""Where the loss comes from: E_r, E_ν, their bounds, and the explicit bound (12) made of these."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from superposition.features import Beta, Constant, Exponential, Uniform
from superposition.theory import (
    explicit_upper_bound,
    loss_parts,
    loss_parts_bound,
    optimal_relu,
    optimal_scale,
    relu_loss,
    upper_bound,
)
from tests.rounding import gamma

POINTS = [(1.0, -0.4, 0.2), (1.3, -0.45, 0.21), (0.7, 0.1, 0.5), (1.1, -0.01, 0.01), (1.0, 0.0, 2.0)]
DENSITIES = {Uniform(): lambda u: u**0, Beta(2, 3): lambda u: 12 * u * (1 - u) ** 2}
# Sums of some hundred terms that do not cancel, functions good to a few ulps.
CLOSE = gamma(400, float)
# Of quad, which is asked for 1e-12.
QUADRATURE = 1e-9


@pytest.mark.parametrize(("a", "b", "sigma"), POINTS)
@pytest.mark.parametrize("law", [Uniform(), Constant(), Exponential()], ids=str)
def test_identity_the_parts_add_up(a, b, sigma, law):
    parts, p = loss_parts(a, b, sigma, law), 0.07
    total = (1 - p) * parts.off + p * (parts.rectified + parts.noise)
    assert total == pytest.approx(relu_loss(a, b, sigma, p, law), rel=CLOSE)
    assert parts.ratio == parts.rectified / parts.noise


@pytest.mark.parametrize(("a", "b", "sigma"), POINTS[:3])
@pytest.mark.parametrize("law", DENSITIES, ids=str)
def test_naive_twin_quadrature(a, b, sigma, law):
    def rectified(u):
        return u**2 * norm.cdf(-(a * u + b) / (a * sigma)) * DENSITIES[law](u)

    def noise(u):
        def error(g):
            return (u - a * (u + sigma * g) - b) ** 2 * norm.pdf(g)

        kink = -(a * u + b) / (a * sigma)
        ends = sorted({min(max(kink, -30.0), 30.0), -4.0, 0.0, 4.0, 30.0})
        ends = [end for end in ends if end >= kink or end == ends[-1]]
        parts = zip([max(kink, -30.0), *ends], [*ends, 30.0], strict=True)
        return sum(quad(error, low, high)[0] for low, high in parts if high > low) * DENSITIES[law](u)

    found = loss_parts(a, b, sigma, law)
    points = [min(max(-b / a, 0.0), 1.0)]
    assert found.rectified == pytest.approx(quad(rectified, 0, 1, points=points)[0], rel=QUADRATURE)
    assert found.noise == pytest.approx(quad(noise, 0, 1, points=points, epsrel=1e-10)[0], rel=1e-7)


def test_limit_of_small_noise():
    """E_r → σ³ E(τ + g)₊³/3 and E_ν → σ² (1 + τ²) at b = −τσ: values are cut off in proportion to τσ."""
    sigma, tau = 1e-4, 2.5
    cube = quad(lambda g: (tau + g) ** 3 * norm.pdf(g), -tau, 30)[0]
    parts = loss_parts(1.0, -tau * sigma, sigma)
    assert parts.rectified == pytest.approx(sigma**3 * cube / 3, rel=1e-6)
    assert parts.noise == pytest.approx(sigma**2 * (1 + tau**2), rel=20 * sigma)
    assert parts.ratio < 3 * tau * sigma


def test_bounds_hold_on_a_grid_and_are_not_idle():
    sigma, b = np.meshgrid(np.geomspace(1e-4, 1e2, 40), -np.concatenate([[0.0], np.geomspace(1e-5, 50, 40)]))
    parts, bound = loss_parts(1.0, b, sigma), loss_parts_bound(sigma, b)
    for name in ("off", "rectified", "noise"):
        mine, most = getattr(parts, name), getattr(bound, name)
        assert (mine <= most * (1 + 1e-12) + 1e-300).all(), name
        seen = most > 1e-200
        assert (mine[seen] / most[seen]).max() > 0.9, name


def test_the_explicit_bound_is_above_the_ansatz_and_as_written():
    r, p = np.meshgrid(np.geomspace(1e-6, 1, 25), np.geomspace(1e-12, 1, 25))
    explicit = explicit_upper_bound(r, p)
    assert (upper_bound(r, p) <= explicit * (1 + 1e-12)).all()
    inside = r < 1
    assert (upper_bound(r, p)[inside] / explicit[inside]).max() > 0.9
    sigma2, lam = 0.04348125, np.log(1 / 0.045)
    tau = np.sqrt(2 * lam)
    cut = 0.045 * sigma2**1.5 / 3 * (tau**3 + 3 * tau + np.sqrt(2 / np.pi))
    assert explicit_upper_bound(0.25, 0.045) == pytest.approx(0.045 * sigma2 * (2 * lam + 1.5) + cut, rel=CLOSE)


@pytest.mark.parametrize("law", [Uniform(), Constant(), Beta(2, 3)], ids=str)
@pytest.mark.parametrize(("beta", "sigma", "p"), [(-0.35, 0.2, 0.045), (0.3, 1.0, 0.5), (-0.1, 0.05, 1e-6)])
def test_the_scale_of_eq_13_is_a_root_of_eq_12(law, beta, sigma, p):
    a = optimal_scale(beta, sigma, p, law)
    step = 1e-3 * a
    # The loss is a parabola in a: its central difference is its derivative, and vanishes.
    high, low, here = (relu_loss(a + s, (a + s) * beta, sigma, p, law) for s in (step, -step, 0.0))
    curvature = high + low - 2 * here
    assert curvature > 0
    assert abs(high - low) < 1e-6 * curvature + 8 * CLOSE * here


def test_the_best_scale_is_that_of_the_best_threshold():
    best = optimal_relu(0.2, 0.045)
    assert optimal_scale(best.bias / best.scale, 0.2, 0.045) == pytest.approx(best.scale, rel=CLOSE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimal_scale(-1.6, 0.05, 0.1), r"`threshold` must leave the ReLU on .* got -1.6"),
        (lambda: optimal_scale(0.0, -1.0, 0.1), "`noise_std` must"),
        (lambda: loss_parts(0.0, 0.0, 0.1), "`scale` must be positive"),
        (lambda: loss_parts_bound(0.1, 0.1), "`bias` must be in"),
        (lambda: explicit_upper_bound(0.0, 0.1), "`ratio` must"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
