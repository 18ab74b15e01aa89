"""The page: self-contained, complete, made from stored results only."""

import json
import os
import re

import pytest

from superposition.report import write_report

SUMMARY = {
    "name": "1",
    "title": "A <title>",
    "caption": "What is shown & why.",
    "preset": "quick",
    "version": "0.1.0",
    "checks": [
        {"claim": "It is so.", "source": "paper", "measured": "1 of 1", "holds": True},
        {"claim": "It is not.", "source": "superposition", "measured": "0 of 1", "holds": False},
    ],
}


@pytest.fixture
def folder(tmp_path):
    for number in (10, 2):
        (tmp_path / f"figure-{number}.json").write_text(json.dumps({**SUMMARY, "name": str(number)}))
        (tmp_path / f"figure-{number}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return tmp_path


def test_shows_every_figure_in_order_with_its_claims(folder):
    page = write_report(folder).read_text()
    assert re.findall(r"<h2>Figure (\d+)", page) == ["2", "10"]
    assert page.count("✓ holds") == page.count("✗ does not hold") == 2
    assert "Of 4 claims, 2 hold and 2 do" in page


def test_text_is_escaped(folder):
    page = write_report(folder).read_text()
    assert "A &lt;title&gt;" in page
    assert "shown &amp; why" in page


def test_needs_no_network(folder):
    page = write_report(folder).read_text()
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) == []


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="figures must be in"):
        write_report(tmp_path)


def test_a_missing_picture_is_an_error(folder):
    (folder / "figure-2.svg").unlink()
    with pytest.raises(ValueError, match=r"figure-2\.svg is missing"):
        write_report(folder)


def test_a_damaged_summary_is_an_error(folder):
    (folder / "figure-2.json").write_text("{")
    with pytest.raises(ValueError, match=r"figure-2\.json is damaged"):
        write_report(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"checks": None},
        {"checks": [5]},
        {"checks": [{"claim": "It is so."}]},
        {"checks": [{"claim": "It is so.", "source": "paper", "measured": "1", "holds": "maybe"}]},
        {"title": 5},
        {"version": None},
        {"reference": {"preset": "paper"}},
        {"reference": [[]]},
    ],
    ids=str,
)
def test_a_summary_of_other_content_is_an_error(folder, changes):
    (folder / "figure-2.json").write_text(json.dumps({**SUMMARY, **changes}))
    with pytest.raises(ValueError, match=r"figure-2\.json is no summary of a figure"):
        write_report(folder)


def test_copies_that_somebody_made_are_passed_over(folder):
    for name in ("figure-2 (copy)", "figure-", "figure-x", "figure-2-old"):
        (folder / f"{name}.json").write_text("{}")
    assert re.findall(r"<h2>Figure (\d+)", write_report(folder).read_text()) == ["2", "10"]


def test_a_pipe_for_a_picture_is_an_error(folder):
    (folder / "figure-2.svg").unlink()
    os.mkfifo(folder / "figure-2.svg")
    with pytest.raises(ValueError, match=r"figure-2\.svg is a pipe"):
        write_report(folder)
