"""The posterior: u ~ Uniform[0, 1] in Gaussian noise with a spike at 0, in closed form at 60 digits."""

import mpmath


def posterior(z, sigma, p):
    """Returns E[x | z] and Var[x | z] by the moments of a truncated Gaussian."""
    with mpmath.workdps(400):
        z, s, p = (mpmath.mpf(value) for value in (z, sigma, p))
        A, B = -z / s, (1 - z) / s
        Z = mpmath.ncdf(B) - mpmath.ncdf(A)
        first = (mpmath.npdf(A) - mpmath.npdf(B)) / Z
        m = z + s * first
        V = s**2 * (1 + (A * mpmath.npdf(A) - B * mpmath.npdf(B)) / Z - first**2)
        on = p * Z / (p * Z + (1 - p) * mpmath.npdf(z / s) / s)
        return float(on * m), float(on * (V + m**2) - (on * m) ** 2)
