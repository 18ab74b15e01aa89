import json
import subprocess
import sys
from dataclasses import FrozenInstanceError

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, strategies as st

import superposition
from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, Law, Uniform
from superposition.features.laws.kinds import law_from_config
from superposition.theory import linear_loss, symmetric_optimum
from tests.features.test_laws_oracle import LAWS as CONTINUOUS, expectation
from tests.rounding import assert_close, assert_within, gamma

DISCRETE = [
    Constant(),
    Constant(0.2),
    Empirical([0.3, 0.1, 0.3]),
    Empirical([0.0, 1.0, 2.5], [5, 2, 1]),
    Empirical([1000.0, 1000.001], [1, 3]),
]
LAWS = [*CONTINUOUS, *DISCRETE]
# Closed forms of so many operations.
CLOSED_FORM = gamma(20, float)
# Of a loss at its optimum: terms that add up to some 36 times it (docs/theory.md, 3.1), of ten roundings each.
LOSS = gamma(360, float)
# Of a place at the optimum: twice the root's tolerance in t = b/(aσ), 1e-10 (1 + |t|), |t| < 4 here.
PLACE = 1e-9


def rounded(nodes):
    """Bound on the relative error of a sum of positive terms over nodes, each with a weight of some ten roundings."""
    return gamma(nodes + 20, float)


@pytest.mark.parametrize("law", CONTINUOUS)
def test_naive_twin_moments_by_integration(law):
    mean = expectation(law, lambda u: u)
    assert_close(law.mean, float(mean), CLOSED_FORM)
    assert_close(law.second_moment, float(expectation(law, lambda u: u * u)), CLOSED_FORM)
    assert_close(law.variance, float(expectation(law, lambda u: (u - mean) ** 2)), CLOSED_FORM)


@pytest.mark.parametrize("law", LAWS)
def test_identity_moments_are_those_of_the_nodes(law):
    for kink, width in ((law.mean, 1e-9), (0.0, 0.1), (0.3, 1e3), (0.5, 0.0)):
        values, weights = law.nodes(kink, width)
        assert (weights >= 0).all()
        bound = rounded(values.size)
        assert_close(weights.sum(), 1, bound)
        assert_close(weights @ values, law.mean, bound)
        assert_close(weights @ values**2, law.second_moment, bound)
        # Each value is a rounding off, of up to the mean and the value.
        spread = weights @ (np.abs(values - law.mean) * (values + law.mean))
        moved = gamma(4, float) * (2 * spread + gamma(4, float) * law.second_moment)
        assert_within(weights @ (values - law.mean) ** 2, law.variance, bound * law.variance + moved)


@pytest.mark.parametrize("law", LAWS)
def test_support_and_landmarks_enclose_the_nodes(law):
    assert (np.diff(law.landmarks) > 0).all()
    assert law.support == (law.landmarks[0], law.landmarks[-1])
    values, weights = law.nodes(law.mean, 0.1)
    assert law.support[0] <= values.min()
    assert values.max() <= law.support[1] * (1 + gamma(4, float))
    assert weights[values <= law.mean * (1 + gamma(4, float))].sum() > 0


def test_known_values():
    for law, *moments in [
        (Uniform(), 1 / 2, 1 / 3, 1 / 12),
        (Constant(2.0), 2.0, 4.0, 0.0),
        (Exponential(2.0), 2.0, 8.0, 4.0),
        (HalfNormal(2.0), 2 * np.sqrt(2 / np.pi), 4.0, 4 * (1 - 2 / np.pi)),
        (Beta(1, 1), 1 / 2, 1 / 3, 1 / 12),
        (Beta(0.5, 0.5), 1 / 2, 3 / 8, 1 / 8),
        (Empirical([0.0, 1.0], [3, 1]), 1 / 4, 1 / 4, 3 / 16),
    ]:
        assert_close([law.mean, law.second_moment, law.variance], moments, CLOSED_FORM)


def test_variance_does_not_cancel():
    # The mean is rounded to u · 1e6 of a spread of 2⁻¹¹.
    assert_close(Empirical([1e6, 1e6 + 2.0**-10]).variance, 2.0**-22, gamma(20, float) + gamma(2e6 * 2**11, float) ** 2)
    for beta in (1e-6, 1e6):
        alpha = mp.mpf(1e6)
        exact = alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1))
        assert_close(Beta(1e6, beta).variance, float(exact), CLOSED_FORM)
        assert_close(Beta(beta, 1e6).variance, float(exact), CLOSED_FORM)


def test_empirical_is_sorted_merged_and_normalised():
    law = Empirical([3.0, 1.0, 0.5, 1.0], np.array([2, 1, 0, 3]))
    assert (law.values, law.weights) == ((1.0, 3.0), (4 / 6, 2 / 6))
    assert law == Empirical((1.0, 3.0), [20, 10])
    assert law != Empirical((1.0, 3.0), [20, 11])
    assert hash(law) == hash(Empirical((1.0, 3.0), [20, 10]))
    assert Empirical([1.0], [1e-320]) == Empirical([1.0], [1e308])
    with pytest.raises(FrozenInstanceError):
        law.values = (1.0,)
    for array in law.nodes(0.0, 1.0):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0


