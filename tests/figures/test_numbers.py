"""Numbers as pictures show them, and losses of several row sets as one."""

import pytest

from superposition.estimate import Estimate
from superposition.figures.row_sets import pooled
from superposition.figures.style import number, plain_ticks
from tests.rounding import gamma


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.0089, "0.0089"), (-0.5, "−0.5"), (500, "500"), (1e-5, "10⁻⁵"), (3e4, "3·10⁴")]
)
def test_known_numbers(value, shown):
    assert number(value) == shown


def test_a_short_range_has_more_ticks_a_decade():
    assert plain_ticks(0.02, 1.0)[1] == ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    assert plain_ticks(2e-5, 0.3)[1] == ["10⁻⁴", "0.001", "0.01", "0.1"]


def test_row_sets_that_agree_have_the_error_of_their_samples():
    found = pooled([Estimate(1.0, 0.2, 10)] * 4)
    assert (found.value, found.count) == (1.0, 40)
    assert found.standard_error == pytest.approx(0.1, rel=gamma(16, float))


def test_row_sets_that_differ_have_the_error_of_their_spread():
    found = pooled([Estimate(value, 1e-3, 10) for value in (1.0, 2.0, 3.0)])
    assert found.standard_error == pytest.approx(3**-0.5, rel=gamma(16, float))
