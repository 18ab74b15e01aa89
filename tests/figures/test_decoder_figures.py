"""Figures D1 to D5 at a tiny size; their checks must fail on tables that contradict them."""

import numpy as np
import pyarrow as pa
import pytest

from superposition.figures import figure_d1, figure_d2, figure_d3, figure_d4, figure_d5
from superposition.figures.figure_d1 import FigureD1
from superposition.figures.figure_d2 import FigureD2
from superposition.figures.figure_d3 import FigureD3
from superposition.figures.figure_d4 import FigureD4, _crossing
from superposition.figures.figure_d5 import FigureD5
from superposition.figures.presets import PRESETS
from superposition.figures.style import styled
from superposition.sweeps import Plan, Store, Sweep, decoding, run_sweep

FIGURES = FigureD1(), FigureD2(), FigureD3(), FigureD4(), FigureD5()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_d1, "_SIZES", {"quick": figure_d1._Sizes(256, (64,), 20, 3, 128)})
        patch.setattr(figure_d1, "_CURVE", np.array([0.1, 0.3]))
        patch.setattr(figure_d2, "_SIZES", {"quick": figure_d2._Sizes(128, (3, 12), 1, 10)})
        patch.setattr(decoding, "_STEPS", 60)
        patch.setattr(figure_d3, "_SIZES", {"quick": figure_d3._Sizes(((16, 4, 0.1), (16, 4, 0.2)), 40, 64, 2)})
        small = figure_d4._Sizes(16, 1, (4, 8), 40, 8, (1, 2), (2, 6, 12), 4)
        patch.setattr(figure_d4, "_SIZES", {"quick": small})
        patch.setattr(figure_d5, "_SIZES", {"quick": figure_d5._Sizes(64, (1.0, 2.0), (-1.0, 0.0, 1.0), 40)})
        figures, store = FIGURES, Store(tmp_path_factory.mktemp("store"))
        cells = [cell for figure in figures for cell in figure.cells(PRESETS["quick"])]
        assert not run_sweep(Sweep(tuple(cells)), store).missing
        assert not Plan.of(Sweep(tuple(cells)), store).units  # a second time nothing is measured
        yield {figure.name: figure.measure(PRESETS["quick"], store) for figure in figures}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_it_is_measured_in_cells_and_drawn_from_its_table(figure, tiny):
    with styled():
        picture = figure.draw(tiny[figure.name])
    assert picture.axes
    for check in figure.checks(tiny[figure.name]) if figure.name != "D2" else ():
        assert any(character.isdigit() for character in check.measured)


def verdicts(figure, table):
    return [check.holds for check in figure.checks(table)]


class TestFigureD1:
    def table(self, **factors):
        records = []
        losses = {"ReLU": 1.0, "JumpReLU": 0.98, "TRec": 1.05, "Bayes": 0.9, "OracleSupport": 0.3, "OAMP": 1e-12}
        for ratio in (0.05, 0.3):
            for name, loss in losses.items():
                loss = 0.85 if name == "OAMP" and ratio < 0.1 else loss
                records.append(
                    {
                        "source": "rug",
                        "decoder": name,
                        "ratio": ratio,
                        "loss": 1e-3 * loss * factors.get(name, 1.0),
                        "standard_error": 1e-6 * loss,
                        "predicted": 1e-3 * loss,
                    }
                )
        return pa.Table.from_pylist(records)

    @pytest.mark.parametrize(
        ("factors", "failing"),
        [
            ({}, []),
            ({"Bayes": 0.4}, [0, 1]),
            ({"TRec": 1.3}, [1]),
            ({"OAMP": 1e8}, [2, 3]),
            ({"OAMP": 1e-10}, [2]),
        ],
    )
    def test_verdicts(self, factors, failing):
        found = verdicts(FigureD1(), self.table(**factors))
        assert [index for index in range(4) if not found[index]] == failing


class TestFigureD2:
    def table(self, oamp_above=1.0, oamp_below=0.0, rug=1.0, pursuit=0.5):
        from superposition.theory import amp_threshold

        records = []
        for encoder in ("trained", "rug", "Gaussian"):
            for k in (8, 32):
                for share in (0.5, 2.0):
                    m = share * 256 * amp_threshold(k / 256)
                    oamp = oamp_above if share > 1 else oamp_below
                    common = {"source": "measured", "encoder": encoder, "n_features": 256, "n_hidden": m, "k": k}
                    factor = rug if encoder == "rug" else 1.0
                    records.append({**common, "method": "OAMP", "recovered": oamp * factor})
                    records.append({**common, "method": "pursuit", "recovered": pursuit * oamp})
        return pa.Table.from_pylist(records)

    @pytest.mark.parametrize(
        ("change", "failing"),
        [
            ({}, []),
            ({"oamp_above": 0.8}, [0]),
            ({"oamp_below": 0.3}, [0]),
            ({"rug": 0.9}, [0, 1]),
            ({"pursuit": 1.1}, [2]),
        ],
    )
    def test_verdicts(self, change, failing):
        found = verdicts(FigureD2(), self.table(**change))
        assert [index for index in range(3) if not found[index]] == failing


