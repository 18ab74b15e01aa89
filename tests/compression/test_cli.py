"""The command: numbers of the library, and one line for what cannot be."""

import re

import pytest

from superposition.cli import main


def run(capsys, *arguments):
    code = main(["compress", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_scheme_of_the_appendix(capsys):
    code, out, _ = run(capsys, "--levels", "3", "--ramp", "0.1")
    assert code == 0
    for number in ("0.02412366", "0.009259259", "0.04166667", "0.022005", "36", "10", "sawtooth", "0.10000"):
        assert number in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100


def test_units_and_alignment(capsys):
    out = run(capsys, "--units", "segment", "--alignment", "guarded")[1]
    assert "3 levels, ramps of 0.1 segment units, guarded" in out
    # Read from the weights, in units of the input.
    assert "3 levels, ramps of 0.033333 input units, guarded" in out


def test_learning_from_random_weights(capsys):
    short = ("--n-steps", "40", "--runs", "3")
    code, out, err = run(capsys, "--learn", "--neurons", "36", *short)
    assert code == 0
    assert "Trained networks of 36 neurons, 3 runs" in out
    assert re.search(r"share of runs that beat linear: [01]\.\d\d ± 0\.[12]", out)
    assert "9 levels, ramps of no width" in out
    assert "training 3 networks" in err
    assert "8 neurons, 3 runs" in run(capsys, "--learn", "--neurons", "8", "--depth", "2", *short)[1]


def test_learning_from_the_construction(capsys):
    code, out, _ = run(capsys, "--learn", "--start", "construction", "--n-steps", "40")
    assert code == 0
    assert "10 neurons, 1 runs" in out
    assert "sawtooth" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--levels", "0"), "`levels` must be a whole number in [1, 1024], got 0"),
        (("--levels", "100000000"), "`levels` must be a whole number in [1, 1024], got 100000000"),
        (("--seed", "-1"), "`seed` must be a whole number of at least 0, got -1"),
        (("--neurons", "36"), "--neurons must come with --learn"),
        (("--runs", "3"), "--runs must come with --learn"),
        (("--start", "construction"), "--start must come with --learn"),
        (("--n-steps", "30"), "--n-steps must come with --learn"),
        (("--learn", "--start", "construction", "--runs", "3"), "--runs must come without --start construction"),
        (("--ramp", "0"), "`ramp` must be in (0, 0.333333], got 0: a ramp cannot be wider than a segment, 1/3"),
        (("--ramp", "0.4"), "`ramp` must be in (0, 0.333333], got 0.4"),
        (("--ramp", "nan"), "`ramp` must be in"),
        (("--learn", "--neurons", "37"), "`neurons` must be a multiple of 2, 2 · depth, got 37"),
        (("--learn", "--neurons", "0"), "`neurons` must be a whole number of at least 1, got 0"),
        (("--learn", "--depth", "0"), "`depth` must be a whole number of at least 1, got 0"),
        (("--learn", "--runs", "0"), "`runs` must be a whole number of at least 1, got 0"),
        (("--learn", "--n-steps", "0"), "`n_steps` must be a whole number of at least 1, got 0"),
        (("--learn", "--learning-rate", "-1"), "`learning_rate` must be in (0, inf), got -1"),
        (("--learn", "--learning-rate", "0"), "`learning_rate` must be in (0, inf), got 0"),
        (("--learn", "--seed", "-1"), "`seed` must be a whole number of at least 0"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1
    assert message in lines[0]
