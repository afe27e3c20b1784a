"""Any dlt resource: a REST API by dlt's own configuration, a verified source, a SQLAlchemy table.

The pages of a resource are put down as JSON and read by DuckDB; dlt's client does the paging, the
waiting and the trying again.
"""

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.declaration import Source, Table
from ingest.errors import SourceError, too_large
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
from ingest.readers.stretch import Stretch, within
from ingest.types import literal, parquet, quote

_PAGE = 10_000  # items put down at a time,
_PAGE_BYTES = 32 << 20  # or so many bytes of them


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
        relation, unparsable = self._read(table, low, kind)
        if low is not None and cursor is not None:
            # an API may give more than it was asked for: what is older is looked up too
            first = f"min(try_cast({quote(cursor)} as {kind}))"
            row = self._con.execute(
                f"select least({first}, {literal(low)}::{kind})::varchar from ({relation})"
            ).fetchone()
            low = row[0] if row else low
        yield Batch(
            relation,
            described(self._con, relation),
            cursor_from=low,
            unparsable=unparsable,
        )

    def stretch(
        self, table: Table, whole: Stretch, state: TableState
    ) -> Generator[Batch, None, None]:
        """The items of a stretch of the cursor: all from its start on are read, and then cut."""
        left = whole.left(state)
        relation, _ = self._read(table, left.low, whole.kind)
        found = described(self._con, relation)

        def rows(low: str, high: str) -> str:
            return f"from ({relation}) where {within(whole, 'VARCHAR', low, high)}"

        def counted() -> tuple[Any, ...]:
            value = f"try_cast({quote(whole.column)} as {whole.kind})"
            counts = f"select count(*), min({value}), max({value})"
            return self._con.execute(f"{counts} {rows(left.low, left.high)}").fetchall()[0]

        for low, high in left.pieces(counted, table.ingest.window):
            asked = replace(left, low=low).asked(whole, high)
            yield replace(asked, relation=f"select * {rows(low, high)}", found=found)

    def _read(self, table: Table, low: str | None, kind: str) -> tuple[str, str]:
        """All items since the cursor, as relations of what is a row and what is none."""
        path = self._scratch / "pages" / f"{table.name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        _put_down(self._origin.items(table, low, kind), path, table.ingest.max_read_bytes)
        return json_relation(self._con, table, f"from {parquet([path])}")


def _put_down(items: Iterable[tuple[Any, str]], path: Path, most: int) -> None:
    """Every item as a line of JSON, with where it came from, in one Parquet file.

    Raises:
        SourceError: the lines go beyond so many bytes; an API may give pages for ever.
    """
    schema = pa.schema([("line", pa.string()), ("_source", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for lines, origins in _pages(items, most):
            writer.write_table(pa.table([lines, origins], schema))


def _pages(items: Iterable[tuple[Any, str]], most: int) -> Iterator[tuple[list[str], list[str]]]:
    """Lines and their origins, as many as are held in memory together; the last may be empty."""
    lines: list[str] = []
    origins: list[str] = []
    size = given = 0
    for item, origin in items:
        for single in _singles(item):
            lines.append(_line(single, origin))
            origins.append(origin)
            size += len(lines[-1])
            if size > most:
                raise too_large("what was read", "max_read_bytes", most)
            if len(lines) == _PAGE or size - given > _PAGE_BYTES:
                yield lines, origins
                lines, origins, given = [], [], size
    yield lines, origins


def _line(item: Any, origin: str) -> str:
    try:
        return json.dumps(item, default=_plain)
    except (ValueError, TypeError, RecursionError) as error:  # it holds itself, or odd keys
        raise SourceError(f"an item of {origin} cannot be written as JSON: {error}") from None


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
