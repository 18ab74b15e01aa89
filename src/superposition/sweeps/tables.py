"""Tables of all rows of a measure, for queries and for other programs."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from superposition import _files
from superposition.sweeps import records
from superposition.sweeps.arrow import as_table
from superposition.sweeps.store import Store


def all_rows(store: Store, measure: str) -> pa.Table:
    """Returns the rows of all stored cells of a measure, whoever wrote them.

    Every record is read. A table that was compacted before could be trusted only after a look at every record, and
    that is what takes the time.

    Raises:
        ValueError: A record is damaged, or holds a word where another has a number; the message names it.
    """
    return as_table([records.flat(store.read(measure, key)) for key in store.keys(measure)])


def compact(store: Store, measures: Iterable[str], *, anew: bool) -> None:
    """Writes the rows of measures to tables/MEASURE.parquet, for other programs: this one reads records.

    A measure with a record that cannot be read has no table, until that is mended.

    Args:
        store: Whose.
        measures: Which.
        anew: Whether to write tables that are there already.
    """
    for measure in measures:
        path = _files.check_inside(store.root / "tables", store.root) / f"{measure}.parquet"
        if path.exists() and not anew:
            continue
        try:
            rows = all_rows(store, measure)
        except ValueError:  # which whoever asks for that cell is told
            path.unlink(missing_ok=True)
            continue
        with _files.replacing(path) as temporary:
            pq.write_table(rows, temporary, write_page_checksum=True)
