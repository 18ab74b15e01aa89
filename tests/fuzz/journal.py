"""A journal of JSON lines: what was done, so that a later call goes on."""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any


class Journal:
    """Lines of one campaign; a last line that was cut short is passed over.

    Args:
        path: Made if missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self) -> list[dict[str, Any]]:
        """Returns all lines."""
        found = []
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def add(self, entry: dict[str, Any]) -> None:
        """Appends a line."""
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def commit() -> str:
    """Returns what is checked out, marked if files of it differ, or "unknown" outside of a repository."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"
