"""Files: read if they are regular, written whole or not at all, kept to one process where that matters."""

from superposition._files.faults import UnwritableError, disk_fault
from superposition._files.folders import check_closed, check_inside, make_folder
from superposition._files.formats import check_tensors, read_table, read_tensors, write_tensors
from superposition._files.locks import LOCK, locked
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
    publish,
    refuse_existing,
    remove_partial,
    replacing,
    vacant,
    write_json,
    write_new_json,
)

__all__ = [
    "LOCK",
    "MOST_BYTES",
    "UnwritableError",
    "check_closed",
    "check_inside",
    "check_path",
    "check_regular",
    "check_tensors",
    "digest",
    "disk_fault",
    "locked",
    "make_folder",
    "open_regular",
    "publish",
    "read_bytes",
    "read_json",
    "read_table",
    "read_tensors",
    "read_text",
    "refuse_existing",
    "remove_partial",
    "replacing",
    "vacant",
    "write_json",
    "write_new_json",
    "write_tensors",
]
