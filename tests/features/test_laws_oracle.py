"""Expectations under the continuous laws as naive integrals in mpmath, and eq. 5 with its derivatives."""

from itertools import pairwise

import mpmath as mp
import pytest

from superposition.features import Beta, Exponential, HalfNormal, Uniform

DIGITS = 30
# What the integrals are worth: five digits are left to sums and, near a sharp kink, ten to quadrature.
SUMS, KINKS = mp.mpf(10) ** -25, mp.mpf(10) ** -20

LAWS = [
    Uniform(),
    Uniform(0.5, 3.0),
    Exponential(),
    Exponential(0.03),
    HalfNormal(),
    HalfNormal(2.0),
    Beta(2, 5),
    Beta(3.7, 1.5),
    Beta(0.5, 0.5),
    Beta(0.05, 0.3),
    Beta(0.3, 200.0),
]


def expectation(law, function, kink=0.0, width=1.0, panels=(-14, -9, -5, -2, 0, 2, 5, 9, 14)):
    """E f(u) for an f that bends at `kink` within some `width`s of it, and is small beyond if it has a peak there."""
    with mp.workdps(DIGITS):
        kink, width = mp.mpf(kink), mp.mpf(width)
        bends = [kink + c * width for c in panels]
        return mp.fsum(_piece(function, *piece, bends) for piece in _pieces(law))


def _piece(function, low, high, value, place, density, bends):
    """∫ f(value(x)) density(x) dx from low to high, in panels that end where f bends."""
    panels = {low, high} | {place(u) for u in bends if min(value(low), value(high)) < u < max(value(low), value(high))}
    return mp.quad(lambda x: function(value(x)) * density(x), sorted(x for x in panels if low <= x <= high))


def _pieces(law):
    """Yields (low, high, value(x), place(u), density in x) that together are the law; x = u but near singular ends."""
    if isinstance(law, Uniform):
        low, high = mp.mpf(law.low), mp.mpf(law.high)
        yield low, high, _same, _same, lambda _: 1 / (high - low)
    elif isinstance(law, Exponential):
        scale = mp.mpf(law.scale)
        for low, high in ((0, 4), (4, 12), (12, 30), (30, 90)):
            yield low * scale, high * scale, _same, _same, lambda u: mp.exp(-u / scale) / scale
    elif isinstance(law, HalfNormal):
        scale = mp.mpf(law.scale)
        for low, high in ((0, 2), (2, 5), (5, 15)):
            yield low * scale, high * scale, _same, _same, lambda u: 2 * mp.npdf(u / scale) / scale
    else:
        alpha, beta = mp.mpf(law.alpha), mp.mpf(law.beta)
        norm = 1 / mp.beta(alpha, beta)
        yield from _half(alpha, beta, norm, _same)
        yield from _half(beta, alpha, norm, lambda u: 1 - u)


def _half(near, far, norm, mirror):
    """The half of a beta law next to an end, in x = d^near of the distance d from there: the density is bounded."""
    edges = [d**near for d in (mp.mpf(0), mp.mpf("0.003"), mp.mpf("0.03"), mp.mpf("0.5"))]

    def value(x):
        return mirror(x ** (1 / near))

    def density(x):
        return norm / near * (1 - x ** (1 / near)) ** (far - 1)

    for low, high in pairwise(edges):
        yield low, high, value, lambda u: mirror(u) ** near, density


def _same(x):
    return x


def loss_and_slopes(law, scale, bias, noise_std, probability):
    """Eq. 5 by expanding the square, a ∂L/∂a and σ ∂L/∂b; y = a(x + ν) + b, so a ∂y/∂a = y − b."""
    with mp.workdps(DIGITS):
        a, b, sigma, p = map(mp.mpf, (scale, bias, noise_std, probability))
        s = a * sigma

        def moments(u):
            m = a * u + b
            above, density = mp.ncdf(m / s), mp.npdf(m / s)
            return above, m * above + s * density, (m * m + s * s) * above + m * s * density

        def error(u):
            _, first, second = moments(u)
            return u * u - 2 * u * first + second

        def by_scale(u):
            above, first, second = moments(u)
            return 2 * (second - b * first - u * (first - b * above))

        def by_bias(u):
            above, first, _ = moments(u)
            return 2 * sigma * (first - u * above)

        return [
            (1 - p) * function(mp.mpf(0)) + p * expectation(law, function, -b / a, sigma)
            for function in (error, by_scale, by_bias)
        ]


@pytest.mark.parametrize("law", LAWS)
def test_the_oracle_integrates_to_20_digits(law):
    assert abs(expectation(law, lambda _: mp.mpf(1), 0.1, 1e-5) - 1) < SUMS
    with mp.workdps(DIGITS):
        kink, width = mp.mpf("0.3"), mp.mpf("1e-4")
        above = expectation(law, lambda u: mp.ncdf((u - kink) / width), kink, width)
        below = expectation(law, lambda u: mp.ncdf((kink - u) / width), kink, width)
        assert abs(above + below - 1) < KINKS


def test_the_oracle_knows_closed_forms():
    with mp.workdps(DIGITS):
        # E exp(−u): 1/(1 + scale); Kummer's function; erfc.
        for law, exact in [
            (Exponential(), mp.mpf(1) / 2),
            (Beta(0.05, 0.3), mp.hyp1f1(mp.mpf(0.05), mp.mpf(0.05) + mp.mpf(0.3), -1)),
            (HalfNormal(), mp.exp(0.5) * mp.erfc(1 / mp.sqrt(2))),
        ]:
            assert abs(expectation(law, lambda u: mp.exp(-u)) - exact) < SUMS * exact