def test_empirical_does_not_follow_its_arrays():
    values = np.array([1.0, 2.0])
    law = Empirical(values)
    values[0] = 5.0
    assert law.mean == 1.5


def test_empirical_shows_the_first_of_many_values():
    assert repr(Empirical([2.0])) == "Empirical(values=(2.0,), weights=(1.0,))"
    assert repr(Empirical(range(1000))).startswith("Empirical(values=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, … 1000 in all), ")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(lambda values: max(values) > 1e-9), st.data())
def test_property_a_normalised_empirical_law_is_its_own(values, data):
    size = len(values)
    weights = data.draw(st.lists(st.floats(1e-9, 1e9), min_size=size, max_size=size))
    law = Empirical(values, weights)
    assert Empirical(law.values, law.weights) == law
    assert_close(law.mean, np.average(values, weights=weights), gamma(4 * size + 10, float))


@pytest.mark.parametrize("p", [0.003, 0.3])
def test_limit_a_fine_histogram_is_the_uniform_law(p):
    def error(n_bins):
        histogram = Empirical((np.arange(n_bins) + 0.5) / n_bins)
        return abs(symmetric_optimum(0.3, p, histogram).loss / symmetric_optimum(0.3, p).loss - 1)

    # Of second order in the bins' width w: E u² lacks w²/12, and the loss some multiple of that.
    assert error(1000) < 100 * 1000**-2 / 12
    assert error(1000) < 0.02 * error(100)


def test_limits_where_two_laws_are_one():
    for law, same in [
        (Beta(1, 1), Uniform()),
        (Empirical([0.7]), Constant(0.7)),
        (Beta(1, 1e6), Exponential(1e-6)),  # to a relative 1e-6 or so
    ]:
        # Moments of the beta law of order k are some k² · 1e-6 less than the exponential's.
        tolerance = 1e-5 if same == Exponential(1e-6) else 2 * LOSS
        for r, p in ((0.25, 0.045), (0.01, 0.3)):
            assert_close(symmetric_optimum(r, p, law).loss, symmetric_optimum(r, p, same).loss, tolerance)
    # u of small probability p·q at 1 and else 0 is a rarer feature of value 1.
    rarer = symmetric_optimum(0.3, 0.05, Constant()).loss
    assert_close(symmetric_optimum(0.3, 0.1, Empirical([0, 1])).loss, rarer, 2 * LOSS)
    # A share of the mass of 1e-9 for every e-fold between the ends, of which some 20 lie above the noise.
    assert_close(symmetric_optimum(0.3, 0.1, Beta(1e-9, 1e-9)).loss, rarer, 100 * 1e-9)


@pytest.mark.parametrize("law", LAWS)
def test_property_the_scale_of_the_law_is_that_of_the_loss(law):
    if isinstance(law, (Exponential, HalfNormal)):
        larger = type(law)(4 * law.scale)
    elif isinstance(law, Empirical):
        larger = Empirical(4 * np.array(law.values), law.weights)
    else:
        return
    ours, theirs = symmetric_optimum(0.2, 0.03, law), symmetric_optimum(0.2, 0.03, larger)
    assert_close(theirs.loss, 16 * ours.loss, 2 * LOSS)
    assert_close(theirs.scale, ours.scale, PLACE)
    assert ours.loss < linear_loss(0.2, 0.03, law)


