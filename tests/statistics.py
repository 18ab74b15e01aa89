"""z-scores that a test can fail: a bound on the false-alarm rate and one on the resolution."""

import numpy as np

Z_BOUND = 4.5  # false-alarm rate 7e-6 a comparison
KOLMOGOROV_BOUND = 2.3  # of √n times the largest distance of distributions: false-alarm rate 2 exp(−2 · 2.3²) = 5e-5


def z_scores(samples, expected):
    """Z of the mean over the first axis against `expected`."""
    samples = np.asarray(samples, float)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return (samples.mean(axis=0) - expected) / error


def agrees(samples, expected, resolution):
    """Whether the mean is within 4.5 standard errors of `expected`; refuses a test that is too blunt to tell."""
    samples = np.asarray(samples, float)
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    assert Z_BOUND * error < resolution * abs(expected), f"too few samples: {Z_BOUND * error / abs(expected):.3g}"
    return abs(samples.mean() - expected) < Z_BOUND * error
