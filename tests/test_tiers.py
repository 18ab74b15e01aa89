"""What the fast tier leaves out is what takes long, and is still there."""

from pathlib import Path

from tests import tiers

ROOT = Path(__file__).parents[1]


def is_there(name):
    parts = name.split(".")
    files = [ROOT.joinpath(*parts[:length]).with_suffix(".py") for length in range(1, len(parts))]
    (file,) = [file for file in files if file.is_file()]
    *classes, function = parts[len(file.relative_to(ROOT).parts) :]
    text = file.read_text(encoding="utf-8")
    return f"def {function}(" in text and all(f"class {each}" in text for each in classes)


def test_every_name_of_the_list_is_that_of_a_test():
    assert [name for name in sorted(tiers.listed()) if not is_there(name)] == []
    assert not is_there("tests.test_tiers.test_that_was_renamed")


def test_cases_count_together_and_names_are_those_of_collected_tests(tmp_path):
    (tmp_path / "report.xml").write_text(
        '<testsuites><testsuite><testcase classname="tests.a.test_x.TestY" name="test_z[1.5-[]]" time="0.3" />'
        '<testcase classname="tests.a.test_x.TestY" name="test_z[2]" time="0.3" />'
        '<testcase classname="tests.test_w" name="test_v" time="0.4" /></testsuite></testsuites>'
    )
    assert tiers.lengthy(tmp_path / "report.xml") == ["tests.a.test_x.TestY.test_z"]
    assert tiers.name_of("tests/a/test_x.py::TestY::test_z[1.py::5]") == "tests.a.test_x.TestY.test_z"


def test_what_is_listed_is_marked(request):
    """This one is not, and others that were collected with it are where they are listed."""
    for item in request.session.items:
        assert (item.get_closest_marker("long") is not None) == tiers.is_long(item.nodeid, item.fixturenames)
    assert tiers.is_long("tests/test_new.py::test_one", ["made", "tmp_path"])
    assert not tiers.is_long("tests/test_new.py::test_one", ["tmp_path"])
