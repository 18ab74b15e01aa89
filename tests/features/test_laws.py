import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superposition.features import Constant, Uniform
from superposition.features.laws import law_from_config

LAWS = [Uniform(), Uniform(0.5, 3.0), Uniform(999.0, 999.5), Constant(), Constant(0.2)]


@pytest.mark.parametrize("law", LAWS)
def test_naive_twin_moments_are_those_of_the_quantile_function(law):
    u = law.quantile((np.arange(100_000) + 0.5) / 100_000)
    assert law.mean == pytest.approx(u.mean(), rel=1e-9)
    assert law.second_moment == pytest.approx((u**2).mean(), rel=1e-9)
    assert law.variance == pytest.approx(u.var(), rel=1e-6, abs=1e-15)


def test_known_values():
    assert (Uniform().mean, Uniform().second_moment, Uniform().variance) == (1 / 2, 1 / 3, 1 / 12)
    assert (Constant(2.0).mean, Constant(2.0).second_moment, Constant(2.0).variance) == (2.0, 4.0, 0.0)


@given(low=st.floats(0, 2), size=st.floats(0.1, 5), power=st.integers(0, 9))
def test_quadrature_integrates_polynomials(low, size, power):
    law = Uniform(low, low + size)
    values, weights = law.nodes(low + size / 3, 0.01)
    exact = (law.high ** (power + 1) - law.low ** (power + 1)) / ((power + 1) * size)
    assert weights @ values**power == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("width", [1e-8, 1e-3, 0.05, 0.5, 30.0])
@pytest.mark.parametrize("kink", [-0.3, 0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize("power", [0, 2])
def test_quadrature_integrates_smoothed_kinks_times_polynomials(kink, width, power):
    from scipy.special import ndtr

    def smooth_ramp(u):  # E ReLU(u − kink + width·g)
        t = (u - kink) / width
        return (u - kink) * ndtr(t) + width * np.exp(-t * t / 2) / np.sqrt(2 * np.pi)

    def exact_ramp(u):
        t = (u - kink) / mp.mpf(width)
        return u**power * ((u - kink) * mp.ncdf(t) + width * mp.npdf(t))

    mp.mp.dps = 30
    bends = sorted({0, 1} | {x for x in (kink + c * width for c in (-20, -8, -3, 0, 3, 8, 20)) if 0 < x < 1})
    values, weights = Uniform().nodes(kink, width)
    assert weights @ (values**power * smooth_ramp(values)) == pytest.approx(
        float(mp.quad(exact_ramp, bends)), rel=1e-13, abs=1e-15
    )


def test_quadrature_broadcasts():
    values, weights = Uniform().nodes(np.zeros((3, 1)), np.ones(2))
    assert values.shape == weights.shape
    assert values.shape[:2] == (3, 2)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-14)


@pytest.mark.parametrize("law", [*LAWS, Uniform(0, 1)])
def test_round_trip_config(law):
    import json

    assert law_from_config(json.loads(json.dumps(law.to_config()))) == law


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"name": "Gaussian"},
        {"name": ["a"]},
        {"name": "Uniform", "value": 1.0},
        {"name": "Constant", "value": "x"},
    ],
)
def test_foreign_configs_are_refused(config):
    with pytest.raises(ValueError, match=r"`(law|value)` .*must"):
        law_from_config(config)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(1.0, 1.0), "`high` must exceed `low` = 1, got 1: use Constant"),
        (lambda: Uniform(-1.0, 1.0), "`low` must be finite and not negative, got -1"),
        (lambda: Uniform(0.0, float("inf")), "`high` must be finite, got inf"),
        (lambda: Uniform(float("nan"), 1.0), "`low` must be finite"),
        (lambda: Constant(0.0), "`value` must be positive, got 0"),
        (lambda: Constant(float("nan")), "`value` must be finite"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
