import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import superposition

MODULES = ["superposition"] + [
    module.name
    for module in pkgutil.walk_packages(superposition.__path__, "superposition.")
    if not module.name.endswith("__main__")
]


def loaded_after(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import superposition", {"torch", "scipy", "matplotlib", "pyarrow", "rich", "superposition.theory"}),
        ("import superposition; dir(superposition)", {"torch", "scipy", "matplotlib"}),
        ("import superposition; superposition.theory.symmetric_optimum(0.25, 0.1)", {"torch", "matplotlib", "pyarrow"}),
        ("import superposition; superposition.SparseFeatures(4, 0.1).variance", {"torch", "scipy.optimize"}),
        (
            "from superposition import models, training, decoders, diagnostics, sweeps, figures",
            {"torch", "scipy", "dask"},
        ),
        ("from superposition.models import Model", {"matplotlib", "rich"}),
        ("from superposition.training import train", {"matplotlib", "rich"}),
    ],
)
def test_imports_cost_no_more_than_they_need(statement, absent):
    loaded = loaded_after(statement)
    assert "superposition" in loaded
    assert not absent & loaded


def test_control_models_do_import_torch():
    assert "torch" in loaded_after("from superposition.models import Model")


def test_every_public_name_is_there():
    assert sorted(superposition.__all__) == list(superposition.__all__) == dir(superposition)
    for name in superposition.__all__:
        assert getattr(superposition, name) is not None
    with pytest.raises(AttributeError, match="superposition attribute autoencoder"):
        superposition.autoencoder  # noqa: B018


def test_files_are_written_and_read_by_functions_of_the_package_itself():
    """Not by names that load on first use: nnsight hangs a `save` on every object, which would be found before."""
    code = (
        "import superposition as sp;"
        "print([name in vars(room) for room in (sp, sp.models) for name in ('save', 'load')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, True, True, True]"


ROOMS = [module.name for module in pkgutil.walk_packages(superposition.__path__, "superposition.") if module.ispkg]


@pytest.mark.parametrize("name", [room for room in ROOMS if hasattr(importlib.import_module(room), "__all__")])
def test_every_name_on_the_face_of_a_room_is_in_it(name):
    room = importlib.import_module(name)
    assert [each for each in room.__all__ if not hasattr(room, each)] == []


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_examples_of_whole_words_are_not_all_skipped():
    finder = doctest.DocTestFinder()
    examples = [
        example for name in MODULES for test in finder.find(importlib.import_module(name)) for example in test.examples
    ]
    assert len(examples) >= 15
    assert not any(doctest.SKIP in example.options for example in examples)


@pytest.mark.parametrize(
    "statement",
    [
        "train(Autoencoder(8, 2), features, config, seed=np.int64(3), folder=folder, n_held_out=10)",
        "train(Autoencoder(8, 2), features, config.replace(n_steps=np.int64(60)), folder=folder, n_held_out=10)",
        "train(Autoencoder(8, 2), features, config.replace(warm_up=np.float32(0.2)), folder=folder, n_held_out=10)",
        "save(Autoencoder(8, 2), folder, features=SparseFeatures(8, 0.3, Uniform(high=np.float32(2))))",
        "save(Autoencoder(np.int64(8), np.int64(2)), folder, features=SparseFeatures(np.int64(8), np.float32(0.3)))",
    ],
)
def test_numpy_numbers_can_be_stored(statement, tmp_path):
    # In a process of its own: without the type checker that tests put on every annotation.
    code = (
        "import numpy as np; from pathlib import Path; from superposition import *;"
        "features = SparseFeatures(8, 0.3); config = TrainingConfig(n_steps=60, batch_size=16);"
        f"folder = Path({str(tmp_path / 'x')!r}); {statement}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
