"""Hostile arguments: an answer or one sentence, never a foreign error, a warning or a NaN called good."""

import json
import subprocess
import sys
from inspect import isfunction

import numpy as np
import pytest

import superposition
from superposition import Estimate, compression, decoders, diagnostics, models, training
from tests.hostile import library

TIMEOUT = 1800
ROOMS = sorted(library.ROOMS)
# What reads and writes files has its own tests.
ELSEWHERE = {"import_file", "load", "load_with_features", "save"}


@pytest.mark.parametrize("room", ROOMS)
def test_answers_or_says_in_a_sentence_what_must_be(room):
    # In a process of its own: the checks of annotations, which are on here, would be first.
    command = [sys.executable, "-m", "tests.hostile.library", room]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(tried > 1 for tried, _ in found.values())
    assert not {name: faults for name, (_, faults) in found.items() if faults}


def test_every_public_function_is_in_a_table():
    rooms = (superposition, compression, decoders, diagnostics, models, training)
    public = {name for room in rooms for name in room.__all__ if isfunction(getattr(room, name))} - ELSEWHERE
    tried = {name.split()[0] for room in library.ROOMS.values() for name, *_ in room()}
    # These take no argument.
    assert public - tried == {"linear_code_bound", "linear_loss", "smallest_network"}


@pytest.mark.parametrize(
    "estimate",
    [Estimate(np.inf, 1.0, 2), Estimate(np.nan, 1.0, 2), Estimate(1.0, np.inf, 2), Estimate(-np.inf, 0.0, 2)],
)
def test_estimates_that_are_not_finite_print_and_are_stored(estimate):
    assert str(estimate).endswith("(no error bar from 2 samples)")
    again = Estimate.from_config(json.loads(json.dumps(estimate.to_config())))
    assert again.count == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "an estimate must have a value"),
        ({"value": 1.0, "standard_error": -1.0, "count": 1}, "`standard_error` must not be negative"),
        ({"value": 1.0, "standard_error": 1.0, "count": 0}, "`count` must be a whole number"),
    ],
)
def test_estimates_of_other_data_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        Estimate.from_config(config)


def test_sums_beyond_float64_are_no_error():
    assert not np.isfinite(Estimate.from_sums(1e300, np.inf, 10).standard_error)
