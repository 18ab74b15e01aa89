"""The pipeline on a tiny preset: what it writes, what it reuses, what it refuses."""

import dataclasses
import json
import shutil
from importlib.metadata import version

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from superposition import _provenance
from superposition.figures import FIGURES, PRESETS, reproduce
from superposition.sweeps import Store, Workplace
from superposition.sweeps.cell import digest
from tests.figures.conftest import MADE, TINY, MeasuredError, watched
from tests.rounding import gamma


def contents(folder, pattern="figure-*"):
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def test_writes_table_pictures_and_summary_of_each_figure(made):
    folder, outcomes = made
    assert [outcome.figure.name for outcome in outcomes] == [figure.name for figure in MADE]
    lettered = [f"{letter}{i}" for letter, last in (("A", 6), ("D", 5), ("T", 4)) for i in range(1, last + 1)]
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


@pytest.fixture
def calls(monkeypatch):
    """Names of the figures that are measured and drawn from now on."""
    found = {"measure": [], "draw": []}

    def logged(method, log):
        def call(figure, *given):
            log.append(figure.name)
            return method(figure, *given)

        return call

    for kind in {type(figure) for figure in MADE}:
        for name, log in found.items():
            monkeypatch.setattr(kind, name, logged(getattr(kind, name), log))
    return found


def test_second_run_trains_measures_and_draws_nothing(made, results, monkeypatch, calls):
    before = contents(results)
    monkeypatch.setattr("superposition.sweeps.unit.Unit.run", lambda *_: pytest.fail("trained again"))
    again = reproduce(MADE, TINY, results)
    assert calls == {"measure": [], "draw": []}
    assert contents(results) == before
    assert [outcome.checks for outcome in again] == [outcome.checks for outcome in made[1]]


def test_figures_train_and_sample_nothing(watched_while_made):
    folder, _, called = watched_while_made
    assert called == []
    cells = [cell for figure in MADE for cell in figure.cells(TINY)]
    for measure in ("rug", "scheme", "precision"):
        with watched(refusing=True) as called, pytest.raises(MeasuredError):
            next(cell for cell in cells if cell.measure == measure).row(Workplace(folder))
        assert called, "the same look sees what a cell does"


# Two without cells, and one with cells and a reference.
SOME = [figure for figure in MADE if figure.name in ("1", "3", "A2")]


@pytest.fixture(scope="module")
def some_made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("some")
    reproduce(SOME, TINY, folder)
    return folder


@pytest.fixture
def some(some_made, tmp_path):
    """A folder of three figures, for a test that works in it."""
    return shutil.copytree(some_made, tmp_path / "some")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("figure-A2.png", "figure-3.png"),
        ("figure-A2.svg", "figure-3.svg"),
        ("figure-3.png", "figure-A2.png"),
        ("figure-3-reference.svg", "figure-3.svg"),
        ("figure-3.parquet", "figure-A2.parquet"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "cut", "of another figure"])
def test_what_is_not_whole_is_made_again_and_nothing_else(some, calls, name, other, damage):
    before, path = contents(some), some / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if damage == "cut" else (some / other).read_bytes())
    reproduce(SOME, TINY, some)
    assert calls["measure"] == ["A2" if "A2" in name else "3"]
    assert set(calls["draw"]) == set(calls["measure"])
    assert contents(some) == before


def test_a_changed_claim_is_made_again(some, calls):
    before, path = contents(some), some / "figure-3.json"
    summary = json.loads(path.read_text())
    summary["checks"][0]["verdict"] = "does not hold" if summary["checks"][0]["verdict"] == "holds" else "holds"
    path.write_text(json.dumps(summary))
    reproduce(SOME, TINY, some)
    assert calls["draw"] == ["3", "3"]
    assert contents(some) == before


def change_code(patch, _):
    known = _provenance.code()
    patch.setattr(_provenance, "code", lambda: ("other", *known[1:]))


def change_a_package(patch, _):
    patch.setattr(_provenance, "version", lambda name: "99" if name == "matplotlib" else version(name))
    patch.setattr(_provenance, "code", _provenance.code.__wrapped__)


def change_the_record_of_a_cell(_, folder):
    record = Store(folder / "cells").folder(SOME[1].cells(TINY)[0]) / "record.json"
    content = json.loads(record.read_text())
    content["provenance"]["seconds"] += 1.0
    content["digest"] = digest({name: value for name, value in content.items() if name != "digest"})
    record.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda *_: None, []),
        (change_code, ["1", "3", "A2"]),
        (change_a_package, ["1", "3", "A2"]),
        (change_the_record_of_a_cell, ["3"]),
    ],
)
def test_what_is_made_of_something_else_is_made_again(some, calls, monkeypatch, change, again):
    change(monkeypatch, some)
    reproduce(SOME, TINY, some)
    assert calls["measure"] == again
    calls["measure"].clear()
    reproduce(SOME, TINY, some)
    assert calls["measure"] == []


def test_another_size_is_made_again(some, calls):
    reproduce(SOME, dataclasses.replace(TINY, seed=1), some)
    assert calls["measure"] == ["1", "3", "A2"]


def test_a_figure_of_ones_own_is_always_made(some, calls):
    class Mine(type(MADE[0])):
        pass

    for _ in range(2):
        reproduce([Mine()], TINY, some)
    assert calls["measure"] == ["1", "1"]


def test_after_redrawing_all_is_made_once_more(some, calls):
    before = contents(some)
    reproduce(SOME, TINY, some, redraw=True)
    assert (calls["measure"], len(set(calls["draw"]))) == ([], 3)
    for _ in range(2):
        reproduce(SOME, TINY, some)
    assert calls["measure"] == ["1", "3", "A2"]
    assert contents(some) == before


def test_redraw_needs_tables_only(made, tmp_path):
    folder, _ = made
    for table in folder.glob("figure-*.parquet"):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    reproduce(MADE, TINY, tmp_path, redraw=True)
    pictures, summaries = (
        [{name: content for name, content in contents(at).items() if name.endswith(".json") is is_summary}
         for at in (tmp_path, folder)]
        for is_summary in (False, True)
    )  # fmt: skip
    assert pictures[0] == pictures[1]
    for name in summaries[0]:
        mine, theirs = (json.loads(each[name]) for each in summaries)
        assert mine.pop("digest") is None, "nobody knows what the table was made of"
        assert theirs.pop("digest")
        assert mine == theirs
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


# Figures that have no sizes: images and functions, the theory, and curves without a sample.
_OF_ONE_SIZE = {"1", "A1", "A2", "T1"}


# Of the maps, which share their models, one.
@pytest.mark.parametrize(
    "figure",
    [each for each in FIGURES if each.name not in {*map(str, range(5, 13)), "T3"}],
    ids=lambda figure: figure.name,
)
def test_every_preset_measures_more_than_the_quick_one(figure):
    """More cells, more steps or samples in each, or larger ones."""
    keys = {name: {cell.key for cell in figure.cells(preset)} for name, preset in PRESETS.items()}
    if figure.name in _OF_ONE_SIZE:
        assert set().union(*keys.values()) == set()
        return
    for name in ("laptop", "reference", "paper"):
        if figure.name != "3":  # the paper's one model, of which no larger one is needed
            assert keys[name] - keys["quick"], name


def test_a_preset_of_ones_own_has_the_sizes_of_quick():
    mine = dataclasses.replace(PRESETS["laptop"], name="mine")
    assert [mine.own({"quick": 1, "laptop": 2}), PRESETS["laptop"].own({"quick": 1, "laptop": 2})] == [1, 2]
