"""Code of a user's own: laws, activations, kinds of models and cells that a file defines and registers."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from superposition import _files

# What was run here, in order: clusters run it on their workers, too.
_RUN: dict[Path, ModuleType] = {}


def import_file(path: str | Path) -> ModuleType:
    """Runs a Python file and returns it as a module; what it registers is known from then on.

    Sweeps on workers send it to them, so that cells, laws and activations that it defines are known there. Nothing is
    ever run because a model, a store or a sweep file says so.

    Args:
        path: Of the file; its name without .py is the module's.

    Raises:
        ValueError: It is no file, its name is no module's or that of one that is there already, or it raises an error.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "answers_of_mine.py"
    ...     _ = file.write_text("answer = 42")
    ...     import_file(file).answer
    42
    """
    path = Path(path).resolve()
    if path in _RUN:
        return _RUN[path]
    name = path.stem
    _files.check_regular(path, "file to import")
    if path.suffix != ".py" or not name.isidentifier():
        raise ValueError(f"a file to import must have the name of a module and end in .py, got {path.name!r}")
    there = None if name in sys.modules else importlib.util.find_spec(name)
    if name in sys.modules or not (there is None or _is_at(there.origin, path)):
        raise ValueError(f"{path} must have a name of its own, but there is a module {name}: rename it")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    _RUN[path] = module
    return module


def _is_at(origin: str | None, path: Path) -> bool:
    return origin is not None and Path(origin).exists() and path.samefile(origin)


def imported_files() -> tuple[Path, ...]:
    """Returns the files that were run, in order."""
    return tuple(_RUN)
