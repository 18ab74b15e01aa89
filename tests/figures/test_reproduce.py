"""The pipeline on a tiny preset: what it writes, what it reuses, what it refuses."""

import dataclasses
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from superposition.figures import FIGURES, PRESETS, reproduce
from tests.figures.conftest import MADE, TINY
from tests.rounding import gamma


def contents(folder, pattern="figure-*"):
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def test_writes_table_pictures_and_summary_of_each_figure(made):
    folder, outcomes = made
    assert [outcome.figure.name for outcome in outcomes] == [figure.name for figure in MADE]
    lettered = [f"{letter}{i}" for letter, last in (("A", 6), ("D", 3), ("T", 3)) for i in range(1, last + 1)]
    assert [figure.name for figure in FIGURES] == [*map(str, range(1, 16)), *lettered]
    for figure in MADE:
        stem = folder / f"figure-{figure.name}"
        assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in stem.with_suffix(".svg").read_text()
        summary = json.loads(stem.with_suffix(".json").read_text())
        assert summary["checks"], "a figure makes claims"
        assert json.loads(pq.read_schema(stem.with_suffix(".parquet")).metadata[b"preset"])["name"] == "quick"


@pytest.fixture
def results(made, tmp_path):
    """A copy of the folder of figures, which other processes read, for a test that works in it."""
    return shutil.copytree(made[0], tmp_path / "results")


def test_second_run_trains_nothing_and_gives_the_same_bytes(results, monkeypatch):
    folder = results
    before = contents(folder)
    monkeypatch.setattr("superposition.sweeps.unit.Unit.run", lambda *_: pytest.fail("trained again"))
    reproduce(MADE, TINY, folder)
    assert contents(folder) == before


def test_redraw_needs_tables_only(made, tmp_path):
    folder, _ = made
    for table in folder.glob("figure-*.parquet"):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    reproduce(MADE, TINY, tmp_path, redraw=True)
    assert contents(tmp_path) == contents(folder)
    assert not (tmp_path / "cells").exists()


def test_redraw_without_a_table_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"a stored table must be in .*figure-1\.parquet"):
        reproduce(FIGURES[:1], TINY, tmp_path, redraw=True)


def test_redraw_of_a_damaged_table_says_so(tmp_path):
    (tmp_path / "figure-1.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"figure-1\.parquet is damaged"):
        reproduce(FIGURES[:1], TINY, tmp_path, redraw=True)


@pytest.mark.parametrize(
    "columns", [{}, {"ratio": []}, {"ratio": ["a"], "loss": [None]}, {"n_features": [[1]]}], ids=str
)
@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_redraw_of_a_foreign_table_says_so(tmp_path, figure, columns):
    pq.write_table(pa.table(columns), tmp_path / f"figure-{figure.name}.parquet")
    with pytest.raises(ValueError, match=rf"figure-{figure.name}\.parquet must be the table of its figure"):
        reproduce([figure], TINY, tmp_path, redraw=True)


def test_results_of_another_preset_are_not_overwritten(results):
    folder = results
    before = contents(folder)
    with pytest.raises(FileExistsError, match="was made with preset 'quick', not 'other'"):
        reproduce(MADE, dataclasses.replace(TINY, name="other"), folder)
    assert contents(folder) == before


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "results").write_text("mine")
    with pytest.raises(NotADirectoryError, match="choose another place"):
        reproduce(MADE, TINY, tmp_path / "results")
    assert (tmp_path / "results").read_text() == "mine"


def test_the_store_of_a_sweep_is_refused(tmp_path):
    (tmp_path / "store.json").write_text(json.dumps({"format": 1, "version": "0"}))
    with pytest.raises(FileExistsError, match="is the store of a sweep: choose another folder"):
        reproduce(FIGURES[:1], TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["store.json"]


def test_what_is_refused_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="`device` must be one that is there"):
        reproduce(MADE[:3], TINY, tmp_path / "new" / "results", device="nowhere")
    assert list(tmp_path.iterdir()) == []


def test_figure_2_and_the_maps_share_their_models():
    quick = PRESETS["quick"]
    shared = quick.map_cells()
    assert {cell.key for cell in shared} == {cell.key for cell in quick.trained_cells()}


def test_the_papers_sizes():
    """Appendices G to I and figure 4's caption."""
    paper = PRESETS["paper"]
    assert [grid.n_features for grid in paper.grids] == [128, 1024, 8192]
    for grid in paper.grids:
        assert (grid.probabilities[0], grid.probabilities[-1]) == pytest.approx((0.002, 0.8), rel=gamma(64, float))
        assert (grid.ratios[0], grid.ratios[-1]) == pytest.approx(
            (max(0.01, 2 / grid.n_features), 0.8), rel=gamma(64, float)
        )
        assert (len(grid.ratios), len(grid.probabilities)) == (20, 20)
    group = paper.importances.cell(0.5, 0)
    assert (group.n_features, group.n_hidden, group.probability) == (4096, 1024, 0.04)
    assert group.config().batch_size == 4096
    assert group.config().peak_rate(4096, 1024, 0.04) == pytest.approx(3e-4, rel=gamma(8, float))
    rugs = paper.bounds.cells(0)
    assert {rug.n_features for rug in rugs} == {32768}
    assert all(rug.probability * 32768 > 5 and rug.probability < 0.1 * rug.n_hidden / 32768 * 1.001 for rug in rugs)
