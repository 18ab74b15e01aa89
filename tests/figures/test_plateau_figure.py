"""Figure T4: made at a tiny size, and its claims on tables that bear them out or do not."""

import math
from typing import get_args

import pyarrow as pa
import pytest

from superposition.figures import PRESETS, Verdict, figure_t4
from superposition.figures.figure_t4 import FigureT4, _fit, _Runs, _Sizes, _traces
from superposition.figures.style import settle_layout, styled
from superposition.sweeps import Plan, Store, Sweep, run_sweep

YES, NO, SIZE, STEPS = get_args(Verdict)
FIGURE = FigureT4()


@pytest.fixture(scope="module")
def tiny(made_once):
    with pytest.MonkeyPatch.context() as patch:
        runs = (_Runs((16, 32), 64, 16), _Runs((16,), 32, 16, starts=("linear",), rate="paper"))
        patch.setattr(figure_t4, "_SIZES", {"quick": _Sizes(runs, (16,), 20, ())})
        patch.setattr(figure_t4, "_N_HELD_OUT", 1000)  # of these runs, which no other preset has

        def make(folder):
            store, cells = Store(folder), FIGURE.cells(PRESETS["quick"])
            assert not run_sweep(Sweep(tuple(cells)), store).missing
            assert not Plan.of(Sweep(tuple(cells)), store).units
            return FIGURE.measure(PRESETS["quick"], store)

        yield made_once("plateau-figure", make)


def test_a_row_a_cell(tiny):
    kinds = tiny.column("kind").to_pylist()
    assert [kinds.count(kind) for kind in ("trained", "ruled", "growth")] == [14, 0, 1]
    assert {tuple(trace.steps) for trace in _traces(tiny) if trace.rate == "default"} == {(16, 32, 64)}


def test_it_is_drawn_and_checked_from_the_table_alone(tiny, tmp_path):
    assert len(FIGURE.checks(tiny)) == 4
    with styled():
        picture = FIGURE.draw(tiny)
        settle_layout(picture)
        picture.savefig(tmp_path / "t4.png")
        assert len(picture.axes) == 6


def forged(escape=None, end=0.7, rug_end=None, sizes=(512, 1024, 2048), rates=None, last=4096, settled=True):
    """A table in which runs fall below 1 at given steps and end at a value."""
    escape = {512: 60.0, 1024: 130.0, 2048: 300.0} if escape is None else escape
    rates = {n: math.log(n) / escape[n] for n in sizes if n in escape} if rates is None else rates
    records = []
    for start, bottom in (("tied", end), ("rug", end if rug_end is None else rug_end)):
        for n in sizes:
            steps = 16
            while steps <= last:
                left = escape.get(n, math.inf)
                value = 1.0 if settled and steps >= last // 2 else 1.002
                value = bottom if steps >= last // 2 and settled else value
                if steps < last // 2 or not settled:
                    value = 1 + 0.2 * math.log(left / steps) if left < math.inf else 1.2 + 10 / steps
                records.append(
                    {"kind": "trained", "n_features": n, "probability": 0.045, "ratio": 0.25, "start": start,
                     "rate": "default", "run_seed": 0, "steps": steps, "value": value, "standard_error": 1e-4,
                     "skewness": -0.5, "growth": None, "growth_error": None}
                )  # fmt: skip
                steps *= 2
    records.append({**records[0], "kind": "ruled", "rate": "paper", "start": "linear", "steps": 5000})
    for n, rate in rates.items():
        blank = dict.fromkeys(records[0])
        records.append(blank | {"kind": "growth", "n_features": n, "growth": rate, "growth_error": rate / 100})
    return pa.Table.from_pylist(records)


def verdicts(table):
    return [check.verdict for check in FIGURE.checks(table)]


def test_where_the_rule_stops_is_drawn():
    with styled():
        axes = FIGURE.draw(forged()).axes[1]
    assert [line.get_marker() for line in axes.lines if list(line.get_xdata()) == [5000]] == ["x"]


def test_what_leaves_the_rug_after_log_n_over_the_rate():
    assert verdicts(forged()) == [NO, YES, YES, YES]


@pytest.mark.parametrize(
    ("change", "place", "verdict"),
    [
        ({"end": 1.0, "escape": {}}, 0, YES),  # settled at the rug's loss
        ({"end": 1.0, "escape": {}, "settled": False}, 0, YES),
        ({"sizes": (64, 512), "escape": {64: 20.0, 512: 60.0}}, 0, SIZE),
        ({"escape": {512: 60.0, 1024: 50.0, 2048: 300.0}}, 1, NO),  # not later
        ({"escape": {512: 60.0}, "end": 1.1}, 1, NO),  # settled above the rug
        ({"rug_end": 0.9}, 2, NO),
        ({"rates": {512: 0.01, 1024: 0.01, 2048: 0.01}}, 3, NO),
        ({"rates": {}}, 3, SIZE),
    ],
    ids=str,
)
def test_tables_that_contradict_a_claim(change, place, verdict):
    assert verdicts(forged(**change))[place] == verdict


def test_the_escape_is_between_lengths_by_its_logarithm():
    (trace,) = (trace for trace in _traces(forged()) if trace.n == 1024 and trace.start == "tied")
    assert trace.bracket == (128, 256)
    assert trace.escape == pytest.approx(130, rel=1e-9)


def test_a_fit_finds_the_power_and_its_error():
    assert _fit([(n, 3 * n**1.5) for n in (64, 128, 256, 512)])[:2] == pytest.approx((1.5, 0), abs=1e-9)
    exponent, error, _ = _fit([(64, 10.0), (128, 21.0), (256, 38.0), (512, 85.0), (1024, math.nan)])
    assert 0.9 < exponent < 1.1
    assert 0 < error < 0.1
    assert math.isnan(_fit([(64, 1.0), (128, 2.0)])[1])
