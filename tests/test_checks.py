import re

import numpy as np
import pytest

from superposition import _checks

NAN = float("nan")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: _checks.probability(0.0), "`probability` must be in (0, 1], got 0"),
        (lambda: _checks.probability(NAN), "`probability` must be in (0, 1], got nan"),
        (lambda: _checks.probability([0.1, 1.5]), "`probability` must be in (0, 1], got 1.5 at index 1"),
        (lambda: _checks.probability([[0.1, NAN]]), "`probability` must be in (0, 1], got nan at index (0, 1)"),
        (lambda: _checks.ratio(-1), "`ratio` must be in (0, 1], got -1: ratio = n_hidden / n_features"),
        (lambda: _checks.in_interval("x", 1, 0, 1, open_high=True), "`x` must be in [0, 1), got 1"),
        (lambda: _checks.finite("x", np.inf), "`x` must be finite, got inf"),
        (lambda: _checks.finite("x", [1, NAN]), "`x` must be finite, got nan"),
        (lambda: _checks.finite("x", -1, non_negative=True), "`x` must be finite and not negative, got -1"),
        (lambda: _checks.real_array("x", "one"), "`x` must be a real number or an array of them, got 'one'"),
        (lambda: _checks.real_array("x", 1j), "`x` must be a real number or an array of them, got 1j"),
        (lambda: _checks.real_array("x", [[1], [1, 2]]), "`x` must be a real number or an array of them, got [[1]"),
        (lambda: _checks.whole_number("n", 0), "`n` must be a whole number of at least 1, got 0"),
        (lambda: _checks.whole_number("n", NAN), "`n` must be a whole number of at least 1, got nan"),
        (lambda: _checks.whole_number("n", 2.0), "`n` must be a whole number of at least 1, got 2.0"),
        (lambda: _checks.whole_number("n", True), "`n` must be a whole number of at least 1, got True"),
        (lambda: _checks.hidden_width(5, 4), "`n_hidden` must be a whole number in [1, 4], got 5: the bottleneck"),
    ],
)
def test_wording(check, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        check()


def test_accepted_values_become_float64_or_int():
    checked = _checks.probability(np.array([0.5, 1], dtype=np.float32))
    assert checked.dtype == np.float64
    number = _checks.whole_number("n", np.int64(3))
    assert type(number) is int
    assert number == 3


def test_the_argument_is_copied():
    mine = np.array([0.5, 0.6])
    checked = _checks.probability(mine)
    mine[0] = 7
    assert checked[0] == 0.5


def test_a_tensor_that_requires_grad_is_refused_in_the_same_wording():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"^`x` must be a real number"):
        _checks.real_array("x", torch.tensor(1.0, requires_grad=True))
