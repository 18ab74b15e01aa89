"""Checkpoints: the whole state of a run at a step, atomic, verified on load."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from superposition import _files
from superposition.features import Features, SparseFeatures
from superposition.training.config import TrainingConfig

_KEEP = 2
_PATTERN = "checkpoint-*.safetensors"


def identity(features: Features, config: TrainingConfig, n_hidden: int | list[int], seed: int) -> dict[str, Any]:
    """Returns what must be equal for one run to go on as another."""
    fields = {key: str(value) for key, value in config.fields().items()}
    # Checkpoints of sparse features are older than other kinds.
    is_sparse = isinstance(features, SparseFeatures)
    its = features.to_config() if is_sparse else {"features": features.to_named_config()}
    return {**fields, "n_hidden": n_hidden, "seed": seed, **its}


def write(folder: Path, step: int, tensors: dict[str, Tensor], identity: dict[str, Any]) -> None:
    """Writes the state after `step` steps and drops all but the last two checkpoints."""
    metadata = {"identity": json.dumps(identity), "step": str(step)}
    metadata["digest"] = _digest(tensors, metadata)
    _files.write_tensors(folder / f"checkpoint-{step:09d}.safetensors", tensors, metadata)
    for old in sorted(folder.glob(_PATTERN))[:-_KEEP]:
        old.unlink()


def exists(folder: Path) -> bool:
    """Whether the folder holds an unfinished run."""
    return any(folder.glob(_PATTERN))


def remove(folder: Path) -> None:
    """Removes all checkpoints of a finished run."""
    for path in folder.glob(_PATTERN):
        path.unlink()


def restore(
    folder: Path, identity: dict[str, Any], like: Callable[[int], Mapping[str, Tensor]]
) -> tuple[int, dict[str, Tensor]]:
    """Returns the step and the tensors of the newest whole checkpoint.

    A damaged newest checkpoint is passed over for the one before it.

    Args:
        folder: Of the run.
        identity: Of the run that is to go on.
        like: Tensors of the names, shapes and types that there must be after so many steps; raises ValueError if
            there can be none.

    Raises:
        ValueError: The run differs from `identity`, or every checkpoint is damaged.
    """
    problems = []
    for path in sorted(folder.glob(_PATTERN), reverse=True):
        try:
            step, tensors, found = _read(path)
        except ValueError as problem:
            problems.append(str(problem))
            continue
        for key in dict.fromkeys([*identity, *found]):
            if identity.get(key) != found.get(key):
                raise ValueError(
                    f"`{key}` must be that of the unfinished run in {folder}, {found.get(key)!r}, "
                    f"got {identity.get(key)!r}: give the same or choose another folder"
                )
        _files.check_tensors(path, tensors, like(step))
        return step, tensors
    raise ValueError(
        f"no checkpoint in {folder} can be used ({'; '.join(problems)}): remove the folder and start again"
    )


def _read(path: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]]:
    tensors, metadata = _files.read_tensors(path, "checkpoint")
    try:
        step, found = int(metadata["step"]), json.loads(metadata["identity"])
        intact = metadata["digest"] == _digest(tensors, metadata)
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged or foreign: {error!r}") from None
    if not intact or not isinstance(found, dict):
        raise ValueError(f"{path.name} is damaged: its digest does not match")
    return step, tensors, found


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """Returns a digest of all that a checkpoint says."""
    state = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        state.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        # As bytes: NumPy has no bfloat16.
        state.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    state.update((metadata["step"] + metadata["identity"]).encode())
    return state.hexdigest()