@pytest.mark.parametrize("law", [*LAWS, Uniform(0, 1), Beta(1, 2), Empirical(np.arange(7), np.arange(7) / 3)])
def test_round_trip_config(law):
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
        {"name": "Beta", "alpha": 1.0},
        {"name": "Exponential", "scale": None},
        {"name": "Empirical", "values": [1.0], "weight": [1.0]},
        {"name": "Empirical", "values": "x"},
        {"name": "Law"},
    ],
)
def test_foreign_configs_are_refused(config):
    with pytest.raises(ValueError, match=r"`(law|values?|scale)` .*must"):
        law_from_config(config)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(1.0, 1.0), "`high` must exceed `low` = 1, got 1: use Constant"),
        (lambda: Uniform(-1.0, 1.0), "`low` must be finite and not negative, got -1"),
        (lambda: Uniform(0.0, float("inf")), "`high` must be finite, got inf"),
        (lambda: Uniform(float("nan"), 1.0), "`low` must be finite"),
        (lambda: Uniform(0.0, 1e200), r"`high` must be in \[1e-100, 1e\+100\], got 1e\+200: use another unit"),
        (lambda: Uniform(0.0, 1e-200), "`high` must be in .*, got 1e-200"),
        (lambda: Constant(1e101), "`value` must be in .*, got 1e"),
        (lambda: Constant(1e-101), "`value` must be in .*, got 1e-101"),
        (lambda: Exponential(1e200), "`scale` must be in .*, got 1e"),
        (lambda: HalfNormal(1e-200), "`scale` must be in .*, got 1e-200"),
        (lambda: Empirical([1e200, 1.0]), "`values` must be in .*, got 1e"),
        (lambda: Empirical([0.0, 1e-200]), "`values` must be in .*, got 1e-200"),
        (lambda: Constant(0.0), "`value` must be positive, got 0"),
        (lambda: Constant(float("nan")), "`value` must be finite"),
        (lambda: Exponential(0.0), "`scale` must be positive, got 0: use Constant"),
        (lambda: Exponential(-1.0), "`scale` must be positive, got -1"),
        (lambda: HalfNormal(float("inf")), "`scale` must be finite, got inf"),
        (lambda: HalfNormal(float("nan")), "`scale` must be finite, got nan"),
        (lambda: Beta(0.0, 1.0), r"`alpha` must be in \[1e-12, 1e\+06\], got 0"),
        (lambda: Beta(1.0, -1.0), r"`beta` must be in \[1e-12, 1e\+06\], got -1"),
        (lambda: Beta(float("nan"), 1.0), "`alpha` must be in .*, got nan"),
        (lambda: Beta(2.0, float("inf")), "`beta` must be in .*, got inf: use Constant"),
        (lambda: Empirical([]), r"`values` must be one-dimensional and not empty, got shape \(0,\)"),
        (lambda: Empirical(1.0), r"`values` must be one-dimensional and not empty, got shape \(\)"),
        (lambda: Empirical([[1.0]]), r"`values` must be one-dimensional and not empty, got shape \(1, 1\)"),
        (lambda: Empirical([1.0, -0.5]), "`values` must be finite and not negative, got -0.5"),
        (lambda: Empirical([1.0, float("inf")]), "`values` must be finite and not negative, got inf"),
        (lambda: Empirical([1.0, float("nan")]), "`values` must be finite and not negative, got nan"),
        (lambda: Empirical(["a"]), "`values` must be a real number or an array"),
        (lambda: Empirical([0.0, 0.0]), "`values` must have a positive one of positive weight, got 0 alone"),
        (lambda: Empirical([0.0, 1.0], [1, 0]), "`values` must have a positive one of positive weight"),
        (lambda: Empirical([1.0, 2.0], [1.0]), "`weights` must have one entry per value, 2, got 1"),
        (lambda: Empirical([1.0, 2.0], [1.0, -1.0]), "`weights` must be finite and not negative, got -1"),
        (lambda: Empirical([1.0, 2.0], [1.0, float("nan")]), "`weights` must be finite and not negative, got nan"),
        (lambda: Empirical([1.0, 2.0], [1.0, float("inf")]), "`weights` must be finite and not negative, got inf"),
        (lambda: Empirical([1.0, 2.0], [0, 0]), r"`weights` must be positive somewhere, got \(0.0, 0.0\)"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_parameter_that_is_an_array_is_refused():
    # In a process of its own, for here the checker of annotations is the first to refuse.
    program = """
from superposition import *
for law in ("Uniform([0, 0.1], 1)", "Uniform(0, [1, 2])", "Constant([1, 2])", "Exponential([1, 2])", "Beta([1], 2)"):
    try:
        eval(law)
    except ValueError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"`{name}` must be one number, got an array of shape ({size},)"
        for name, size in (("low", 2), ("high", 2), ("value", 2), ("scale", 2), ("alpha", 1))
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_laws_of_any_unit_that_is_not_refused(unit):
    for law in (Uniform(0, unit), Constant(unit), Exponential(unit), HalfNormal(unit), Empirical([0, unit, unit / 2])):
        assert 0 < law.mean**2 <= law.second_moment < np.inf
        same = type(law)(0, 1) if isinstance(law, Uniform) else Empirical([0, 1, 0.5])
        same = same if isinstance(law, (Uniform, Empirical)) else type(law)(1.0)
        ours, theirs = symmetric_optimum(0.2, 1e-3, law), symmetric_optimum(0.2, 1e-3, same)
        assert_close(ours.loss / unit**2, theirs.loss, 2 * LOSS)


def test_every_law_is_final_and_at_hand():
    for law in (*LAWS, Uniform()):
        assert getattr(superposition, type(law).__name__) is type(law)
        assert isinstance(law, Law)
        assert not type(law).__subclasses__()


def test_laws_import_neither_scipy_nor_torch():
    code = (
        "import sys; from superposition.features import Beta, Empirical, Exponential, HalfNormal, Uniform;"
        "[Exponential(), HalfNormal(), Beta(0.5, 3).variance, Empirical([1, 2]).variance, Uniform()];"
        "print({'scipy', 'torch', 'superposition.features.sampling'} & set(sys.modules));"
        "Beta(0.5, 3).nodes(0, 1); print({'scipy.stats', 'scipy.optimize', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "set()"]
