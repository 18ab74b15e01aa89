"""Features in words: what each word means, against plain formulas, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from superposition import Beta, Constant, Empirical, Exponential, HalfNormal, SparseFeatures, Uniform
from superposition.features import features_of, law_of
from superposition.features.words import settled


def zipf_by_bisection(n, mean, exponent):
    """p_i = min(1, c i^−s): c by halving the interval that holds it."""
    weights = np.arange(1, n + 1, dtype=float) ** -exponent
    low, high = 0.0, 1 / weights[-1]
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1, middle * weights).mean() < mean else (low, middle)
    return np.minimum(1, high * weights)


@settings(deadline=None, derandomize=True, database=None)
@given(st.integers(1, 60), st.floats(1e-6, 1), st.floats(0, 4))
def test_zipf_has_its_mean_and_its_exponent(n, mean, exponent):
    features = features_of(n, f"zipf:{mean!r}:{exponent!r}")
    p = features.per_feature(features.probability)
    # The bisection ends within one rounding of c, sums of n terms within n more; both are relative.
    np.testing.assert_allclose(p, zipf_by_bisection(n, mean, exponent), rtol=4 * (n + 2) * np.finfo(float).eps)


def test_control_another_exponent_is_seen():
    p = features_of(20, "zipf:0.1:1").probability
    assert abs(p - zipf_by_bisection(20, 0.1, 1.01)).max() > 1e-4


def test_the_most_frequent_are_cut_off_at_one():
    p = features_of(10, "zipf:0.5:3").probability
    assert p[0] == 1
    assert p[-1] < 1
    assert p.mean() == pytest.approx(0.5, rel=1e-14)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("1", [1, 1, 1, 1, 1]),
        (2, [2, 2, 2, 2, 2]),
        ("decay:0.5", [1, 0.5, 0.25, 0.125, 0.0625]),
        ("decay:0", [1, 0, 0, 0, 0]),
        ("two-level:0.3", [1, 1, 0.3, 0.3, 0.3]),
        ("two-level:1", [1, 1, 1, 1, 1]),
    ],
)
def test_importances(word, expected):
    features = features_of(5, 0.1, importance=word)
    assert features.per_feature(features.importance).tolist() == expected


@pytest.mark.parametrize(
    ("word", "law"),
    [
        ("uniform", Uniform()),
        ("uniform:0.5:2", Uniform(0.5, 2)),
        ("constant:3", Constant(3)),
        ("exponential", Exponential()),
        ("half-normal:2", HalfNormal(2)),
        ("beta:0.5:3", Beta(0.5, 3)),
        ("empirical:1:2:2", Empirical([1, 2, 2])),
    ],
)
def test_laws(word, law):
    assert law_of(word) == law
    assert features_of(3, 0.2, word) == SparseFeatures(3, 0.2, law)


def test_what_is_alike_is_symmetric():
    assert features_of(4, "zipf:0.1:0", importance="two-level:1").is_symmetric
    assert not features_of(4, "zipf:0.1:1").is_symmetric


def test_words_that_mean_the_same_are_equal():
    assert settled("zipf:.1:1") == settled("zipf:0.10:1.0") == "zipf:0.1:1.0"
    assert settled("1e-1") == settled(0.1) == 0.1
    assert settled("zipf:x") == "zipf:x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"probability": "zipf:0.1"}, "`probability` must be P, or zipf:MEAN:EXPONENT, got 'zipf:0.1'"),
        ({"probability": "zipf:2:1"}, r"`mean of zipf` must be in \(0, 1\], got 2"),
        ({"probability": "zipf:0.1:-1"}, r"`exponent of zipf` must be in \[0, inf\), got -1"),
        ({"probability": "p.npy"}, "`probability` must be P, or zipf:MEAN:EXPONENT, got 'p.npy'"),
        ({"probability": 0}, r"`probability` must be in \(0, 1\], got 0"),
        ({"importance": "decay:-1"}, "`importance` must have finite numbers, none below 0, got 'decay:-1'"),
        ({"importance": "two-level:nan"}, "`importance` must have finite numbers"),
        ({"importance": "half:1"}, "`importance` must be M, decay:FACTOR or two-level:ALPHA, got 'half:1'"),
        ({"law": "bet:1:2"}, "`law` must be one of uniform, constant, exponential, half-normal, beta, empirical"),
        ({"law": "beta:1"}, "`law` beta must have alpha and beta after colons, got 'beta:1'"),
        ({"law": "beta:1:x"}, "`law` must be numbers after the name, got 'beta:1:x'"),
        ({"law": "uniform:2:1"}, "`high` must"),
    ],
)
def test_what_is_no_word_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        features_of(**{"n_features": 4, "probability": 0.1} | words)
