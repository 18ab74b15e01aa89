"""The figures of nonlinear compression: made at a tiny size, and checks that mutants of their tables fail."""

from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from superposition.compression import QuantizedPair
from superposition.figures import Verdict
from superposition.figures.figure_a1 import FigureA1
from superposition.figures.figure_a2 import _ROUNDING, FigureA2
from superposition.figures.figure_a3 import FigureA3
from superposition.figures.figure_a4 import FigureA4
from superposition.figures.figure_a5 import FigureA5
from superposition.figures.figure_a6 import FigureA6
from tests.compression.bounds import stage_bounds

ALL = (FigureA1(), FigureA2(), FigureA3(), FigureA4(), FigureA5(), FigureA6())
A1, A2, A3, A4, A5, A6 = ALL


@pytest.fixture(scope="module")
def tables(made):
    """The tables of all figures."""
    return {figure.name: pq.read_table(made[0] / f"figure-{figure.name}.parquet") for figure in ALL}


YES, NO, SIZE, STEPS = get_args(Verdict)


def verdicts(figure, table):
    return [check.verdict for check in figure.checks(table)]


def changed(table, name, factor, **where):
    """The table with a column multiplied in the rows in which other columns have the given values."""
    rows = table.to_pylist()
    for row in rows:
        if row[name] is not None and all(row[key] == value for key, value in where.items()):
            row[name] = factor * row[name]
    return pa.Table.from_pylist(rows, schema=table.schema)


class TestConstructed:
    """Figures A1 to A4 train nothing: their verdicts are those of every size."""

    def test_code(self, tables):
        assert verdicts(A1, tables["A1"]) == [YES, YES]
        assert verdicts(A1, changed(tables["A1"], "t", 1.01)) == [NO, NO]
        assert verdicts(A1, changed(tables["A1"], "t", 0.999, form="ramps")) == [YES, NO]

    def test_decoders(self, tables):
        assert verdicts(A2, tables["A2"]) == [YES, YES]
        assert verdicts(A2, changed(tables["A2"], "y_hat", 1 + 1e-4, source="network")) == [NO, YES]
        scheme = QuantizedPair(3, 0.1)
        _, decode = stage_bounds(scheme, scheme.to_network())
        assert 0.5 * _ROUNDING < decode(np.linspace(0, 1, 2001)[:, None]).max() < _ROUNDING
        assert verdicts(A2, changed(tables["A2"], "neurons", 2)) == [NO, YES]
        assert verdicts(A2, changed(tables["A2"], "ramp", 1.001)) == [YES, NO]

    def test_ramps(self, tables):
        assert verdicts(A3, tables["A3"]) == [YES] * 4
        assert verdicts(A3, changed(tables["A3"], "loss", 2, units="input", levels=3, source="exact"))[0] == NO
        assert verdicts(A3, changed(tables["A3"], "loss", 1.5, source="sampled", levels=5))[1] == NO
        assert verdicts(A3, changed(tables["A3"], "loss", 0.5, alignment="before"))[2] == NO
        assert verdicts(A3, changed(tables["A3"], "loss", 0.5, units="input", levels=3))[3] == NO

    def test_neurons(self, tables):
        # Of 500 samples the smallest network's gain of 3% is not resolved: see its own test.
        assert verdicts(A4, tables["A4"]) == [NO, NO, SIZE, YES, YES]
        resolved = changed(tables["A4"], "standard_error", 1e-3, series="smallest")
        loss = 1 / resolved.to_pylist()[[row["series"] for row in resolved.to_pylist()].index("smallest")]["loss"]
        assert verdicts(A4, changed(resolved, "loss", 0.972 * loss, series="smallest"))[2]
        assert verdicts(A4, changed(resolved, "loss", 1.001 * loss, series="smallest"))[2] == NO
        worse = changed(tables["A4"], "loss", 3, series="12 a level, ε = 0.1", levels=2)
        assert verdicts(A4, worse)[1] == YES
        assert verdicts(A4, changed(tables["A4"], "x", 2, panel="nested"))[3] == NO
        assert verdicts(A4, changed(tables["A4"], "loss", 1e-3, panel="code", series="bfloat16", levels=48))[4] == NO


