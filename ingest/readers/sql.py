"""Databases: DuckDB's scanners for SQLite, PostgreSQL and MySQL, dlt's `sql_table` for the rest.

A read with a cursor asks for `cursor >= last - lag or cursor is null`: rows at the edge and rows
without a cursor are read again, and what raw holds already is recognised after the read. The
highest cursor is asked for at the start; a long way to it is cut into windows of about `window`
rows, each a load of its own. On PostgreSQL a read begins where no open transaction can bring more
rows: see `edge.py`.

A bound is compared as the database itself compares: a column of text that holds times of several
UTC offsets needs a lag of a day.

Where a quick read fails on a value that DuckDB cannot hold, the same rows are read again with care:
every value as text, for the contract to judge.
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
from ingest.faults import is_transient
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
    renamed,
    resolve,
)
from ingest.readers import sqlite_text as lite
from ingest.readers.addresses import SCANNERS, attach_address
from ingest.readers.bounds import between, is_number, is_time, lower_bound, moment
from ingest.readers.edge import STALL, Edge, Shore, Transactions, top_of
from ingest.readers.postgres_values import read_as_text
from ingest.readers.stretch import Stretch, within
from ingest.session import load_extension
from ingest.types import literal, quote

_AT = "the source"


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
        f"attach {literal(attach_address(url, engine, source.where))} as {quote(_AT)} "
        f"(type {engine}, read_only)"
    )
    try:
        yield SqlReader(con, engine, source)
    finally:
        con.execute(f"detach {quote(_AT)}")


class SqlReader:
    """Reads the tables of one attached database."""

    def __init__(self, con: duckdb.DuckDBPyConnection, engine: str, source: Source) -> None:
        self._con, self._engine, self._source = con, engine, source
        self._transactions = Transactions(self._rows)

    def batches(self, table: Table, state: TableState) -> Generator[Batch, None, None]:
        """The rows since the state's cursor, in windows of about `window` rows.

        Raises:
            SourceError: the database has no such table.
        """
        columns = self._columns(table)
        names = raw_names(table, columns)
        cursor = next((c for c, name in names.items() if name == table.ingest.cursor), None)
        if cursor is None:
            yield from self._either(table, columns, names, "true", Batch("", {}), bulk=True)
            return
        kind = cursor_kind(self._con, table)
        column, value = self._cursor(cursor, columns[cursor], kind)
        postgres = self._engine == "postgres"
        begin = Edge.of(state).start if postgres else state.get("cursor")
        low = lower_bound(begin, kind, table, STALL if postgres else timedelta(0))
        if low is not None and self._engine == "sqlite" and is_time(kind):
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
                if self._engine == "sqlite" and is_time(kind):
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
            yield from self._either(table, columns, names, where, asked, bulk=bulk)
            low = end

    def keys(self, table: Table) -> tuple[str, dict[str, str]]:
        """The primary keys that the database has now: one query, so one snapshot.

        Raises:
            SourceError: the database has no such table.
        """
        columns = self._columns(table)
        key = table.ingest.primary_key
        names = {c: name for c, name in raw_names(table, columns).items() if name in key}
        columns = {c: columns[c] for c in names}
        if self._engine == "sqlite":
            relation, _ = self._careful(table, columns, names, "true", literal(table.label))
        else:
            texts = set()
            if self._engine == "postgres":
                texts = read_as_text(self._rows, self._name(table), columns, bulk=False)
            inner = self._query(table, self._selected(table, columns, names, texts), "true")
            relation = f"select {renamed(names)} from ({inner})"
        return relation, described(self._con, relation)

    def rows_of(self, table: Table, keys: list[Key] | None) -> Generator[Batch, None, None]:
        """One batch that has the rows of these keys, and maybe others; of every row for None."""
        columns = self._columns(table)
        names = raw_names(table, columns)
        named = {name: c for c, name in names.items()}
        key = {named[name]: name for name in table.ingest.primary_key}
        where = "true"
        if keys is not None:
            lite_key = [lite.text(table, c, name) for c, name in key.items()]
            own = lite_key if self._engine == "sqlite" else [self._quote(c) for c in key]
            values = ", ".join(f"({', '.join(map(literal, each))})" for each in keys)
            values = f"values {values}" if self._engine == "sqlite" else values
            where = f"({', '.join(own)}) in ({values})"
        yield from self._either(table, columns, names, where, Batch("", {}), bulk=keys is None)

    def stretch(
        self, table: Table, whole: Stretch, state: TableState
    ) -> Generator[Batch, None, None]:
        """The rows of a stretch of the cursor, piece by piece, from where the state says.

        Raises:
            SourceError: the database has no such table, or the table no such column.
        """
        columns = self._columns(table)
        names = raw_names(table, columns)
        cursor = next((c for c, name in names.items() if name == whole.column), None)
        if cursor is None:
            raise SourceError(f"{table.label} has no column {whole.column!r}", where=table.where)
        kind = whole.kind
        column, value = self._cursor(cursor, columns[cursor], kind)

        def where(low: str, high: str) -> str:
            if self._engine == "sqlite" and is_time(kind):
                # times are text there, of many forms; which of them are meant is seen after
                day = timedelta(days=1)
                low, high = str(moment(low) - day)[:10], str(moment(high) + 2 * day)[:10]
            return f"{column} >= {value(low)} and {column} < {value(high)}"

        def counted() -> tuple[Any, ...]:
            (row,) = self._rows(
                f"select count(*), min({column}), max({column}) from {self._name(table)} "
                f"where {where(left.low, left.high)}"
            )
            return row

        left = whole.left(state)
        for low, high in left.pieces(counted, table.ingest.window):
            asked = replace(left, low=low).asked(whole, high)
            sqlite = self._engine == "sqlite"
            only = within(whole, "VARCHAR", low, high) if sqlite else ""
            yield from self._either(
                table, columns, names, where(low, high), asked, bulk=False, only=only
            )

    def _cursor(self, cursor: str, column_type: str, kind: str) -> tuple[str, Any]:
        """The cursor as the database's SQL, and what makes a bound SQL."""
        column = self._quote(cursor)
        if self._engine == "sqlite" and is_number(kind) and column_type == "VARCHAR":
            column = lite.as_number(column)
        return column, self._value(kind, column_type)

    def _ends(
        self, table: Table, column: str, low: str | None, top: str
    ) -> tuple[list[str | None], str | None]:
        """Where each window ends, None for the last, which has no end; and the highest cursor."""
        above = f"{column} is not null" if low is None else f"{column} > {low}"
        ((count, first, last),) = self._rows(
            f"select count(*), min({column}), {top} from {self._name(table)} where {above}"
        )
        windows = -(-int(count) // table.ingest.window)
        ends = [*between(first, last, windows), None] if windows > 1 else [None]
        return ends, None if last is None else str(last)

    def _either(
        self,
        table: Table,
        columns: dict[str, str],
        names: dict[str, str],
        where: str,
        asked: Batch,
        *,
        bulk: bool,
        only: str = "",
    ) -> Generator[Batch, None, None]:
        """The rows read quickly; where that fails on their values, read again with care.

        A bulk read of PostgreSQL goes by parallel scans of pages, a small one by an index. `asked`
        is the batch without its rows, `only` a condition of DuckDB's on what is read.
        """
        kept = f" where {only}" if only else ""
        origin = literal(table.label)
        loose = set()
        if self._engine == "postgres":
            loose = read_as_text(self._rows, self._name(table), columns, bulk=bulk)
        if self._engine == "postgres" and bulk and not loose:
            inner = f"select * from {quote(_AT)}.{self._schema(table)}{quote(_table(table))}"
            inner += f" where {where}"
        else:
            inner = self._query(table, self._selected(table, columns, names, loose), where)
        select = renamed(names)
        if self._engine == "sqlite":
            select, inner = lite.taken(table, names), f"({inner}) where {lite.checked(names)}"
            inner = f"from {inner}"
        relation = f"select {select}, {origin} as _source from ({inner}){kept}"
        found = described(self._con, relation)
        try:
            yield replace(asked, relation=relation, found=found)
            return
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            if is_transient(error):
                raise
        relation, unparsable = self._careful(table, columns, names, where, origin)
        relation = f"from ({relation}){kept}"
        found = described(self._con, relation)
        yield replace(asked, relation=relation, found=found, unparsable=unparsable)

    def _careful(
        self, table: Table, columns: dict[str, str], names: dict[str, str], where: str, origin: str
    ) -> tuple[str, str | None]:
        if self._engine == "sqlite":
            inner = self._query(table, lite.selected_as_hex(table, names), where)
            return lite.careful(self._con, table, names, inner, origin)
        texts = {column for column, kind in columns.items() if kind != "BLOB"}
        inner = self._query(table, self._selected(table, columns, names, texts), where)
        return f"select {renamed(names)}, {origin} as _source from ({inner})", None

    def _query(self, table: Table, selected: str, where: str) -> str:
        sql = f"select {selected} from {self._name(table)} where {where}"
        return f"from {self._engine}_query({literal(_AT)}, {literal(sql)})"

    def _selected(
        self, table: Table, columns: dict[str, str], names: dict[str, str], texts: set[str]
    ) -> str:
        if self._engine == "sqlite":
            return lite.selected(table, names)
        text = "char" if self._engine == "mysql" else "text"
        return ", ".join(
            f"cast({self._quote(c)} as {text}) as {self._quote(c)}"
            if c in texts
            else self._quote(c)
            for c in columns
        )

    def _columns(self, table: Table) -> dict[str, str]:
        try:
            rows = self._con.execute(
                f"describe {quote(_AT)}.{self._schema(table)}{quote(_table(table))}"
            ).fetchall()
        except duckdb.CatalogException:
            raise SourceError(
                f"the database of {self._source.name!r} has no table {_table(table)!r}",
                where=table.where,
                mend="correct the name, or give it as `table:` under meta.ingest",
            ) from None
        return {row[0]: row[1] for row in rows}

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query in the database's own SQL."""
        return self._con.execute(
            f"from {self._engine}_query({literal(_AT)}, {literal(sql)})"
        ).fetchall()

    def _value(self, kind: str, column_type: str) -> Any:
        """A bound as the database's SQL; a moment is UTC, whatever the session's zone is."""
        zone = "+00" if column_type == "TIMESTAMP WITH TIME ZONE" else ""
        zone = zone if self._engine == "postgres" else ""
        return lambda text: text if is_number(kind) else self._literal(f"{text}{zone}")

    def _literal(self, text: str) -> str:
        """The text as the database's string: to MySQL a backslash is a sign, to PostgreSQL maybe.

        A text cursor comes from the source's own rows: what stands in them must not become SQL.
        """
        if "\\" in text and self._engine == "mysql":
            return f"_utf8mb4 x'{text.encode().hex()}'"
        if "\\" in text and self._engine == "postgres":
            return f"E{literal(text)}".replace("\\", "\\\\")
        return literal(text)

    def _quote(self, name: str) -> str:
        return f"`{name.replace('`', '``')}`" if self._engine == "mysql" else quote(name)

    def _database_schema(self, table: Table) -> str | None:
        return table.ingest.database_schema or self._source.ingest.database_schema

    def _name(self, table: Table) -> str:
        schema, name = self._database_schema(table), self._quote(_table(table))
        return f"{self._quote(schema)}.{name}" if schema else name

    def _schema(self, table: Table) -> str:
        schema = self._database_schema(table)
        return f"{quote(schema)}." if schema else ""


def _table(table: Table) -> str:
    return table.ingest.table or table.name
