"""Models on disk: a folder with config.json and model.safetensors."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from superposition import _checks, _files, _tensors
from superposition._kinds import Kinds
from superposition.features import Features
from superposition.features.kinds import features_from_file, features_to_file
from superposition.models.activations import check_known
from superposition.models.autoencoder import Autoencoder
from superposition.models.base import Model
from superposition.models.dictionary import Dictionary
from superposition.models.linear import LinearAutoencoder
from superposition.models.reconstructor import Reconstructor
from superposition.models.rug import PersianRug

# The second has settings, which a program that knows the first alone would pass over.
FORMATS = 1, 2
CONFIG, WEIGHTS = "config.json", "model.safetensors"
UNFINISHED = "checkpoint-*"  # a run that is still to save its model here
_KINDS: Kinds[type[Reconstructor]] = Kinds(
    "model", Reconstructor, Autoencoder, LinearAutoencoder, PersianRug, Dictionary
)


@dataclass(frozen=True)
class Loaded:
    """A model from disk with the features it was made for, if they were saved with it."""

    model: Reconstructor
    features: Features | None


def register_model(kind: type[Reconstructor]) -> type[Reconstructor]:
    """Makes a kind of model known to `load`, which finds it by its name in a file; a decorator.

    Files name kinds, never modules: whoever loads a model of a kind of their own calls this first.

    Raises:
        ValueError: It has no name, or another kind has it.
    """
    return _KINDS.register(kind)


def check_kind(model: Reconstructor) -> None:
    """Raises ValueError unless `load` would know what a saved model is."""
    if type(model) not in _KINDS:
        raise ValueError(f"`model` must be of a kind that can be loaded, got {type(model).__name__}: register_model it")
    if isinstance(model, Model):
        check_known(model.activation)


def save(
    model: Reconstructor, folder: str | Path, *, features: Features | None = None, overwrite: bool = False
) -> Path:
    """Saves a model as config.json and model.safetensors in a folder, and returns the folder.

    Each file is whole or absent; config.json, written last, holds the weights' digest.

    Args:
        model: Of a kind that `load` knows; `register_model` makes others known.
        folder: Made if missing.
        features: Saved with the model, so that it can be measured later without naming them again.
        overwrite: Whether an earlier model in the folder may be replaced.

    Raises:
        ValueError: The features are not as many as the model's, or nobody could load it or them.
        FileExistsError: The folder holds a model and `overwrite` is false.
        OSError: The folder cannot be written or the disk is full; an earlier model is then as it was, but
            for weights that no longer match its config, which `load` refuses.
    """
    folder = Path(folder)
    check_kind(model)
    if features is not None and features.n_features != model.n_features:
        raise ValueError(
            f"`features` must be those of the model, {model.n_features}, got {features.n_features}: give its own"
        )
    settings = _plain(model)
    saved_features = None if features is None else features_to_file(features)
    if not overwrite:
        _files.vacant(folder, CONFIG, UNFINISHED)
    _files.write_tensors(folder / WEIGHTS, model.state_dict())
    config = {
        "format": FORMATS[1] if settings else FORMATS[0],
        "model": model.kind,
        "n_features": model.n_features,
        "n_hidden": model.n_hidden,
        **({"settings": settings} if settings else {}),
        "features": saved_features,
        "weights_digest": _files.digest(folder / WEIGHTS),
    }
    _files.write_json(folder / CONFIG, config)
    return folder


def load(folder: str | Path) -> Reconstructor:
    """Returns the model saved in a folder, on the CPU.

    Raises:
        ValueError: Nothing is there, or it is damaged or foreign, or its training diverged; the message names the file.
    """
    return load_with_features(folder).model


def load_with_features(folder: str | Path) -> Loaded:
    """Returns the model saved in a folder together with its features; raises as `load`."""
    folder = Path(folder)
    config = _files.read_json(folder / CONFIG, "model")
    if config.get("format") not in FORMATS:
        raise ValueError(
            f"{folder / CONFIG} must have format {FORMATS[0]} or {FORMATS[1]}, got {config.get('format')!r}: "
            "it is foreign or was written by another version"
        )
    try:
        kind = _KINDS.named(config.get("model"))
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from None
    tensors = _read_weights(folder / WEIGHTS, config.get("weights_digest"))
    try:
        model = _build(kind, config, tensors)
        features = _features(config["features"], model)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{folder / CONFIG} does not fit {WEIGHTS} ({reason}): the folder is damaged") from None
    return Loaded(model, features)


def _read_weights(path: Path, expected_digest: Any) -> dict[str, torch.Tensor]:
    """Returns finite tensors, none of them larger than its part of the file."""
    _files.check_regular(path, "model weights")
    if _files.digest(path) != expected_digest:
        raise ValueError(f"{path} is damaged (its digest is not the one in {CONFIG}): restore it or train again")
    tensors, _ = _files.read_tensors(path, "model weights")
    for name, tensor in tensors.items():
        if tensor.dtype in _tensors.FLOATING and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{path} must hold finite numbers, but `{name}` does not: its training diverged")
    return tensors


def _features(config: Any, model: Reconstructor) -> Features | None:
    if config is None:
        return None
    features = features_from_file(config)
    if features.n_features != model.n_features:
        raise ValueError(f"`features` must be {model.n_features}, got {features.n_features}")
    return features


def _build(kind: type[Reconstructor], config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Reconstructor:
    """Returns the model; its sizes are held against the tensors before anything of that size is made."""
    n_features, n_hidden = (_checks.whole_number(name, config[name]) for name in ("n_features", "n_hidden"))
    settings = config.get("settings", {})
    if not isinstance(settings, dict):
        raise ValueError(f"`settings` must be a table, got {_checks.shown(settings)}")
    return kind.restored(n_features, n_hidden, tensors, settings)


def _plain(model: Reconstructor) -> dict[str, Any]:
    """Returns a model's settings; raises ValueError unless they come back from a file as they are."""
    settings = model.settings()
    try:
        same = json.loads(json.dumps(settings, allow_nan=False)) == settings
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise ValueError(
            f"`settings` of {type(model).__name__} must be plain data (finite numbers, words, lists, tables of named "
            f"ones), got {_checks.shown(settings)}"
        )
    return settings
