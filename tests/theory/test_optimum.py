import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from superposition import Beta, Constant, Empirical, Exponential, Uniform
from superposition.theory import (
    bayes_denoiser,
    bayes_loss,
    hull_optimum,
    linear_loss,
    loss_gradients,
    lower_bound,
    minimal_noise_variance,
    optimal_relu,
    relu_loss,
    symmetric_optimum,
    upper_bound,
    zero_ratio_loss,
)
from tests.oracles import rectified_loss
from tests.rounding import PROMISED, assert_close, assert_within, gamma

# Of the root in t = b/(aσ), absolute and relative; the scale that is best at t moves by less than t does.
ROOT = 1e-10
# A loss in the range of the scan, t ≥ −5 − √(2 log 1/p) for p ≥ 1e-9.
LOSS = rectified_loss.rounding(-11.5)
# Sums of nodes of positive terms, or closed forms in which nothing cancels.
PLAIN = gamma(200, float)


def place(best):
    """Returns t at an optimum, and a bound on its error."""
    t = best.bias / (best.scale * best.noise_std)
    return t, ROOT * (1 + abs(t))


LAWS = [Uniform(), Uniform(0.5, 2.0), Constant(), Constant(0.01)]
probabilities = st.floats(-9, 0).map(lambda exponent: 10**exponent).filter(lambda p: p == 1 or p < 1 - 1e-8)
ratios = st.one_of(st.floats(1e-4, 1 - 1e-6), st.floats(-4, 0).map(lambda x: min(10**x, 1 - 1e-6)))


def random_point(case):
    """P in [1e-9, 1] and r in [1e-4, 1 − 1e-6], dense near both ends."""
    rng = np.random.default_rng(case)
    p = float(10 ** rng.uniform(-9, 0))
    r = float(10 ** rng.uniform(-4, 0)) if case % 2 else float(1 - 10 ** rng.uniform(-6, -1))
    return min(r, 1 - 1e-6), p


@pytest.mark.parametrize(
    ("p", "r", "loss", "scale", "bias"),
    [  # reference values
        (0.045, 0.25, "4.855798e-03", "1.28921", "-0.44583"),
        (0.01, 0.10, "9.963e-04", "1.5249", "-0.5976"),
        (0.001, 0.05, "2.583e-05", "1.4012", "-0.3271"),
        (0.3, 0.5, "3.027e-02", "0.8393", "-0.1053"),
    ],
)
def test_known_values_to_every_digit_given(p, r, loss, scale, bias):
    best = symmetric_optimum(r, p)
    assert f"{best.loss:.{len(loss) - 6}e}" == loss
    for value, text in ((best.scale, scale), (best.bias, bias)):
        assert f"{value:.{len(text.split('.')[1])}f}" == text


@pytest.mark.parametrize(
    ("p", "r", "loss", "scale", "bias"),
    [  # python -m tests.oracles.rectified_loss
        (0.045, 0.25, 0.00485579808863876, 1.28921463312441, -0.445833967184385),
        (0.01, 0.1, 0.000996298994220412, 1.52494007117695, -0.597612037197775),
        (0.001, 0.05, 2.58271842290644e-5, 1.40117978942239, -0.327120963025987),
        (0.3, 0.5, 0.0302675973826353, 0.839292620961003, -0.105302182662544),
    ],
)
def test_known_values_of_the_mpmath_oracle(p, r, loss, scale, bias):
    best = symmetric_optimum(r, p)
    t, moved = place(best)
    assert_close(best.loss, loss, rectified_loss.rounding(t) + 5e-15)  # 15 digits are given
    assert_close(best.scale, scale, 2 * moved)
    assert_close(best.bias, bias, 2 * moved)


@pytest.mark.parametrize("case", range(24))
def test_naive_twin_loss_at_the_optimum(case):
    r, p = random_point(case)
    best = symmetric_optimum(r, p)
    assert_close(best.noise_std, float(rectified_loss.noise_std(r, p)), gamma(10, float))
    exact = float(rectified_loss.loss(best.scale, best.bias, best.noise_std, p))
    assert_close(best.loss, exact, rectified_loss.rounding(place(best)[0]))
    assert_close(relu_loss(best.scale, best.bias, best.noise_std, p), exact, rectified_loss.rounding(place(best)[0]))


