"""Files that are whole or absent: written beside their place, then renamed onto it."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, renamed onto `path` if the block succeeds.

    Raises:
        OSError: The folder cannot be made or written, or the disk is full; `path` is then as it was.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{path} could not be written ({reason}): free space or choose another folder") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a folder, made if missing, to this process within the block; a killed process lets go of it.

    Raises:
        FileExistsError: Another process is at work there.
        OSError: The folder cannot be made or written.
    """
    lock = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{folder} could not be written ({reason}): choose another folder") from error
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                raise BlockingIOError  # it was removed by who had it, and another process may have made it anew
        except ImportError:  # no such locks on this system
            pass
        except (BlockingIOError, FileNotFoundError):
            raise FileExistsError(f"{folder} is in use by another process: wait or choose another folder") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically, keys in the order given, NaN refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_new_json(path: Path, value: Any) -> None:
    """Writes a JSON file into a folder that is to be renamed into its place as a whole; raises OSError if it cannot."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{path} could not be written ({reason}): free space or choose another folder") from error


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: dict[str, str] | None = None) -> None:
    """Writes named tensors as a safetensors file, atomically; raises OSError if that fails."""
    import safetensors
    import safetensors.torch

    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            safetensors.torch.save_file(ready, temporary, metadata=metadata)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from None


def remove_partial(folder: Path) -> None:
    """Removes what a killed process left half written."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Raises FileExistsError if something is at `path` already."""
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another name or remove it first")


def vacant(folder: Path, *patterns: str) -> Path:
    """Returns `folder` if it holds no result or unfinished run yet.

    Raises:
        FileExistsError: A file there matches one of the patterns; nothing is overwritten.
        NotADirectoryError: `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, not a folder: choose another place")
    found = next((path.name for pattern in patterns for path in folder.glob(pattern)), None)
    if found:
        raise FileExistsError(f"{folder} already holds a result ({found}): choose another folder or remove it first")
    return folder
