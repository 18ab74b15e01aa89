"""Files: read if they are regular, written whole or not at all, kept to one process where that matters."""

from superposition._files.reading import (
    MOST_BYTES,
    check_path,
    check_regular,
    digest,
    open_regular,
    read_bytes,
    read_json,
    read_text,
)
from superposition._files.writing import (
    locked,
    refuse_existing,
    remove_partial,
    replacing,
    vacant,
    write_json,
    write_new_json,
    write_tensors,
)

__all__ = [
    "MOST_BYTES",
    "check_path",
    "check_regular",
    "digest",
    "locked",
    "open_regular",
    "read_bytes",
    "read_json",
    "read_text",
    "refuse_existing",
    "remove_partial",
    "replacing",
    "vacant",
    "write_json",
    "write_new_json",
    "write_tensors",
]
