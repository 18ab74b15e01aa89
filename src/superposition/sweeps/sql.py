"""SQL over the rows of a store."""

from typing import TYPE_CHECKING

from superposition.sweeps.store import Store
from superposition.sweeps.tables import all_rows

if TYPE_CHECKING:
    import pyarrow as pa

# What an engine in memory can still reach: files, the network, and variables of this process.
_CLOSED = "SET enable_external_access = false; SET python_enable_replacements = false; SET lock_configuration = true"
# Kinds of statements that end with rows; DuckDB takes PIVOT apart and calls it multiple statements.
_READS = ("SELECT", "EXPLAIN", "MULTI")


def query(store: Store, sql: str) -> "pa.Table":
    """Returns what an SQL query finds; each measure is a table of its name, one row a stored cell.

    The store may be in use: rows are those that are stored when the query starts. A query reads nothing else and
    writes nothing.

    Raises:
        ValueError: The store is empty or was written by another version, or the query is not valid or is no SELECT.
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
        connection.execute(_CLOSED)
        try:
            kinds = [statement.type.name for statement in connection.extract_statements(sql)]
            if not kinds or kinds[-1] not in _READS:
                raise ValueError(
                    f"the query must end with a SELECT, got {kinds[-1] if kinds else 'none'}: it reads only"
                )
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise ValueError(f"the query is not valid: {error} (tables: {', '.join(tables)})") from None