@pytest.mark.parametrize("case", range(8))
def test_identity_the_derivative_is_zero_at_the_optimum(case):
    r, p = random_point(case)
    best = symmetric_optimum(r, p)
    t, moved = place(best)
    by_scale, by_bias = map(float, rectified_loss.gradient(best.scale, best.bias, best.noise_std, p))
    beside = float(rectified_loss.gradient(best.scale, best.bias + 0.01 * best.noise_std, best.noise_std, p)[1])
    # The slope in b grows as it does from here to 0.01 σ away; a is best at its t, so its slope is −t a times that.
    # Rounding: of a and b themselves, at a curvature of about p/3, and of the terms of the slope.
    bound = 2 * abs(beside) * best.scale * moved / 0.01 + gamma(40, float) * p
    assert_within(by_bias, 0, bound)
    assert_within(by_scale, 0, (1 + abs(t) * best.scale) * bound)
    assert bound < 0.1 * abs(beside), "control: the slope a thousandth of σ away is seen"


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("p", [1e-6, 0.001, 0.045, 0.3, 0.9, 1.0])
def test_certificate_no_grid_point_is_below(law, p):
    # a in units that follow the law: t = b/(aσ) and the linear and rectifying regimes of a.
    for r in (0.001, 0.05, 0.3, 0.9, 0.9999):
        best = symmetric_optimum(r, p, law)
        scales = np.concatenate([np.geomspace(r / 3, 3, 60), best.scale * np.linspace(0.9, 1.1, 21)])[:, None]
        far = 3 * (best.noise_std * p * law.mean / max(zero_ratio_loss(p, law), 1e-300) + 5)
        t = np.concatenate([np.linspace(-13, 10, 250), np.geomspace(10, max(far, 11), 100)])
        grid = relu_loss(scales, scales * t * best.noise_std, best.noise_std, p, law)
        assert best.loss <= grid.min() * (1 + PROMISED)


def TwoValues(low, share):
    """`low` mostly, 1 with probability `share`: its profile over b has two minima."""
    return Empirical([low, 1.0], [1 - share, share])


def profile(sigma, p, law, t):
    """The loss at b = a t σ and the best a: a parabola in a, fixed by its values at 0, 1 and 2."""
    none = p * law.second_moment
    one, two = (relu_loss(a, a * t * sigma, sigma, p, law) for a in (1.0, 2.0))
    square = (two - 2 * one + none) / 2
    product = (none + square - one) / 2
    return none - np.maximum(product, 0) ** 2 / square


@pytest.mark.parametrize(
    ("law", "sigma", "p"), [(TwoValues(0.05, 0.001), 0.1264, 1.0), (TwoValues(0.05, 0.001), 0.2, 1.0)]
)
def test_of_two_local_minima_the_lower_is_taken(law, sigma, p):
    losses = profile(sigma, p, law, np.linspace(-8, 40, 1000))
    minima = np.flatnonzero((losses[1:-1] < losses[:-2]) & (losses[1:-1] < losses[2:])) + 1
    assert len(minima) == 2
    best = optimal_relu(sigma, p, law)
    assert best.loss <= losses.min() * (1 + PROMISED)
    # The grid misses a minimum by half a step: an eighth of the second difference, here twice that.
    lowest = losses.argmin()
    assert_within(best.loss, losses.min(), (losses[lowest - 1] + losses[lowest + 1] - 2 * losses.min()) / 4)
    assert losses[minima].max() > 2 * best.loss  # a local search from the wrong side misses by this


@pytest.mark.parametrize(
    ("law", "sigma", "p", "place"),
    [
        (TwoValues(0.0932, 0.0165), 0.1921, 0.985, -1),
        (TwoValues(0.049, 0.000245), 0.0547, 0.0607, -1),
        (TwoValues(0.049, 0.000245), 0.085, 0.0607, 0),
    ],
)
def test_the_lower_of_two_rectifying_minima_is_taken_wherever_it_is(law, sigma, p, place):
    """The scan comes upon the left one first, and the best affine decoder is no better than either."""
    t = np.linspace(-8, 12, 4001)
    losses = profile(sigma, p, law, t)
    minima = np.flatnonzero((losses[1:-1] < losses[:-2]) & (losses[1:-1] < losses[2:])) + 1
    assert len(minima) == 2
    lowest, other = minima[place], minima[-1 - place]
    assert lowest == losses.argmin()
    best = optimal_relu(sigma, p, law)
    assert losses[other] > 1.01 * losses[lowest], "control: the other minimum is seen to be another"
    v = law.sparse_variance(p)
    assert v * sigma**2 / (v + sigma**2) > 1.01 * losses[lowest], "control: so is the affine optimum"
    # As above: the grid misses a minimum by half a step at most, here twice the loss of that.
    missed = (losses[lowest - 1] + losses[lowest + 1] - 2 * losses[lowest]) / 4 + 2 * PROMISED * losses[lowest]
    assert_within(best.loss, losses[lowest], missed)
    assert_within(best.bias / (best.scale * sigma), t[lowest], t[1] - t[0], resolution=np.inf)


