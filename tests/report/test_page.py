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
        {"claim": "It is so.", "source": "paper", "measured": "1 of 1", "verdict": "holds"},
        {"claim": "It is not.", "source": "superposition", "measured": "0 of 1", "verdict": "does not hold"},
        {"claim": "Is it?", "source": "paper", "measured": "n = 128", "verdict": "not tested at this size"},
        {"claim": "Will it?", "source": "paper", "measured": "9 steps", "verdict": "not trained long enough"},
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
    for verdict in ("✓ holds", "✗ does not hold", "○ not tested at this size", "○ not trained long enough"):
        assert page.count(verdict) == 2
    said = "Of 8 claims: 2 hold, 2 do not hold, 2 not tested at this size, 2 not trained long enough."
    assert said in re.sub(r"\s+", " ", page)


def test_text_is_escaped(folder):
    page = write_report(folder).read_text()
    assert "A &lt;title&gt;" in page
    assert "shown &amp; why" in page


def test_needs_no_network(folder):
    page = write_report(folder).read_text()
    links = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    outside = [link for link in links if not link.startswith(("data:image/svg+xml;base64,", "#"))]
    # Beside the page alone: each figure's table, pictures and claims.
    assert sorted(set(outside)) == sorted(
        f"figure-{number}.{kind}" for number in (2, 10) for kind in ("parquet", "png", "svg", "json")
    )


def test_opens_with_the_story_of_the_figures_that_are_there(folder):
    page = write_report(folder).read_text()
    assert page.index("What holds") < page.index("All figures")
    assert "Where trained models and theory part" not in page  # of T4
    reference = {"preset": "reference", "checks": SUMMARY["checks"][:1]}
    for name in ("8", "T4"):
        summary = {**SUMMARY, "name": name, "reference": reference}
        summary["checks"] = [{**SUMMARY["checks"][0], "claim": "Training leaves the loss of the rug."}]
        (folder / f"figure-{name}.json").write_text(json.dumps(summary))
        for picture in (f"figure-{name}.svg", f"figure-{name}-reference.svg"):
            (folder / picture).write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    page = write_report(folder).read_text()
    titles = [page.index(title) for title in ("What holds", "Where trained models and theory part", "Why", "All fig")]
    assert titles == sorted(titles)
    assert "Figure T4, preset reference." in page


def test_works_on_a_narrow_screen_and_in_the_dark(folder):
    page = write_report(folder).read_text()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media (max-width: 40rem)" in page


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
        {"checks": [{"claim": "It is so.", "source": "paper", "measured": "1", "verdict": "maybe"}]},
        {"checks": [{"claim": "It is so.", "source": "paper", "measured": "1", "holds": True}]},
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
