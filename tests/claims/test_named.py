"""The statements: nothing is named that is not there, and nothing of the texts is missing."""

import ast
import operator
import re
from functools import cache
from pathlib import Path

import superposition as sp
from superposition.claims import statements

ROOT = Path(__file__).parents[2]


@cache
def named_in(path):
    """The names of the tests of a file, those of classes with the class's."""
    names = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return names


def test_statements_are_numbered_in_order():
    for prefix in ("PR", "TM", "SP"):
        numbers = [int(each.id[2:]) for each in statements() if each.id.startswith(prefix)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_calls_that_it_names_are_there():
    for call in {call for each in statements() for call in each.calls}:
        assert callable(operator.attrgetter(call)(sp)), call


def test_the_tests_that_it_names_are_there():
    for test in {test for each in statements() for test in (*each.tests, *each.counter_tests)}:
        path, _, name = test.partition("::")
        assert name in named_in(path), test


def test_every_section_equation_and_figure_of_the_paper_is_in_the_ledger():
    places = [each.place for each in statements() if each.id.startswith("PR")]
    equations, figures = set(), set()
    for place in places:
        for words in re.findall(r"eq\. ((?:\d+(?:–\d+)?(?:, (?=\d))?)+)", place):
            for first, last in re.findall(r"(\d+)(?:–(\d+))?", words):
                equations |= set(range(int(first), int(last or first) + 1))
        figures |= {int(number) for number in re.findall(r"figure (\d+)", place)}
    assert equations == set(range(1, 48))
    assert figures == set(range(1, 16))
    text = "; ".join(places)
    for section in ("1", "2", "3.1", "3.2", "3.3", "4.1", "4.2", "4.2.1", "4.2.2", "4.3.1", "4.3.2", "5.1.1", "5.1.2"):
        assert re.search(rf"sections? (\d[\d. ,]* )?{re.escape(section)}(?![.\d])", text), section
    for appendix in "ABCDEFGHI":
        assert re.search(rf"appendi(x|ces [A-Z],) {appendix}|appendices {appendix},", text), appendix