@pytest.mark.parametrize("law", LAWS)
def test_limit_ratio_one(law):
    assert symmetric_optimum(1.0, 0.1, law).loss == 0.0
    assert (symmetric_optimum(1.0, 0.1, law).scale, symmetric_optimum(1.0, 0.1, law).bias) == (1.0, 0.0)
    for gap in (1e-3, 1e-6, 1e-9):
        best = symmetric_optimum(1 - gap, 0.1, law)
        assert 0 < best.loss < gap * zero_ratio_loss(0.1, law)
        # 1 − a is of the order of the noise in units of the values, √gap.
        assert_within(best.scale, 1, 10 * gap**0.5, resolution=1)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("p", [1e-3, 0.3, 0.99])
def test_limit_ratio_zero_is_the_constant_prediction(law, p):
    losses = symmetric_optimum([1e-3, 1e-5, 1e-7, 1e-9], p, law).loss / zero_ratio_loss(p, law)
    assert (np.diff(losses) >= -PLAIN).all()
    assert_within(losses[-1], 1, 2 * 1e-9 + PLAIN)  # the linear decoder's, 1 − r
    assert (losses <= 1 + PLAIN).all()


def test_limit_always_active_with_little_noise_is_linear():
    assert_close(symmetric_optimum(0.5, 1.0, Uniform(5, 6)).loss, linear_loss(0.5, 1.0, Uniform(5, 6)), 20 * PLAIN)
    assert symmetric_optimum(0.5, 1.0, Constant()).loss == 0.0


def test_limit_without_variance_the_constant_is_the_optimum():
    best = optimal_relu([0.0, 0.1, 1e-160, 1e10], 1.0, Constant(2.0))
    assert best.loss.tolist() == [0, 0, 0, 0]
    assert best.scale.tolist() == [1, 0, 0, 0]
    assert best.bias.tolist() == [0, 2, 2, 2]
    gap = 1 - (1 - 1e-12)
    assert_close(optimal_relu(0.1, 1 - 1e-12, Constant()).loss, gap, 2 * gap / 0.1**2)  # v/(1 + v/σ²), v = p(1 − p)


@pytest.mark.parametrize("law", [Constant(), Uniform(1e6, 1e6 + 1), Empirical([1e6, 1e6 + 1]), Uniform(5, 6)], ids=str)
@pytest.mark.parametrize("p", [0.99, 1 - 1e-6, 1 - 1e-9, 1 - 1e-13, 1.0])
def test_certificate_never_above_linear_however_small_the_variance(law, p):
    r = np.array([1e-6, 1e-3, 0.3, 0.99, 1 - 1e-6])
    best, linear = symmetric_optimum(r, p, law), linear_loss(r, p, law)
    assert (best.loss <= linear * (1 + gamma(10, float))).all()
    if zero_ratio_loss(p, law):
        again = relu_loss(best.scale, best.bias, best.noise_std, p, law)
        assert_close(again, best.loss, PROMISED)
    if p == 1:
        assert_close(best.loss[:3], linear[:3], PLAIN)


@pytest.mark.parametrize(
    "law", [Beta(1e-12, 1e-12), Beta(0.05, 0.3), Beta(0.3, 3000.0), Exponential(), Uniform(), Uniform(5, 6)], ids=str
)
def test_an_optimum_does_not_depend_on_its_batch(law):
    sigma = np.array([0, 1e-10, 1e-5, 1e-2, 0.3, 1, 10, 1e5, 1e10])[:, None]
    p = np.array([1e-12, 1e-8, 1e-4, 1e-2, 0.3, 0.9, 1 - 1e-9, 1])
    together, few = optimal_relu(sigma, p, law), [0, 2, 5]
    alone = [[optimal_relu(s, q, law).loss for q in p[few]] for s in sigma[:, 0]]
    # Vector loops may round a function otherwise than the loop over their rest does.
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num(together.bias / (together.scale * sigma))[:, few]
    assert_close(together.loss[:, few], alone, 2 * rectified_loss.rounding(t))
    assert np.isfinite(together.loss).all()
    alone = [[relu_loss(1.1, -2 * s, s, q, law) for q in p[few]] for s in sigma[:, 0]]
    assert_close(relu_loss(1.1, -2 * sigma, sigma, p[few], law), alone, 2 * rectified_loss.rounding(-2 / 1.1))


@given(p=probabilities, r=ratios, law=st.sampled_from(LAWS))
def test_property_between_zero_and_linear_and_silent(p, r, law):
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        best = symmetric_optimum(r, p, law)
    assert 0 <= best.loss <= linear_loss(r, p, law) * (1 + PROMISED)
    assert best.scale > 0


