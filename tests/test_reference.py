"""The tables that come with the package."""

import pytest

from superposition import reference
from superposition.figures import FIGURES

BY_STEM = {f"figure-{figure.name}": figure for figure in FIGURES}


@pytest.mark.parametrize("name", reference.names())
def test_every_table_belongs_to_a_figure_and_bears_its_checks(name):
    table = reference.load(name)
    assert BY_STEM[name].checks(table)
    assert reference.preset_of(table) in ("laptop", "reference", "paper")
    assert {"superposition", "commit", "seed", "threads", "processor"} <= set(table.column_names)


def test_there_is_a_reference():
    assert reference.names()


def test_another_name_is_refused():
    with pytest.raises(ValueError, match=r"`name` must be one of .*figure-T2.*, got 'figure-99'"):
        reference.load("figure-99")
