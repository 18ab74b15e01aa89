"""Sweep files: grids as they are meant, and one-line errors for what is not."""

import numpy as np
import pytest

from superposition.sweeps import RugCell, SlurmJobs, TrainedCell, description, read_sweep
from superposition.sweeps.description import read_slurm
from tests.rounding import gamma

GRID = """
measure = "trained"

[cells]
n_features = 16
ratio = 0.5
probability = 0.1
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text):
        path = tmp_path / "grid.toml"
        path.write_text(text)
        return path

    return to_file


def test_a_single_cell(write):
    sweep = read_sweep(write(GRID))
    assert sweep.cells == (TrainedCell(16, 8, 0.1),)
    assert (sweep.threads, sweep.device) == (1, "cpu")


def test_the_product_of_axes_in_the_order_of_the_file(write):
    text = GRID.replace("0.5", "[0.25, 0.5]").replace("= 0.1", "= [0.1, 0.2]") + 'protocol = "paper"\n'
    assert read_sweep(write("threads = 2\n" + text)).cells == tuple(
        TrainedCell(16, m, p, protocol="paper") for m in (4, 8) for p in (0.1, 0.2)
    )


def test_ranges_have_both_ends_and_whole_numbers_where_they_must(write):
    text = GRID.replace("= 0.1", "= { log = [0.01, 0.8], count = 20 }") + "seed = { linear = [0, 4], count = 3 }\n"
    cells = read_sweep(write(text)).cells
    found = list(dict.fromkeys(cell.probability for cell in cells))
    np.testing.assert_allclose(found, np.geomspace(0.01, 0.8, 20), rtol=gamma(64, float))
    assert (found[0], found[-1]) == (0.01, 0.8)
    assert [cell.seed for cell in cells[:3]] == [0, 2, 4]
    assert len(cells) == 60


def test_ratios_of_one_width_are_one_cell(write):
    assert len(read_sweep(write(GRID.replace("0.5", "[0.5, 0.51, 0.25]"))).cells) == 2


def test_several_grids_and_other_measures(write):
    grids = [f"[[cells]]\nn_features = {n}\nn_hidden = 8\nprobability = [0.1, 0.2]\n" for n in (16, 32)]
    assert read_sweep(write('measure = "rug"\n' + "".join(grids))).cells == tuple(
        RugCell(n, 8, p) for n in (16, 32) for p in (0.1, 0.2)
    )


def test_a_whole_number_is_a_probability_too(write):
    assert read_sweep(write(GRID.replace("= 0.1", "= 1"))).cells[0].key == TrainedCell(16, 8, 1.0).key


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "ratio",
            "ration",
            r"`cells.ration` must be one of n_features, .* no such key; did you mean ratio\?",
        ),
        ("[cells]", "thread = 2\n[cells]", r"`thread` must be one of .*; did you mean threads\?"),
        ("[cells]", "threads = 0\n[cells]", "`threads` is not valid, got 0"),
        ("[cells]", "threads = 1000000\n[cells]", "`threads` is not valid, got 1000000: .* equal to 1024"),
        ("[cells]", "threads = true\n[cells]", "`threads` is not valid, got True"),
        (
            '"trained"',
            '"traned"',
            r"`measure` must be one of trained, rug, .*, got 'traned'; did you mean trained\?",
        ),
        ('measure = "trained"', "", "`measure` is missing"),
        ("16", "16.5", "`cells.n_features` is not valid, got 16.5"),
        ("16", '"many"', "`cells.n_features` is not valid, got 'many'"),
        ("16", "[16, true]", "`cells.n_features` is not valid, got True"),
        ("probability = 0.1", "", "`cells.probability` is missing"),
        ("= 0.1", "= []", "`cells.probability` must have at least one value, got none"),
        (
            "= 0.1",
            "= 1.5",
            r"`cells` must describe cells that can exist, got .*must be in \(0, 1\], got 1.5",
        ),
        (
            "= 0.1",
            "= { log = [0, 1], count = 3 }",
            r"`cells.probability.log` must be between positive numbers",
        ),
        ("= 0.1", "= { log = [0.1], count = 3 }", "`cells.probability.log` is not valid"),
        ("= 0.1", "= { log = [0.1, 1] }", "`cells.probability.count` is missing"),
        ("= 0.1", "= { linear = [0.1, 1], count = 1 }", "`cells.probability.count` is not valid, got 1"),
        ("= 0.1", "= { linear = [0.1, 1], count = 1000000000 }", "count` is not valid, got 1000000000: .* to 100000"),
        (
            "= 0.1",
            "= { linear = [0.1, 1], count = 1000 }\nseed = { linear = [0, 999], count = 1000 }",
            "`cells` must have at most 100000 cells, got 1000000: take fewer values",
        ),
        ("= 0.1", "= { log = [0.1, 1], counts = 3 }", r"`cells.probability.counts` must be .*; did you mean count\?"),
        ("= 0.1", "= { from = 0.1 }", "`cells.probability` must be a value, a list, or a range"),
        ("ratio = 0.5", "", "`cells` must have either n_hidden or ratio"),
        ("ratio = 0.5", "ratio = 0.5\nn_hidden = 8", "`cells` must have either n_hidden or ratio"),
        ("0.5", "0.01", "`cells.ratio` must leave at least one hidden dimension, got 0.01 of 16 features"),
        ("0.5", "1.5", r"`cells.ratio` must be in \(0, 1\], got 1.5"),
        ("ratio = 0.5", "n_hidden = 0", r"`n_hidden` must be a whole number in \[1, 16\], got 0"),
        ("ratio = 0.5", 'ratio = 0.5\nprotocol = "papr"', "`cells.protocol` is not valid, got 'papr'"),
        ("ratio = 0.5", "ratio = 0.5\nbatch_size = 0", "`batch_size` must be"),
        ('"trained"', '"rug"', None),
        ("[cells]", "[cells", "is no TOML file"),
    ],
)
def test_what_is_no_sweep_is_explained(write, old, new, message):
    path = write(GRID.replace(old, new))
    if message is None:
        assert read_sweep(path).cells == (RugCell(16, 8, 0.1),)
        return
    with pytest.raises(ValueError, match=message) as caught:
        read_sweep(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) or "TOML" in message


def test_too_many_cells_in_all_are_refused(write, monkeypatch):
    monkeypatch.setattr(description, "_MOST_IN_ALL", 3)
    grid = "[[cells]]\nn_features = 16\nn_hidden = 8\nprobability = [0.1, 0.2]\n"
    assert len(read_sweep(write('measure = "rug"\n' + grid)).cells) == 2
    with pytest.raises(ValueError, match="`cells` must have at most 3 cells in all: make several sweeps"):
        read_sweep(write('measure = "rug"\n' + grid + grid))


@pytest.mark.parametrize("ends", ["inf", "-inf", "nan"])
@pytest.mark.parametrize("kind", ["linear", "log"])
def test_ends_must_be_finite(write, kind, ends):
    with pytest.raises(ValueError, match=r"is not valid, got -?(inf|nan): input should be a finite number"):
        read_sweep(write(GRID.replace("= 0.1", f"= {{ {kind} = [0.1, {ends}], count = 3 }}")))


def test_ends_must_have_a_difference(write):
    with pytest.raises(ValueError, match="must be ends whose difference is finite"):
        read_sweep(write(GRID.replace("= 0.1", "= { linear = [-1.7e308, 1.7e308], count = 3 }")))


@pytest.mark.parametrize("cells", ["3", "[]", "[1]"])
def test_cells_that_are_no_tables_are_explained(write, cells):
    path = write(f'measure = "trained"\ncells = {cells}\n')
    with pytest.raises(ValueError, match=r"`cells` must be a table of axes, \[cells\], or several, \[\[cells\]\], got"):
        read_sweep(path)


def test_a_rug_needs_an_active_feature(write):
    with pytest.raises(ValueError, match=r"`probability` must be in \[0.0625, 1\], got 0.05: a sample must have"):
        read_sweep(write(GRID.replace('"trained"', '"rug"').replace("= 0.1", "= 0.05")))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"description of a sweep must be in .*, but none\.toml is not there"):
        read_sweep(tmp_path / "none.toml")


def test_slurm_jobs(write):
    text = 'jobs = 4\nmemory = "8GB"\nwalltime = "02:00:00"\nprologue = ["module load python"]\n'
    expected = SlurmJobs(jobs=4, memory="8GB", walltime="02:00:00", prologue=("module load python",))
    assert read_slurm(write(text)) == expected
    for old, new, message in (
        ("jobs", "job", r"`job` must be one of .*; did you mean jobs\?"),
        ("jobs = 4", "jobs = 0", "`jobs` must be a whole number"),
        ("jobs = 4", 'jobs = "4"', "`jobs` is not valid, got '4'"),
        ('memory = "8GB"', "", "`memory` is missing"),
        ('["module load python"]', "[1]", r"`prologue` is not valid, got 1"),
    ):
        with pytest.raises(ValueError, match=f"grid.toml: {message}"):
            read_slurm(write(text.replace(old, new)))