class TestLearned:
    """Tables with chosen losses: a tiny preset learns nothing."""

    def learned(self, loss=0.4, share=1.0, trained=0.7, levels=3, kind="snake", steps=4000):
        def row(series, neurons, loss, **more):
            whole = dict.fromkeys(("series", "neurons", "steps", "kind", "levels", "loss", "standard_error", "x", "y"))
            return whole | {"series": series, "neurons": neurons, "loss": loss / 24, "standard_error": 1e-5, **more}

        runs = 16
        rows = [
            row("depth 1", n, loss if run < share * runs else 1.0, kind=kind, levels=2, steps=steps)
            for n in (10, 18, 36)
            for run in range(runs)
        ]
        rows.append(row("built", 10, 0.3, kind="sawtooth", levels=3))
        rows.append(row("built and trained", 10, 0.3 * trained, kind="sawtooth", levels=levels))
        return pa.Table.from_pylist(rows)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({}, [NO, YES, YES, YES]),
            ({"share": 0.25}, [YES] * 4),
            ({"loss": 0.02}, [NO, NO, YES, YES]),
            ({"trained": 1.1}, [NO, YES, NO, YES]),
            ({"trained": 1.1, "steps": 2000}, [NO, YES, STEPS, YES]),
            ({"levels": 2, "steps": 2000}, [NO, YES, NO, YES]),  # what is lost does not come back
            ({"kind": "sawtooth"}, [NO, YES, YES, NO]),
            ({"loss": 0.9}, [NO, YES, YES, STEPS]),  # nothing was learned of which it could be said
        ],
    )
    def test_learning(self, change, expected):
        assert verdicts(A5, self.learned(**change)) == expected

    def sparse(
        self,
        superposition=(0.1, 0.5, 0.9, 1.0),
        nonlinear=(0.4, 0.6, 0.8, 0.95),
        twice=(0.09, 0.4, 0.7, 0.9),
        steps=4000,
    ):
        p = (0.01, 0.1, 0.25, 1.0)
        series = {
            ("superposition", 32): superposition,
            ("nonlinear", 32): nonlinear,
            ("nonlinear", 64): twice,
            ("linear code", 32): np.multiply(nonlinear, 0.9),
            ("constructed", 32): (0.8, 0.8, 0.81, 0.84),
            ("constructed", 64): (0.6, 0.6, 0.6, 0.7),
            ("constructed", 160): (0.1, 0.1, 0.1, 0.2),
        }
        return pa.Table.from_pylist(
            [
                {
                    "series": name,
                    "neurons": n,
                    "probability": q,
                    "loss": float(loss),
                    "standard_error": 1e-3,
                    "steps": steps,
                }
                for (name, n), losses in series.items()
                for q, loss in zip(p, losses, strict=True)
            ]
        )

    @pytest.mark.parametrize(
        ("change", "failing"),
        [
            ({}, []),
            ({"nonlinear": (0.1, 0.6, 0.8, 0.95)}, [0]),
            ({"nonlinear": (0.4, 0.502, 0.8, 0.95)}, [0]),
            ({"superposition": (0.1, 0.5, 0.9, 0.8)}, [1]),
            ({"twice": (0.09, 0.51, 0.7, 0.9)}, [2]),
            ({"superposition": (0.9, 0.5, 0.9, 1.0)}, [0, 4]),
        ],
    )
    def test_sparse_features(self, change, failing):
        assert verdicts(A6, self.sparse(**change)) == [NO if place in failing else YES for place in range(5)]
        short = verdicts(A6, self.sparse(**change, steps=2400))
        assert short == [STEPS if place in failing else YES for place in range(5)]
        # Superposition's own steps are fewer than those of the networks.
        middle = verdicts(A6, self.sparse(**change, steps=2500))
        assert middle == [(NO if place in (0, 4) else STEPS) if place in failing else YES for place in range(5)]

    def test_a_linear_code_that_is_worse_fails(self):
        assert verdicts(A6, changed(self.sparse(), "loss", 1.2, series="linear code"))[3] == NO
