import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from scipy.special import ndtr

from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, Uniform
from superposition.features.laws import panels
from superposition.theory import relu_loss, symmetric_optimum
from tests.features.test_laws_oracle import LAWS, expectation, loss_and_slopes
from tests.oracles import rectified_loss
from tests.rounding import PROMISED, assert_close, assert_within, gamma

EPS = np.finfo(float).eps


def rounded(nodes):
    """Bound on the relative error of a sum of positive terms over nodes, each of some forty roundings.

    A weight is a density, of logarithms of up to some tens, times a function of four ulps. What panels of 12 nodes
    leave is below it.
    """
    return gamma(nodes + 40, float)


class Integrand:
    """Random positive multiples of u^k Φ(±t) and φ(t), t = (u − kink)/width: what mean-field integrands are made of."""

    def __init__(self, law, kink, width, rng):
        self.kink, self.width = kink, width
        self.unit = float(np.sqrt(law.second_moment))
        self.above, self.below, self.at = rng.random((3, 3))

    def __call__(self, u):
        t = (u - self.kink) / self.width
        return self._sum(u / self.unit, ndtr(t), ndtr(-t), np.exp(-t * t / 2) / np.sqrt(2 * np.pi))

    def exactly(self, u):
        t = (u - mp.mpf(self.kink)) / mp.mpf(self.width)
        return self._sum(u / mp.mpf(self.unit), mp.ncdf(t), mp.ncdf(-t), mp.npdf(t))

    def _sum(self, u, above, below, at):
        powers = 1, u, u * u
        return sum(
            x * (float(a) * above + float(b) * below + float(c) * at)
            for x, a, b, c in zip(powers, self.above, self.below, self.at, strict=True)
        )


def random_kink(law, case, rng):
    """A kink in or outside the law, of a width from 1e-9 to 1e3 or of the order of the law."""
    spread = np.sqrt(law.variance)
    width = 10 ** rng.uniform(-9, 3) if case % 2 else spread * 10 ** rng.uniform(-2, 1.3)
    kink = [
        law.mean + 2 * spread * rng.standard_normal(),
        -3 * law.mean * rng.random(),
        width * rng.uniform(-5, 5),
        law.mean + spread * rng.uniform(4, 12),
        0.0,
    ][case % 5]
    return float(kink), float(width)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("case", range(6))
def test_naive_twin_smoothed_kinks_at_30_digits(law, case):
    rng = np.random.default_rng(case)
    kink, width = random_kink(law, case, rng)
    integrand = Integrand(law, kink, width, rng)
    values, weights = law.nodes(kink, width)
    exact = float(expectation(law, integrand.exactly, kink, width))
    # Near a kink at u ≠ 0 a node's own rounding is felt in units of the width.
    rounding = 10 * EPS * min(abs(kink), law.support[1]) / width * (weights * (abs(values - kink) < 9 * width)).sum()
    assert_close(weights @ integrand(values), exact, rounded(values.size) + rounding)


@pytest.mark.parametrize("law", LAWS)
def test_control_nodes_for_another_kink_miss_this_one(law):
    kink, width = law.mean, 1e-4 * law.mean
    integrand = Integrand(law, kink, width, np.random.default_rng(0))
    right, wrong = (weights @ integrand(values) for values, weights in (law.nodes(kink, width), law.nodes(-9.0, width)))
    assert abs(wrong / right - 1) > 1000 * rounded(law.nodes(kink, width)[0].size)


@pytest.mark.parametrize("width", [1e-7, 1e-3, 0.05, 0.4, 0.9, 6.5, 30.0])
@pytest.mark.parametrize("law", [Beta(1, 1), Uniform()])
def test_naive_twin_closed_form_of_the_uniform_law(law, width):
    # ∫ Φ((u − k)/w) du = w [x Φ(x) + φ(x)] between the ends.
    for kink in (-0.2, 0.0, 0.3, 1.0, 1.4):
        values, weights = law.nodes(kink, width)
        x = (np.array([1, 0]) - kink) / width
        edges = x * ndtr(x) + np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        # The closed form is a difference, of numbers up to 1 + width.
        expected = width * (edges[0] - edges[1])
        bound = rounded(values.size) * expected + gamma(20, float) * (1 + width)
        # Of an integrand of 1; far from the kink there is nothing beside it.
        assert_within(weights @ ndtr((values - kink) / width), expected, bound, resolution=np.inf)


