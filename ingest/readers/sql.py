"""Databases: DuckDB's scanners for SQLite, PostgreSQL and MySQL, dlt's `sql_table` for the rest.

A read with a cursor asks for `cursor >= last - lag or cursor is null`: rows at the edge and rows
without a cursor are read again, and what raw holds already is recognised after the read. The
highest cursor is asked for at the start; a long way to it is cut into windows of about `window`
rows, each a load of its own. On PostgreSQL a read begins where no open transaction can bring more
rows: see `edge.py`.

A bound is compared as the database itself compares: a column of text that holds times of several
UTC offsets needs a lag of a day.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from ingest.declaration import Source, Table
from ingest.errors import DeclarationError, SourceError
from ingest.readers import (
    Batch,
    Environment,
    Key,
    Reader,
    Seen,
    TableState,
    cursor_kind,
    described,
    raw_names,
    resolve,
)
from ingest.readers import sqlite_text as lite
from ingest.readers.addresses import SCANNERS, attach_address
from ingest.readers.bounds import between, is_time, lower_bound, moment
from ingest.readers.database import AT, Database
from ingest.readers.edge import STALL, Edge, Shore, Transactions, top_of
from ingest.readers.stretch import Stretch, within
from ingest.session import load_extension
from ingest.types import literal, quote


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """Attach the database for as long as its tables are read.

    Raises:
        DeclarationError: the url is none.
        SourceError: there is no such file.
        duckdb.Error: the database does not answer, or refuses.
    """
    url = resolve(source.ingest.url, env, source.where)
    scheme, mark, _ = url.partition("://")
    if not mark:
        raise DeclarationError(
            "the url is none; write it as scheme://user:password@host:port/database",
            where=source.where,
        )
    engine = SCANNERS.get(scheme.partition("+")[0])
    if engine is None or source.ingest.backend == "sqlalchemy":
        from ingest.readers.resource import open_sqlalchemy

        with open_sqlalchemy(source, con, scratch, url) as reader:
            yield reader
        return
    load_extension(con, f"{engine}_scanner")
    con.execute(
        f"attach {literal(attach_address(url, engine, source.where))} as {quote(AT)} "
        f"(type {engine}, read_only)"
    )
    try:
        yield SqlReader(con, engine, source)
    finally:
        con.execute(f"detach {quote(AT)}")


class SqlReader:
    """Reads the tables of one attached database."""

    def __init__(self, con: duckdb.DuckDBPyConnection, engine: str, source: Source) -> None:
        self._db = Database(con, engine, source)
        self._transactions = Transactions(self._db.rows)

    def batches(self, table: Table, state: TableState) -> Generator[Batch, None, None]:
        """The rows since the state's cursor, in windows of about `window` rows.

        Raises:
            SourceError: the database has no such table.
        """
        columns = self._db.columns(table)
        names = raw_names(table, columns)
        cursor = next((c for c, name in names.items() if name == table.ingest.cursor), None)
        if cursor is None:
            yield from self._db.batch(table, columns, names, "true", Batch("", {}), bulk=True)
            return
        kind = cursor_kind(self._db.con, table)
        column, value = self._db.cursor(cursor, columns[cursor], kind)
        postgres = self._db.engine == "postgres"
        begin = Edge.of(state).start if postgres else state.get("cursor")
        low = lower_bound(begin, kind, table, STALL if postgres else timedelta(0))
        if low is not None and self._db.engine == "sqlite" and is_time(kind):
            # times are text there, of many forms: the bare day sorts before each of them
            low = low[:10]
        top = top_of(column, kind, columns[cursor]) if postgres else f"max({column})"
        ends, highest = self._ends(table, column, None if low is None else value(low), top)
        shore = None
        if postgres:  # after the highest cursor, before the rows
            patient = low is None and "edge" not in state
            now = self._transactions.open_now(patient=patient)
            shore = Shore(state, kind, highest, now)
        for index, end in enumerate(ends):
            parts = [] if low is None else [f"{column} >= {value(low)}"]
            if end is not None:
                parts.append(f"{column} <= {value(end)}")
            where = " and ".join(parts) or "true"
            if end is None and parts:
                where = f"({where}) or {column} is null"
                if self._db.engine == "sqlite" and is_time(kind):
                    where += f" or {column} < '1'"  # no time at all: a dead letter, not a lost row
            first = index == 0 and low is None
            after = {} if end is None else {"cursor": end}
            bulk = first or len(ends) > 1
            since = None if first else low
            asked = Batch("", {}, after, since)
            if shore is not None:
                asked = replace(
                    asked,
                    cursor_to=None if columns[cursor] == "VARCHAR" else end,
                    settle=shore.end if end is None else shore.window,
                    notes=shore.notes(table),
                )
            yield from self._db.batch(table, columns, names, where, asked, bulk=bulk)
            low = end

    def keys(self, table: Table) -> tuple[str, dict[str, str]]:
        """The primary keys that the database has now: one query, so one snapshot.

        Raises:
            SourceError: the database has no such table.
        """
        columns = self._db.columns(table)
        key = table.ingest.primary_key
        names = {c: name for c, name in raw_names(table, columns).items() if name in key}
        columns = {c: columns[c] for c in names}
        relation = self._db.keys(table, names, columns)
        return relation, described(self._db.con, relation)

    def rows_of(self, table: Table, keys: list[Key] | None) -> Generator[Batch, None, None]:
        """One batch that has the rows of these keys, and maybe others; of every row for None."""
        columns = self._db.columns(table)
        names = raw_names(table, columns)
        named = {name: c for c, name in names.items()}
        key = {named[name]: name for name in table.ingest.primary_key}
        where = "true"
        if keys is not None:
            lite_key = [lite.text(table, c, name) for c, name in key.items()]
            own = lite_key if self._db.engine == "sqlite" else [self._db.quote(c) for c in key]
            values = ", ".join(f"({', '.join(map(self._db.literal, each))})" for each in keys)
            values = f"values {values}" if self._db.engine == "sqlite" else values
            where = f"({', '.join(own)}) in ({values})"
        yield from self._db.batch(table, columns, names, where, Batch("", {}), bulk=keys is None)

    def stretch(
        self, table: Table, whole: Stretch, state: TableState
    ) -> Generator[Batch, None, None]:
        """The rows of a stretch of the cursor, piece by piece, from where the state says.

        Raises:
            SourceError: the database has no such table, or the table no such column.
        """
        columns = self._db.columns(table)
        names = raw_names(table, columns)
        cursor = next((c for c, name in names.items() if name == whole.column), None)
        if cursor is None:
            raise SourceError(f"{table.label} has no column {whole.column!r}", where=table.where)
        kind = whole.kind
        column, value = self._db.cursor(cursor, columns[cursor], kind)

        def where(low: str, high: str) -> str:
            if self._db.engine == "sqlite" and is_time(kind):
                # times are text there, of many forms; which of them are meant is seen after
                day = timedelta(days=1)
                low, high = str(moment(low) - day)[:10], str(moment(high) + 2 * day)[:10]
            return f"{column} >= {value(low)} and {column} < {value(high)}"

        def counted() -> tuple[Any, ...]:
            (row,) = self._db.rows(
                f"select count(*), min({column}), max({column}) from {self._db.name(table)} "
                f"where {where(left.low, left.high)}"
            )
            return row

        left = whole.left(state)
        for low, high in left.pieces(counted, table.ingest.window):
            asked = replace(left, low=low).asked(whole, high)
            sqlite = self._db.engine == "sqlite"
            only = within(whole, "VARCHAR", low, high) if sqlite else ""
            yield from self._db.batch(
                table, columns, names, where(low, high), asked, bulk=False, only=only
            )

    def _ends(
        self, table: Table, column: str, low: str | None, top: str
    ) -> tuple[list[str | None], str | None]:
        """Where each window ends, None for the last, which has no end; and the highest cursor."""
        above = f"{column} is not null" if low is None else f"{column} > {low}"
        ((count, first, last),) = self._db.rows(
            f"select count(*), min({column}), {top} from {self._db.name(table)} where {above}"
        )
        windows = -(-int(count) // table.ingest.window)
        ends = [*between(first, last, windows), None] if windows > 1 else [None]
        return ends, None if last is None else str(last)
