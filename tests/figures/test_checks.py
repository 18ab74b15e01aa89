"""Checks must fail on tables that contradict them: a mutant of each table flips its verdict."""

import numpy as np
import pyarrow as pa
import pytest

from superposition.figures import FIGURES
from superposition.sweeps import Store
from superposition.theory import linear_loss, symmetric_optimum

FIGURE_1, FIGURE_2, FIGURE_3, FIGURE_4, FIGURE_T1, FIGURE_T2 = FIGURES


def replaced(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def verdicts(figure, table):
    return [check.holds for check in figure.checks(table)]


class TestFigure1:
    @pytest.fixture
    def table(self):
        from tests.figures.conftest import TINY

        return FIGURE_1.measure(TINY, Store("nowhere"))

    def test_rug_passes(self, table):
        assert verdicts(FIGURE_1, table) == [True] * 4

    def test_random_matrix_of_unit_diagonal_passes_only_the_diagonal(self, table, rng):
        R = rng.standard_normal((256, 256))
        np.fill_diagonal(R, 1.0)
        assert verdicts(FIGURE_1, replaced(table, "weight", R.ravel())) == [True, False, False, False]

    def test_scaled_rug_fails_the_diagonal(self, table):
        assert not verdicts(FIGURE_1, replaced(table, "weight", 1.01 * table.column("weight").to_numpy()))[0]


class TestFigure2:
    """Tables of one probability in which trained and rug losses are chosen multiples of the prediction."""

    RATIOS = (0.125, 0.25, 0.5)

    def table(self, trained=1.0, rug=1.0, stopped="completed"):
        records = []
        for source, n, factor in (("trained", 512, trained), ("rug", 8192, rug), ("rug", 65536, rug)):
            records += [
                {
                    "source": source,
                    "n_features": n,
                    "ratio": r,
                    "probability": 0.045,
                    "loss": factor * symmetric_optimum(r, 0.045).loss,
                    "standard_error": 1e-7,
                    "stopped": stopped if source == "trained" else None,
                    "steps": 100 if source == "trained" else None,
                }
                for r in self.RATIOS
            ]
        return pa.Table.from_pylist(records)

    @pytest.mark.parametrize(
        ("change", "failing"),
        [
            ({}, []),
            ({"trained": 0.7}, [5]),  # better than the rug: the paper's claim fails, ours holds
            ({"trained": 1.1}, [5, 6]),
            ({"rug": 1.02}, [1, 2, 3]),
            ({"rug": 0.98}, [1, 2, 3]),
            ({"stopped": "collapsed"}, [4]),
        ],
    )
    def test_verdicts(self, change, failing):
        assert verdicts(FIGURE_2, self.table(**change)) == [index not in failing for index in range(7)]

    def test_a_loss_as_large_as_the_linear_one_fails(self):
        factor = max(linear_loss(r, 0.045) / symmetric_optimum(r, 0.045).loss for r in self.RATIOS)
        assert not verdicts(FIGURE_2, self.table(trained=factor))[0]


class TestFigure3:
    def table(self, diagonal=1.29, spread=0.005, bias=-0.19, off=-0.01, strongest=-0.9, loss=3.6e-3, dead=0.0):
        n = 30
        W = np.full((n, n), off) + 0.1 * np.where(np.add.outer(range(n), range(n)) % 2, 1, -1)
        W[range(0, n - 1, 3), range(1, n, 3)] = strongest
        W[np.diag_indices(n)] = diagonal + spread * np.where(np.arange(n) % 2, 1, -1)
        scalars = {
            "held-out loss": loss,
            "held-out loss, standard error": 5e-6,
            "mean-field loss": 4.8558e-3,
            "mean-field diagonal": 1.289,
            "mean interference": -0.13,
            "interference standard deviation": 0.21,
            "dead features": dead,
            "steps": 2500.0,
        }
        return pa.Table.from_pylist(
            [
                *({"quantity": "W", "row": i, "column": j, "value": W[i, j]} for i in range(n) for j in range(n)),
                *({"quantity": "diagonal", "row": i, "column": i, "value": W[i, i]} for i in range(n)),
                *({"quantity": "bias", "row": i, "column": None, "value": bias} for i in range(n)),
                *({"quantity": name, "row": None, "column": None, "value": value} for name, value in scalars.items()),
            ]
        )

    @pytest.mark.parametrize(
        ("change", "failing"),
        [
            ({}, []),
            ({"diagonal": 1.32}, [0]),
            ({"spread": 0.03}, [0]),
            ({"bias": -0.215}, [2]),
            ({"bias": -0.3}, [2, 3]),
            ({"bias": 0.01}, [1, 2, 3]),
            ({"off": -0.08}, [4]),
            ({"strongest": 0.09}, [5]),
            ({"dead": 1.0}, [6]),
            ({"loss": 4.8558e-3}, [7]),
            ({"loss": 3.8e-3}, [7]),
        ],
    )
    def test_verdicts(self, change, failing):
        assert verdicts(FIGURE_3, self.table(**change)) == [index not in failing for index in range(8)]


class TestFigure4:
    def table(self, small=1e-3, large=1e-4, dead=0):
        common = {"diagonal_mean": 1.0, "dead_features": 0, "steps": 100}
        return pa.Table.from_pylist(
            [
                {**common, "n_features": n, "ratio": r, "probability": 0.1, "diagonal_mean_square": delta}
                | ({"dead_features": dead} if r == 0.25 else {})
                for n, delta in ((128, small), (512, large))
                for r in (0.25, 0.5)
            ]
        )

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({}, [True, True]),
            ({"large": 2e-3}, [False, True]),
            ({"small": 2e-2, "large": 1e-2}, [True, False]),
            ({"small": 2e-2, "large": 1e-2, "dead": 5}, [True, False]),
        ],
    )
    def test_verdicts(self, change, expected):
        assert verdicts(FIGURE_4, self.table(**change)) == expected


class TestFigureT2:
    """Tables of two protocols at two sizes, with chosen ends."""

    def table(self, ours=(3e-3, 2500), theirs=(4e-3, 8000)):
        records = []
        for n in (128, 512):
            for protocol, (loss, steps) in (("default", ours), ("paper", theirs)):
                for step in (50, steps):
                    records.append(
                        {
                            "n_features": n,
                            "protocol": protocol,
                            "step": step,
                            "seconds": step / 100,
                            "loss": loss,
                            "held_out": loss,
                            "standard_error": 1e-5,
                            "stopped": "completed",
                            "mean_field": 4.9e-3,
                        }
                    )
        return pa.Table.from_pylist(records)

    def test_lower_and_sooner_passes(self):
        assert verdicts(FIGURE_T2, self.table()) == [True, True]

    def test_higher_or_within_its_error_fails(self):
        assert verdicts(FIGURE_T2, self.table(ours=(4.1e-3, 2500))) == [False, True]
        assert verdicts(FIGURE_T2, self.table(ours=(3.99e-3, 2500))) == [False, True]

    def test_later_fails(self):
        assert verdicts(FIGURE_T2, self.table(theirs=(4e-3, 2000))) == [True, False]


def test_every_check_measures_something(made):
    for outcome in made[1]:
        for check in outcome.checks:
            assert any(character.isdigit() for character in check.measured), check
