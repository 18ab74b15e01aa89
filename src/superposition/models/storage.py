"""Models on disk: a folder with config.json and model.safetensors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from superposition import _checks, _files
from superposition.features import SparseFeatures
from superposition.models.autoencoder import Autoencoder
from superposition.models.base import Model
from superposition.models.linear import LinearAutoencoder
from superposition.models.rug import PersianRug

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
UNFINISHED = "checkpoint-*"  # a run that is still to save its model here
_TYPES = {torch.float32, torch.float64, torch.bfloat16, torch.float16}


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
        ValueError: The features are not as many as the model's.
        FileExistsError: The folder holds a model and `overwrite` is false.
        OSError: The folder cannot be written or the disk is full; an earlier model is then as it was, but
            for weights that no longer match its config, which `load` refuses.
    """
    folder = Path(folder)
    if features is not None and features.n_features != model.n_features:
        raise ValueError(
            f"`features` must be those of the model, {model.n_features}, got {features.n_features}: give its own"
        )
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
        ValueError: Nothing is there, or it is damaged or foreign, or its training diverged; the message names the file.
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
        if tensor.dtype in _TYPES and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{path} must hold finite numbers, but `{name}` does not: its training diverged")
    return tensors


def _features(config: Any, model: Model) -> SparseFeatures | None:
    if config is None:
        return None
    features = SparseFeatures.from_config(config)
    if features.n_features != model.n_features:
        raise ValueError(f"`features` must be {model.n_features}, got {features.n_features}")
    return features


def _build(config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Model:
    """Returns the model; its sizes are held against the tensors before anything of that size is made."""
    kinds = {"Autoencoder": _autoencoder, "LinearAutoencoder": _linear, "PersianRug": _rug}
    if (kind := config["model"]) not in list(kinds):
        raise ValueError(f"`model` must be Autoencoder, LinearAutoencoder or PersianRug, got {kind!r}")
    n = _checks.whole_number("n_features", config["n_features"])
    return kinds[kind](n, _checks.hidden_width(config["n_hidden"], n), tensors)


def _autoencoder(n: int, n_hidden: int, tensors: dict[str, torch.Tensor]) -> Model:
    _check(tensors, {"W_enc": (n_hidden, n), "W_dec": (n, n_hidden), "b_dec": (n,)})
    model = Autoencoder(n, n_hidden).to(tensors["W_enc"].dtype)
    model.load_state_dict(tensors)  # copied: W_enc keeps its order in memory, on which rounding depends
    return model


def _linear(n: int, n_hidden: int, tensors: dict[str, torch.Tensor]) -> Model:
    _check(tensors, {"W_enc": (n_hidden, n), "W_dec": (n, n_hidden), "b_dec": (n,)})
    return LinearAutoencoder(tensors["W_enc"], tensors["W_dec"], tensors["b_dec"])


def _rug(n: int, n_hidden: int, tensors: dict[str, torch.Tensor]) -> Model:
    _check(tensors, {"rows": (n_hidden,), "scale": (), "bias": ()}, whole=("rows",))
    model = PersianRug(n, tensors["rows"], scale=float(tensors["scale"]), bias=float(tensors["bias"]))
    if not torch.equal(model.rows, tensors["rows"]):
        raise ValueError("`rows` must be increasing")
    model.load_state_dict(tensors, assign=True)  # keeps their dtype
    return model


def _check(
    tensors: dict[str, torch.Tensor], shapes: dict[str, tuple[int, ...]], *, whole: tuple[str, ...] = ()
) -> None:
    """Raises ValueError unless there are tensors of these names and shapes, all of one floating type but the whole."""
    if set(tensors) != set(shapes):
        raise ValueError(f"the tensors must be {', '.join(sorted(shapes))}, got {', '.join(sorted(tensors))}")
    floating = {tensor.dtype for name, tensor in tensors.items() if name not in whole}
    if len(floating) > 1 or not floating <= _TYPES or any(tensors[name].dtype != torch.int64 for name in whole):
        types = ", ".join(f"{name} {tensor.dtype}" for name, tensor in tensors.items())
        raise ValueError(f"the tensors must have one floating type, whole numbers int64, got {types}")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"`{name}` must have shape {shape}, got {tuple(tensors[name].shape)}")
