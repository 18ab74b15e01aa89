"""Forged safetensors files: other tensors under a right digest, and headers that lie."""

import json
from pathlib import Path
from typing import Any

TENSORS = (
    *("nan", "inf", "huge", "zeros", "negative", "float64", "float16", "bfloat16", "int64", "bool", "uint8"),
    *("flat", "scalar", "empty", "transposed", "wider", "drop", "extra", "rename", "halved"),
)


def forge_tensor(path: Path, where: int, change: str) -> None:
    """Changes one tensor of a file, and all digests that speak of it."""
    import safetensors
    import safetensors.torch

    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name = sorted(tensors)[where % len(tensors)]
    _change(tensors, name, change)
    _save(path, {name: tensor.contiguous().clone() for name, tensor in tensors.items()}, metadata)


def _change(tensors: dict[str, Any], name: str, change: str) -> None:
    import torch

    tensor = tensors[name]
    fills = {"nan": float("nan"), "inf": float("inf"), "huge": 1e38, "zeros": 0.0, "negative": -1.0}
    match change:
        case "drop":
            del tensors[name]
        case "extra":
            tensors["[red]extra"] = torch.zeros(3)
        case "rename":
            tensors[f"{name}_"] = tensors.pop(name)
        case "flat":
            tensors[name] = tensor.reshape(-1)
        case "scalar":
            tensors[name] = tensor.reshape(-1)[:1].reshape(())
        case "empty":
            tensors[name] = tensor.reshape(-1)[:0]
        case "transposed":
            tensors[name] = tensor.T if tensor.dim() == 2 else tensor.reshape(1, -1)
        case "wider":
            tensors[name] = torch.cat([tensor.reshape(-1)] * 2)
        case "halved":
            tensors[name] = tensor[: tensor.shape[0] // 2]
        case _ if change in fills:
            tensors[name] = torch.full_like(tensor, fills[change])
        case _:
            tensors[name] = tensor.to(getattr(torch, change))


def forge_metadata(path: Path, key: str, value: str) -> None:
    """Changes one entry of a checkpoint's metadata, and its digest."""
    import safetensors
    import safetensors.torch

    with safetensors.safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if key in ("step", "digest"):
        metadata[key] = value
    else:  # one of what decides the run
        metadata["identity"] = json.dumps({**json.loads(metadata["identity"]), key: value})
    _save(path, tensors, metadata, keep=key == "digest")


def forge_header(path: Path, length: int, header: bytes) -> None:
    """Replaces the header of a safetensors file; its length is true if the one given is −1."""
    content = path.read_bytes()
    rest = content[8 + int.from_bytes(content[:8], "little") :]
    size = len(header) if length < 0 else length
    path.write_bytes(size.to_bytes(8, "little") + header + rest)
    _renew_config(path)


def _save(path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None, *, keep: bool = False) -> None:
    import safetensors.torch

    from superposition.training import checkpoint

    if metadata and "digest" in metadata and not keep:
        metadata = {**metadata, "digest": checkpoint._digest(tensors, metadata)}
    safetensors.torch.save_file(tensors, path, metadata=metadata)
    _renew_config(path)


def _renew_config(path: Path) -> None:
    from superposition import _files

    config = path.with_name("config.json")
    if config.is_file() and path.name == "model.safetensors":
        found = json.loads(config.read_text())
        config.write_text(json.dumps({**found, "weights_digest": _files.digest(path)}))
