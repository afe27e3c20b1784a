"""Any dlt resource: a REST API by dlt's own configuration, a verified source, a SQLAlchemy table.

The pages of a resource are put down as JSON and read by DuckDB; dlt's client does the paging, the
waiting and the trying again.
"""

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from ingest.declaration import Source, Table
from ingest.readers import (
    Batch,
    Environment,
    Reader,
    Seen,
    TableState,
    cursor_kind,
    described,
    resolve,
)
from ingest.readers.bounds import lower_bound
from ingest.readers.json_rows import json_relation
from ingest.types import literal

_PAGE = 10_000  # items put down at a time
_LONGEST = 1 << 28  # bytes of one item


class Origin(Protocol):
    """Gives a table's items since a cursor, each with where it came from."""

    def items(self, table: Table, low: str | None, kind: str) -> Iterator[tuple[Any, str]]:
        """The items; `low` is the cursor to begin with, of the DuckDB type `kind`."""
        ...


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """The reader for a source of kind `rest` or `dlt`."""
    from ingest.readers.origins import Function, Rest

    if source.ingest.kind == "rest":
        client = resolve(source.ingest.client, env, source.where)
        yield ResourceReader(con, scratch, Rest(source, client, env))
    else:
        arguments = resolve(source.ingest.arguments, env, source.where)
        yield ResourceReader(con, scratch, Function(source, arguments, env))


@contextmanager
def open_sqlalchemy(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, url: str
) -> Iterator[Reader]:
    """The reader for a database that DuckDB has no scanner for: dlt's `sql_table`."""
    from ingest.readers.sqlalchemy_table import SqlTable

    origin = SqlTable(source, url)
    try:
        yield ResourceReader(con, scratch, origin)
    finally:
        origin.close()


class ResourceReader:
    """Reads what an origin gives: one batch, everything since the state's cursor less the lag."""

    def __init__(self, con: duckdb.DuckDBPyConnection, scratch: Path, origin: Origin) -> None:
        self._con, self._scratch, self._origin = con, scratch, origin

    def batches(self, table: Table, state: TableState) -> Generator[Batch, None, None]:
        """One batch. What the source gives beyond the bound asked for is recognised as well."""
        cursor = table.ingest.cursor
        kind = cursor_kind(self._con, table) if cursor else ""
        low = lower_bound(state.get("cursor"), kind, table)
        folder = self._scratch / "pages" / table.name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        pages = _put_down(self._origin.items(table, low, kind), folder)
        rows = "select null::varchar as line, null::varchar as _source where false"
        if pages:
            rows = (
                "select line, _source from read_json("
                f"{literal(str(folder))} || '/*.json', format='newline_delimited', "
                "columns={'_source': 'VARCHAR', 'line': 'VARCHAR'}, "
                f"maximum_object_size={_LONGEST}, hive_partitioning=false)"
            )
        relation, unparsable = json_relation(self._con, table, rows)
        asked = low
        if low is not None and cursor is not None:
            # an API may give more than it was asked for: what is older is looked up too
            row = self._con.execute(
                f"select least(min(try_cast({cursor} as {kind})), {literal(low)}::{kind})::varchar "
                f"from ({relation})"
            ).fetchone()
            low = row[0] if row else low
        yield Batch(
            relation,
            described(self._con, relation),
            cursor_from=low,
            may_overlap=asked is not None,
            unparsable=unparsable,
        )


def _put_down(items: Iterable[tuple[Any, str]], folder: Path) -> int:
    number = 0
    iterator = ((single, origin) for item, origin in items for single in _singles(item))
    while part := list(islice(iterator, _PAGE)):
        with (folder / f"{number:06d}.json").open("w", encoding="utf-8") as file:
            for item, origin in part:
                text = json.dumps(item, default=_plain)
                file.write(json.dumps({"_source": origin, "line": text}) + "\n")
        number += 1
    return number


def _singles(item: Any) -> Iterable[Any]:
    """The items of a page: some resources give tables of Arrow or pandas, or lists."""
    if isinstance(item, pa.Table | pa.RecordBatch):
        rows: list[Any] = item.to_pylist()
        return rows
    if hasattr(item, "to_dict") and hasattr(item, "columns"):
        return _singles(pa.Table.from_pandas(item, preserve_index=False))
    return item if isinstance(item, list) else [item]


def _plain(value: object) -> object:
    """A Python value that JSON has no word for, as text that DuckDB casts back."""
    if isinstance(value, bytes | bytearray | memoryview):
        return "".join(f"\\x{byte:02X}" for byte in bytes(value))
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
