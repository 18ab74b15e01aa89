"""SQL over the rows of a store."""

from typing import TYPE_CHECKING

from superposition.sweeps.store import Store
from superposition.sweeps.tables import all_rows, as_table

if TYPE_CHECKING:
    import pyarrow as pa


def query(store: Store, sql: str) -> "pa.Table":
    """Returns what an SQL query finds; each measure is a table of its name, one row a stored cell.

    The store may be in use: rows are those that are stored when the query starts.

    Raises:
        ValueError: The store is empty or was written by another version, or the query is not valid.
    """
    import duckdb

    store.check_format()
    tables = {measure: all_rows(store, measure) for measure in store.measures()}
    if not tables:
        raise ValueError(f"{store.root} must hold measured cells, but there are none: run a sweep first")
    # An engine in memory, on a copy: DuckDB's own files have one writer.
    with duckdb.connect() as connection:
        for measure, rows in tables.items():
            connection.register(measure, rows)
        try:
            found = connection.sql(sql)
            return as_table([]) if found is None else found.to_arrow_table()  # no SELECT finds no rows
        except duckdb.Error as error:
            raise ValueError(f"the query is not valid: {error} (tables: {', '.join(tables)})") from None
