"""Paths as people write them."""

import os
from pathlib import Path


def home_expanded(path: str) -> Path:
    """Returns a path as a shell understands it: ~ is the home of the user, ~name that of another; ./~ is a name.

    Raises:
        ValueError: It is empty, as that of a variable that was not set, or no text, of which some libraries open no
            file.
    """
    if not path:
        raise ValueError("a path must have at least one character, got none")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(f"a path must be text in UTF-8, got {path}: choose another name") from None
    found = Path(os.path.expanduser(path))  # noqa: PTH111  (a Path has forgotten the ./ of ./~, and raises for no user)
    if ".." in found.parts and "\0" not in path and not found.parent.exists():
        # Or a/../b would make a folder a, to go through.
        found = Path(os.path.realpath(found.parent)) / found.name
    return found