@pytest.mark.parametrize("law", [*LAWS, Constant(), Empirical([1.0, 2.0])])
def test_nodes_broadcast(law):
    kink, width = np.linspace(-1, 2, 3)[:, None], np.array([0.01, 3.0])
    values, weights = law.nodes(kink, width)
    assert values.shape == weights.shape
    assert values.shape[:2] == (3, 2)
    assert_close(weights.sum(-1), 1, rounded(values.shape[-1]))
    assert_close((weights * values).sum(-1), law.mean, rounded(values.shape[-1]))


@pytest.mark.parametrize("law", [*LAWS, Beta(1e-12, 1e-12), Beta(1e-3, 40.0)])
def test_the_nodes_of_a_point_do_not_depend_on_its_company(law):
    widths = np.array([0.0, 1e-10, 1e-3, 0.3, 2.0, 1e3, 1e10])
    values, weights = law.nodes(law.mean, widths)
    for i, width in enumerate(widths):
        (own,), (others,) = (
            [np.sum(w * np.exp(-((v - law.mean) ** 2)))]
            for v, w in (law.nodes(law.mean, width), (values[i], weights[i]))
        )
        assert_close(own, others, gamma(values.shape[-1], float))  # the same terms, and zeros, in another order
        few = law.nodes(law.mean, width)[0].size
        assert np.count_nonzero(weights[i]) <= few


@pytest.mark.parametrize("law", LAWS)
def test_wide_noise_takes_few_nodes(law):
    assert law.nodes(np.zeros(3), 20.0 * np.sqrt(law.second_moment) + 1)[0].shape[-1] <= 16


@pytest.mark.parametrize("law", [Beta(0.4, 0.6), Exponential()])
def test_blocks_of_points_are_taken_one_by_one(law, monkeypatch, rng):
    threshold, width = rng.normal(size=(20, 30)), 10 ** rng.uniform(-4, 1, (20, 30))
    whole = law.smoothed(threshold, width), law.silent_second_moment(threshold, width)
    monkeypatch.setattr("superposition.features.laws.base._BLOCK", 1)
    single = law.smoothed(threshold[:, :3], width[:, :3]), law.silent_second_moment(threshold[:, :3], width[:, :3])
    bound = 2 * rounded(law.nodes(0.0, width.min())[0].size)
    for name in ("active", "active_u", "active_uu", "density", "density_u"):
        assert_close(getattr(single[0], name), getattr(whole[0], name)[:, :3], bound)
    assert_close(single[1], whole[1][:, :3], bound)


@given(low=st.floats(0, 2), size=st.floats(0.1, 5), power=st.integers(0, 9))
def test_quadrature_integrates_polynomials(low, size, power):
    law = Uniform(low, low + size)
    values, weights = law.nodes(low + size / 3, 0.01)
    exact = (law.high ** (power + 1) - law.low ** (power + 1)) / ((power + 1) * size)
    # The exact value is a difference of at most 2 (low + size)/size times itself.
    assert_close(weights @ values**power, exact, rounded(values.size) + gamma(20, float) * 2 * law.high / size)


@given(alpha=st.floats(-12, 6), beta=st.floats(-12, 6), width=st.floats(-9, 3), kind=st.integers(0, 3))
@example(alpha=2.0, beta=3e-15, width=0.0, kind=0)  # the mode is 1 but for less than rounding
@example(alpha=5.0, beta=-12.0, width=0.0, kind=0)  # the mean is
def test_property_beta_of_any_parameters(alpha, beta, width, kind):
    alpha, beta = 10**alpha, 10**beta
    if kind == 1:
        alpha = max(1.0, round(alpha))
    if kind == 2:
        beta = min(1e6, alpha + 1)
    law = Beta(alpha, beta)
    values, weights = law.nodes([law.mean, 0.0, 1.0], 10**width)
    for power, exact in ((0, 1.0), (1, law.mean), (2, law.second_moment)):
        # Logarithms of the density are of the order of the smaller parameter, summed around the mode.
        assert_close((weights * values**power).sum(-1), np.full(3, exact), rounded(values.shape[-1]))
    assert values.shape[-1] < 2500
    from scipy.special import betainc

    # The nodes with a kink of no width at x split the law there.
    x = float(law.mean)
    values, weights = law.nodes(x, 0.0)
    # x and the nodes are rounded, which moves what mass is there, up to all of it next to a singular end; betainc is
    # good to some 1e-11 at large parameters.
    low, below, high = betainc(alpha, beta, [x * (1 - 4 * EPS), x, min(x * (1 + 4 * EPS), 1.0)])
    assert abs(weights[values < x].sum() - below) <= high - low + 1e-11