@settings(max_examples=25)
@given(p=probabilities, law=st.sampled_from(LAWS))
def test_property_more_room_never_hurts(p, law):
    losses = symmetric_optimum(np.concatenate([np.geomspace(1e-4, 0.5, 40), np.linspace(0.51, 1, 40)]), p, law).loss
    assert (np.diff(losses) <= 2 * LOSS * losses[:-1]).all()


@settings(max_examples=25)
@given(p=probabilities)
def test_property_more_noise_never_helps(p):
    losses = optimal_relu(np.geomspace(1e-6, 1e6, 60), p).loss
    assert (np.diff(losses) >= -2 * LOSS * losses[1:]).all()


def test_extreme_arguments():
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        best = optimal_relu(np.geomspace(1e-8, 1e8, 50)[:, None], np.geomspace(1e-12, 1, 30))
    assert np.isfinite(best.loss).all()
    assert (best.loss <= zero_ratio_loss(np.geomspace(1e-12, 1, 30)) * (1 + PROMISED)).all()


def test_broadcasting_equals_scalars(rng):
    r, p = rng.uniform(0.01, 1, (19, 1)), rng.uniform(0.001, 1, 15)  # more than one chunk
    together = symmetric_optimum(r, p)
    assert together.loss.shape == (19, 15)
    for i, j in ((0, 0), (7, 3), (17, 1), (18, 14)):
        alone = symmetric_optimum(r[i, 0], p[j])
        t, moved = place(alone)
        assert_close(together.noise_std[i, j], alone.noise_std, gamma(10, float))
        assert_close(together.loss[i, j], alone.loss, 2 * rectified_loss.rounding(t))
        assert_close(together.scale[i, j], alone.scale, 2 * moved)
        assert_within(together.bias[i, j], alone.bias, 2 * moved * alone.scale * alone.noise_std * (1 + abs(t)))
    assert isinstance(alone.loss, float)
    assert symmetric_optimum(np.array([]), 0.5).loss.shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetric_optimum(0.0, 0.1), "`ratio` must be in"),
        (lambda: symmetric_optimum(1.5, 0.1), "`ratio` must be in"),
        (lambda: symmetric_optimum(0.5, float("nan")), "`probability` must be in"),
        (lambda: optimal_relu(-1.0, 0.5), "`noise_std` must be finite and not negative"),
        (lambda: optimal_relu(float("nan"), 0.5), "`noise_std` must be finite and not negative"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda two, three: symmetric_optimum(two, three),
        lambda two, three: linear_loss(two, three),
        lambda two, three: minimal_noise_variance(two, three),
        lambda two, three: upper_bound(two, three),
        lambda two, three: lower_bound(two, three),
        lambda two, three: hull_optimum(two, three),
        lambda two, three: loss_gradients(two, three),
        lambda two, three: bayes_loss(two, three),
        lambda two, three: bayes_denoiser(0.5, two, three),
        lambda two, three: relu_loss(1.0, 0.0, two, three),
    ],
)
def test_shapes_that_do_not_broadcast_are_named(call):
    with pytest.raises(ValueError, match=r"must broadcast to one shape, got shapes .*\(2,\) and \(3,\)"):
        call(np.array([0.1, 0.2]), np.array([0.1, 0.2, 0.3]))


def test_a_probability_that_float64_does_not_resolve_is_refused():
    assert symmetric_optimum(0.1, 1e-15).loss < symmetric_optimum(0.1, 2e-15).loss
    with pytest.raises(ValueError, match=r"`probability` must be in \[1e-15, 1\], got 1e-16"):
        symmetric_optimum(0.1, 1e-16)


def test_what_is_no_law_is_refused():
    # In a process of its own, for here the checker of annotations is the first to refuse.
    program = """
from superposition import Uniform
from superposition.theory import *
arguments = {name: 1 for name in (linear_loss, minimal_noise_variance, upper_bound, scaling, symmetric_optimum)}
arguments |= {zero_ratio_loss: 0, optimal_relu: 1, bayes_loss: 1, oracle_support_loss: 1, bayes_denoiser: 2}
arguments |= {relu_loss: 3}
for function, n_more in arguments.items():
    for law in ("x", 0, 0.5, Uniform):
        try:
            function(*[0.1] * (n_more + 1), law=law)
            print(function, law)
        except ValueError as error:
            print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 44
    assert lines[0] == "`law` must be a law such as Uniform() or Constant(), got 'x'"
    assert all(line.startswith("`law` must be a law such as Uniform() or Constant(), got ") for line in lines)


def test_noise_without_a_square_is_refused():
    with pytest.raises(ValueError, match=r"`noise_std` must be in \[0, 1e\+150\], got 1e\+160"):
        optimal_relu(1e160, 0.1)
