"""The mean-field loss, eq. 5, as the naive integral in mpmath, for u uniform on [0, 1] or constant.

Run `python -m tests.oracles.rectified_loss` for reference values at random (p, r).
"""

import mpmath as mp
import numpy as np
from scipy.special import erfcx

from tests.rounding import gamma

DIGITS = 40


def loss(scale, bias, noise_std, probability, constant=None):
    """E(x − ReLU(a(x + ν) + b))² by expanding the square; the cancellation is paid for in digits."""
    with mp.workdps(DIGITS):
        a, b, sigma, p = map(mp.mpf, (scale, bias, noise_std, probability))
        s = a * sigma

        def error(u):
            m = a * u + b
            first = m * mp.ncdf(m / s) + s * mp.npdf(m / s)
            second = (m * m + s * s) * mp.ncdf(m / s) + m * s * mp.npdf(m / s)
            return u * u - 2 * u * first + second

        if constant is not None:
            return (1 - p) * error(mp.mpf(0)) + p * error(mp.mpf(constant))
        bends = [-b / a + c * sigma for c in (-12, -6, -3, 0, 3, 6, 12)]
        panels = [mp.mpf(0), *sorted(u for u in bends if 0 < u < 1), mp.mpf(1)]
        return (1 - p) * error(mp.mpf(0)) + p * mp.quad(error, panels)


def rounding(threshold):
    """Bound on the relative error of a loss in float64 at t = b/(aσ).

    Each term of the closed form is rounded some ten times, four ulps for Φ and φ among them. What cancels most is the
    second moment of the noise above the threshold, (1 + t²)Φ(t) + tφ(t), for t < 0.
    """
    t = -np.maximum(-np.asarray(threshold, float), 1.0)
    active = (1 + t * t) * np.sqrt(np.pi / 2) * erfcx(-t / np.sqrt(2))  # over φ(t)
    return gamma(20, float) * (active - t) / (active + t)


def noise_std(ratio, probability):
    """σ of eq. 6 for u uniform on [0, 1]."""
    with mp.workdps(DIGITS):
        r, p = mp.mpf(ratio), mp.mpf(probability)
        return mp.sqrt((p / 3 - p**2 / 4) * (1 / r - 1))


def gradient(scale, bias, noise_std, probability, constant=None):
    """(a ∂L/∂a, σ ∂L/∂b) by central differences, exact to about 20 digits."""
    with mp.workdps(DIGITS):
        a, b, sigma, h = mp.mpf(scale), mp.mpf(bias), mp.mpf(noise_std), mp.mpf(10) ** -12

        def at(da, db):
            return loss(a * (1 + da), b + db * sigma, sigma, probability, constant)

        return (at(h, 0) - at(-h, 0)) / (2 * h), (at(0, h) - at(0, -h)) / (2 * h)


def minimum(ratio, probability):
    """The least loss over a and b at σ of eq. 6, started from a coarse grid; slow."""
    import itertools

    sigma = noise_std(ratio, probability)
    with mp.workdps(15):
        start = min(
            itertools.product((0.6, 0.9, 1.2, 1.5), (-3, -2, -1, 0, 1)),
            key=lambda at: loss(at[0], at[0] * at[1] * sigma, sigma, probability),
        )
    with mp.workdps(DIGITS):
        root = mp.findroot(
            lambda a, t: list(gradient(a, a * t * sigma, sigma, probability)), start, tol=1e-16, verify=False
        )
        a, t = root
        return loss(a, a * t * sigma, sigma, probability), a, a * t * sigma


if __name__ == "__main__":
    for p, r in ((0.045, 0.25), (0.01, 0.1), (0.001, 0.05), (0.3, 0.5)):
        print(p, r, *(mp.nstr(value, 15) for value in minimum(r, p)))
