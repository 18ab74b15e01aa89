"""Models on disk: a folder with config.json and model.safetensors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from superposition import _files
from superposition.features import SparseFeatures
from superposition.models.autoencoder import Autoencoder
from superposition.models.base import Model
from superposition.models.linear import LinearAutoencoder
from superposition.models.rug import PersianRug

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
UNFINISHED = "checkpoint-*"  # a run that is still to save its model here


@dataclass(frozen=True)
class Loaded:
    """A model from disk with the features it was made for, if they were saved with it."""

    model: Model
    features: SparseFeatures | None


def save(model: Model, folder: str | Path, *, features: SparseFeatures | None = None, overwrite: bool = False) -> Path:
    """Saves a model as config.json and model.safetensors in a folder, and returns the folder.

    Each file is whole or absent; config.json, written last, holds the weights' digest.

    Args:
        model: An Autoencoder, LinearAutoencoder or PersianRug.
        folder: Made if missing.
        features: Saved with the model, so that it can be measured later without naming them again.
        overwrite: Whether an earlier model in the folder may be replaced.

    Raises:
        FileExistsError: The folder holds a model and `overwrite` is false.
        OSError: The folder cannot be written or the disk is full; an earlier model is then as it was, but
            for weights that no longer match its config, which `load` refuses.
    """
    folder = Path(folder)
    if not overwrite:
        _files.vacant(folder, CONFIG, UNFINISHED)
    _files.write_tensors(folder / WEIGHTS, model.state_dict())
    config = {
        "format": FORMAT,
        "model": type(model).__name__,
        "n_features": model.n_features,
        "n_hidden": model.n_hidden,
        "features": features.to_config() if features else None,
        "weights_digest": _files.digest(folder / WEIGHTS),
    }
    _files.write_json(folder / CONFIG, config)
    return folder


def load(folder: str | Path) -> Model:
    """Returns the model saved in a folder, on the CPU.

    Raises:
        ValueError: Nothing is there, or it is damaged or foreign; the message names the file.
    """
    return load_with_features(folder).model


def load_with_features(folder: str | Path) -> Loaded:
    """Returns the model saved in a folder together with its features; raises as `load`."""
    folder = Path(folder)
    config = _files.read_json(folder / CONFIG, "model")
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{folder / CONFIG} must have format {FORMAT}, got {config.get('format')!r}: "
            "it is foreign or was written by another version"
        )
    tensors = _read_weights(folder / WEIGHTS, config.get("weights_digest"))
    try:
        model = _build(config, tensors)
        features = None if config["features"] is None else SparseFeatures.from_config(config["features"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{folder / CONFIG} does not fit {WEIGHTS} ({error}): the folder is damaged") from None
    return Loaded(model, features)


def _read_weights(path: Path, expected_digest: Any) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ValueError(f"model weights must be in {path}, but the file is not there: restore it or train again")
    if _files.digest(path) != expected_digest:
        raise ValueError(f"{path} is damaged (its digest is not the one in {CONFIG}): restore it or train again")
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error}): restore it or train again") from None


def _build(config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Model:
    model: Model
    match config["model"]:
        case "Autoencoder":
            model = Autoencoder(config["n_features"], config["n_hidden"]).to(tensors["W_enc"].dtype)
            model.load_state_dict(tensors)  # copied: W_enc keeps its order in memory, on which rounding depends
            return model
        case "LinearAutoencoder":
            model = LinearAutoencoder(tensors["W_enc"], tensors["W_dec"], tensors["b_dec"])
        case "PersianRug":
            model = PersianRug(config["n_features"], tensors["rows"])
        case other:
            raise ValueError(f"`model` must be Autoencoder, LinearAutoencoder or PersianRug, got {other!r}")
    model.load_state_dict(tensors, assign=True)  # keeps their dtype
    return model
