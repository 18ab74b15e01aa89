"""What ran: versions and the commit of the source."""

import hashlib
import json
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

# Those that compute and draw.
_PACKAGES = ("matplotlib", "numpy", "pyarrow", "scipy", "torch")


def provenance() -> dict[str, Any]:
    """Returns the versions of the package, of what it computes with and of Python, and its commit if it is known."""
    versions = {name: version(name) for name in ("superposition", "torch", "numpy")}
    return {"versions": {**versions, "python": platform.python_version()}, "commit": commit()}


@cache
def code() -> tuple[str, ...]:
    """Returns all code that a number or a picture comes from: a digest of the package's own files, and versions."""
    root, own = Path(__file__).parent, hashlib.blake2b(digest_size=16)
    for path in sorted(root.rglob("*.*")):
        if path.suffix != ".pyc" and path.is_file():
            content = path.read_bytes()
            own.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return own.hexdigest(), platform.python_version(), *(f"{name} {version(name)}" for name in _PACKAGES)


@cache
def processor() -> str:
    """Returns the name of the machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


@cache
def commit() -> str | None:
    """Returns the commit from which the package was installed, or that of the checkout it runs in, or None."""
    try:
        origin = json.loads(distribution("superposition").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, json.JSONDecodeError):
        origin = {}
    if installed := origin.get("vcs_info", {}).get("commit_id"):
        return str(installed)
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or not (root / "pyproject.toml").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
