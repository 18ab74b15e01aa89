"""SQL over the rows of a store."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from superposition import _resources
from superposition.sweeps.store import Store
from superposition.sweeps.tables import all_rows

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Found = TypeVar("Found")

# What an engine in memory can still reach: files, the network, and variables of this process.
# A temporary directory would be one to which a query that sorts much writes.
_CLOSED = (
    "SET temp_directory = ''; SET enable_external_access = false; SET python_enable_replacements = false; "
    "SET lock_configuration = true"
)
# Kinds of statements that end with rows; DuckDB takes PIVOT apart and calls it multiple statements.
_READS = ("SELECT", "EXPLAIN", "MULTI")
# Rows that are taken over at a time; shares of this machine's memory that the engine may fill, and what it finds.
_ROWS, _OF_ENGINE, _OF_FOUND = 100_000, 0.4, 0.1


def query(store: Store, sql: str) -> "pa.Table":
    """Returns what an SQL query finds; each measure is a table of its name, one row a stored cell.

    The store may be in use: rows are those that are stored when the query starts. A query reads nothing else and
    writes nothing. Ctrl-C ends it.

    Raises:
        ValueError: The store is empty or was written by another version, a measure that the query names has a record
            that is damaged, the query is not valid or is no SELECT, or what it finds does not fit into memory.
    """
    import duckdb

    store.check_format()
    tables, problems = _tables(store)
    # An engine in memory, on a copy: DuckDB's own files have one writer.
    with duckdb.connect() as connection:
        for measure, rows in tables.items():
            connection.register(measure, rows)
        connection.execute(f"SET memory_limit = '{int(_OF_ENGINE * _resources.memory() / 1e6)}MB'")
        connection.execute(_CLOSED)
        return _stoppable(connection, lambda: _answer(connection, sql, list(tables), problems))


def _tables(store: Store) -> "tuple[dict[str, pa.Table], dict[str, ValueError]]":
    """Returns the rows of each measure, and what is wrong with those that cannot be read."""
    tables: dict[str, pa.Table] = {}
    problems: dict[str, ValueError] = {}
    for measure in store.measures():
        try:
            tables[measure] = all_rows(store, measure)
        except ValueError as error:
            problems[measure.lower()] = error
    if not tables:
        empty = ValueError(f"{store.root} must hold measured cells, but there are none: run a sweep first")
        raise next(iter(problems.values()), empty)
    return tables, problems


def _answer(
    connection: "duckdb.DuckDBPyConnection", sql: str, tables: Sequence[str], problems: Mapping[str, ValueError]
) -> "pa.Table":
    """Returns what a query finds; raises ValueError if it does not read only, or a measure that has a problem."""
    import duckdb
    import pyarrow as pa

    try:
        sql.encode()
        statements = connection.extract_statements(sql)
        kinds = [statement.type.name for statement in statements]
        if not kinds or kinds[-1] not in _READS:
            raise ValueError(f"the query must end with a SELECT, got {kinds[-1] if kinds else 'none'}: it reads only")
        for name in connection.get_table_names(statements[-1].query) if problems else ():
            if name.lower() in problems:
                raise problems[name.lower()]
        return _collected(connection.sql(sql).to_arrow_reader(_ROWS))
    except UnicodeEncodeError:
        raise ValueError("the query must be text, got bytes that are none") from None
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # OSError: what fails while rows are taken over
        raise ValueError(f"the query is not valid: {error} (tables: {', '.join(tables)})") from None


def _collected(reader: "pa.RecordBatchReader") -> "pa.Table":
    """Returns all rows; raises ValueError once they are too many."""
    import pyarrow as pa

    most, size, batches = _OF_FOUND * _resources.memory(), 0, []
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > most:
            raise ValueError(f"a query must find less than {_resources.readable(most)}: select fewer rows or columns")
    return pa.Table.from_batches(batches, reader.schema)


def _stoppable(connection: "duckdb.DuckDBPyConnection", work: Callable[[], Found]) -> Found:
    """Returns what work on a connection returns, done beside this thread, to which Ctrl-C comes."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        try:
            return running.result()
        finally:
            while not running.done():  # an interruption before the engine has begun is lost
                connection.interrupt()
                wait([running], timeout=0.1)