@pytest.mark.parametrize("size", [1, 2, 10, 16])
def test_naive_twin_gauss_rule_of_many_nodes_is_that_of_the_density(size):
    u, weights = np.polynomial.legendre.leggauss(200)
    exact = np.polynomial.legendre.leggauss(size)
    for ours, theirs in zip(panels.gauss_rule(3 + 2 * u, weights, size), (3 + 2 * exact[0], exact[1]), strict=True):
        # Eigenvalues of a matrix of the order of the spread, 2, around 3: by the cube of the size.
        assert_close(ours, theirs, gamma(size**2, float) * 100)


@pytest.mark.parametrize("law", LAWS[2:])
def test_property_few_nodes_integrate_what_the_panels_do(law):
    few, many = (law.nodes(0.0, width) for width in (1e6, 1e-3 * law.mean))
    assert few[0].size == 16
    for power in range(8):
        ours, theirs = (weights @ (values / law.mean) ** power for values, weights in (few, many))
        # Nodes and weights of the rule are eigenvalues and eigenvectors, 16² roundings off; power by power.
        assert_close(ours, theirs, rounded(many[0].size) + (1 + power) * gamma(16**2, float))


def test_limit_bisection_of_a_noisy_density_ends():
    def noisy(u):
        return np.exp(-((u - 0.7) ** 2) / 2e-6) * (1 + 1e-9 * np.sin(1e9 * u))

    assert len(panels.resolving(np.array([0.0, 0.69, 0.7, 0.71, 1.0]), noisy)) < 20_000


POINTS = [(0.25, 0.045), (0.9, 0.3), (0.03, 1e-5)]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("r", "p"), POINTS)
def test_naive_twin_symmetric_optimum_and_its_derivatives(law, r, p):
    best = symmetric_optimum(r, p, law)
    variance = p * law.second_moment - (p * law.mean) ** 2
    # Of p E u² a tenth at least is variance here, of 1/r the same is noise.
    assert_close(best.noise_std, np.sqrt(variance * (1 / r - 1)), 20 * gamma(10, float))
    loss, *slopes = loss_and_slopes(law, best.scale, best.bias, best.noise_std, p)
    t = best.bias / (best.scale * best.noise_std)
    bound = rectified_loss.rounding(t) + rounded(law.nodes(-best.bias / best.scale, best.noise_std)[0].size)
    assert_close(best.loss, float(loss), bound)
    assert_close(relu_loss(best.scale, best.bias, best.noise_std, p, law), float(loss), bound)
    by_scale, by_bias = map(float, slopes)
    beside = float(loss_and_slopes(law, best.scale, best.bias + 0.01 * best.noise_std, best.noise_std, p)[2])
    # As tests/theory/test_optimum.py has it: the root's tolerance, 1e-10 (1 + |t|), and the rounding of a and b.
    moved = 2 * abs(beside) * best.scale * 1e-10 * (1 + abs(t)) / 0.01 + gamma(40, float) * p * law.second_moment
    assert_within(by_bias, 0, moved)
    assert_within(by_scale, 0, (1 + abs(t) * best.scale) * moved)
    assert moved < 0.1 * abs(beside), "control: the slope a thousandth of σ away is seen"


@pytest.mark.parametrize("law", [*LAWS, HalfNormal(100.0), Empirical(np.linspace(0, 1, 50))])
def test_certificate_no_grid_point_is_below(law):
    for r, p in [*POINTS, (0.002, 0.5)]:
        best = symmetric_optimum(r, p, law)
        scales = np.concatenate([np.geomspace(r / 3, 3, 25), best.scale * np.linspace(0.9, 1.1, 5)])[:, None]
        grid = relu_loss(scales, scales * np.linspace(-13, 10, 70) * best.noise_std, best.noise_std, p, law)
        assert best.loss <= grid.min() * (1 + PROMISED)