class TestFigureD3:
    def table(self, top_k=0.95, jump=0.97):
        shares = {"ReLU": 1.0, "TopK": top_k, "BatchTopK": 1.0, "JumpReLU": jump, "Gated": jump, "TRec (ProLU)": 1.0}
        return pa.Table.from_pylist(
            [{"activation": name, "relative": share, "relative_error": 0.005} for name, share in shares.items()]
        )

    @pytest.mark.parametrize(
        ("change", "expected"),
        [({}, [True, True]), ({"top_k": 0.3}, [False, True]), ({"jump": 0.8}, [True, False])],
    )
    def test_verdicts(self, change, expected):
        assert verdicts(FigureD3(), self.table(**change)) == expected


class TestFigureD4:
    def table(self, *, trained_error=0.05, delta=0.9998, violations=0, met=0.9, least=1.5):
        records = []
        for encoder in ("rug", "gaussian", "trained"):
            for ratio, error in ((0.25, 0.5), (0.5, 0.3)):
                is_last = encoder == "trained" and ratio == 0.5
                records.append(
                    {
                        "source": "code",
                        "encoder": encoder,
                        "ratio": ratio,
                        "error": trained_error if is_last else error,
                        "delta_2": delta if is_last else 0.5,
                        "violations": violations,
                        "condition_met": met,
                        "least": None,
                        "order": None,
                    }
                )
            records += [{"source": "least", "encoder": encoder, "least": least * 10.0, "order": 10.0}]
            records += [{"source": "least", "encoder": encoder, "least": float("nan"), "order": 10.0}]
        return pa.Table.from_pylist(records)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({}, [False, True, True]),  # antipodal pairs
            ({"delta": 0.8}, [True, True, True]),
            ({"trained_error": 0.4}, [True, True, True]),
            ({"violations": 1}, [False, False, True]),
            ({"met": 0.0}, [False, False, True]),
            ({"least": 4.0}, [False, True, False]),
            ({"least": float("nan")}, [False, True, False]),
        ],
    )
    def test_verdicts(self, change, expected):
        assert verdicts(FigureD4(), self.table(**change)) == expected

    def test_the_least_width_lies_between_those_tried(self):
        assert _crossing({8: 0.0, 16: 0.25, 24: 0.75, 32: 1.0}) == 20.0
        assert np.isnan(_crossing({8: 0.0, 16: 0.4}))


class TestFigureD5:
    def table(self, *, alone=0.04, share=0.04, same=1.2):
        records = []
        for variance, effect in ((3.0, 1.0), (24.0, share)):
            for partner, factor in ((-1.0, 0.8), (0.0, 1.0), (1.0, same)):
                relative = 1 + effect * (factor - 1) + (alone if partner == 0 and variance == 24.0 else 0)
                records.append(
                    {
                        "source": "code",
                        "variance": variance,
                        "row_variance": variance,
                        "partner": partner,
                        "mutual_coherence": max(abs(partner), 0.2),
                        "loss": 1e-2 * relative,
                        "mean_field_loss": 1e-2,
                        "standard_error": 1e-6,
                    }
                )
        return pa.Table.from_pylist(records)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({}, [False, True, True]),
            ({"alone": 0.2}, [False, False, True]),
            ({"share": 1.0}, [False, False, True]),
            ({"same": 0.7}, [False, True, False]),
        ],
    )
    def test_verdicts(self, change, expected):
        assert verdicts(FigureD5(), self.table(**change)) == expected

    def test_the_papers_claim_can_hold(self):
        table = self.table()
        loss = pa.array([1e-2] * table.num_rows)
        flat = table.set_column(table.schema.get_field_index("loss"), "loss", loss)
        assert verdicts(FigureD5(), flat)[0]


def test_curves_of_theory_are_ordered(tiny):
    curves = [row for row in tiny["D1"].to_pylist() if row["source"] == "theory"]
    by_name = {
        name: np.array([row["loss"] for row in curves if row["decoder"] == name]) for name in ("ReLU", "Bayes", "OAMP")
    }
    assert (by_name["OAMP"] <= by_name["Bayes"] * (1 + 1e-6)).all()
    assert (by_name["Bayes"] <= by_name["ReLU"]).all()
