"""Cells of constructed schemes: their rows are what the room of compression says, and nothing else is a cell."""

import pytest

from superposition.compression import NestedScheme, QuantizedPair, best_at_precision
from superposition.sweeps import PrecisionCell, SchemeCell, Workplace


@pytest.mark.parametrize(
    "pair", [(3, 0.1, "input", "centred"), (4, None, "input", "centred"), (2, 0.01, "segment", "guarded")]
)
@pytest.mark.parametrize("sizes", [(2, 1), (5, 2)])
def test_a_scheme_has_the_loss_of_its_samples(tmp_path, sizes, pair):
    row = SchemeCell(*sizes, *pair, n_samples=500, seed=3).row(Workplace(tmp_path))
    scheme = NestedScheme(*sizes, QuantizedPair(*pair))
    assert row == {
        "neurons": scheme.n_neurons,
        "loss": scheme.sampled_loss(500, seed=3),
        "linear_loss": scheme.linear_loss(),
    }
    assert row["loss"] != scheme.sampled_loss(500, seed=4)


@pytest.mark.parametrize("place", ["code", "network"])
def test_few_bits_get_the_best_ramp(tmp_path, place):
    row = PrecisionCell(2, 1, 4, "bfloat16", place, n_samples=300, seed=1).row(Workplace(tmp_path))
    best = best_at_precision(2, 1, 4, "bfloat16", place, n_samples=300, seed=1)
    assert row == {"ramp": best.scheme.pair.ramp, "loss": best.loss, "linear_loss": best.scheme.linear_loss()}
    assert row["loss"] != best_at_precision(2, 1, 4, "float16", place, n_samples=300, seed=1).loss


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SchemeCell(2, 3, 2), "`n_hidden`"),
        (lambda: SchemeCell(2, 1, 0), "`levels`"),
        (lambda: SchemeCell(2, 1, 2, 1.5), "`ramp`"),
        (lambda: SchemeCell(2, 1, 2, n_samples=1), "`n_samples`"),
        (lambda: PrecisionCell(2, 1, 0, "float16"), "`levels`"),
        (lambda: PrecisionCell(2, 1, 2, "float16", seed=-1), "`seed`"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
