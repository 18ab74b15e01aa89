"""Tensors and tables in files: written whole, and read without trust."""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from superposition._files.reading import check_regular
from superposition._files.writing import replacing

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

# A compressed file of kilobytes may claim any number of values; the largest table of a figure has 10⁷.
_MOST_VALUES = 2**28


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: dict[str, str] | None = None) -> None:
    """Writes named tensors as a safetensors file, atomically; raises OSError if that fails."""
    import safetensors
    import safetensors.torch

    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            safetensors.torch.save_file(ready, temporary, metadata=metadata)
        except safetensors.SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code)) from None


def read_tensors(path: Path, what: str) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Returns the tensors of a safetensors file, and its metadata; none is larger than its part of the file.

    Raises:
        ValueError: The file is missing, or no safetensors file.
    """
    import safetensors

    check_regular(path, what)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is no dict)
            return tensors, file.metadata() or {}
    except MemoryError:
        raise ValueError(f"{path} is larger than memory: it is no {what} of ours, or needs another machine") from None
    except (safetensors.SafetensorError, OSError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        # AttributeError: a type that this version of torch has not.
        raise ValueError(f"{path} is damaged or no safetensors file ({error}): restore it or make it anew") from None


def check_tensors(path: Path, tensors: "Mapping[str, Tensor]", like: "Mapping[str, Tensor]") -> None:
    """Raises ValueError unless tensors have the names, shapes and types of others."""
    if set(tensors) != set(like):
        raise ValueError(f"{path} must hold the tensors {', '.join(sorted(like))}, got {', '.join(sorted(tensors))}")
    for name, tensor in tensors.items():
        wanted = like[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise ValueError(
                f"{path}: `{name}` must have shape {tuple(wanted.shape)} and type {wanted.dtype}, "
                f"got {tuple(tensor.shape)} and {tensor.dtype}"
            )


def read_table(path: Path, what: str, columns: Mapping[str, str] | None = None) -> "pa.Table":
    """Returns the table in a Parquet file.

    Args:
        path: Of the file.
        what: What it should be, for messages.
        columns: Arrow's names of the types that columns must have, such as "int64" and "double"; there may be others.

    Raises:
        ValueError: The file is missing or damaged, claims more than 2²⁸ values, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_regular(path, what)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if (size := file.metadata.num_rows * file.metadata.num_columns) > _MOST_VALUES:
                raise ValueError(f"it claims {size} values, of at most {_MOST_VALUES}")
            table = file.read()
            table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError, KeyError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged or no {what} ({reason}): remove it and make it anew") from None
    for name, kind in (columns or {}).items():
        found = table.schema.field(name).type if table.schema.names.count(name) == 1 else None
        if found is None or str(found) != kind or table.column(name).null_count:
            raise ValueError(f"{path} must have a column `{name}` of type {kind} to be a {what}, got {found}")
    return table
