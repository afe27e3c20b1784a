"""Databases: DuckDB's scanners for SQLite, PostgreSQL and MySQL, dlt's `sql_table` for the rest.

A read with a cursor asks for `cursor >= last - lag or cursor is null`: rows at the edge and rows
without a cursor are read again, and what raw holds already is recognised after the read. The upper
bound is fixed at the start (the highest cursor the database has then); a long way to it is cut
into windows of about `window` rows, each a load of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb

from ingest.declaration import Source, Table
from ingest.errors import DeclarationError, SourceError
from ingest.readers import (
    Batch,
    Environment,
    Reader,
    Seen,
    TableState,
    described,
    raw_names,
    renamed,
    resolve,
)
from ingest.session import load_extension
from ingest.types import literal, quote

_SCANNERS = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
}
_AT = quote("the source")


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """Attach the database for as long as its tables are read; one transaction, one snapshot."""
    url = resolve(source.ingest.url, env, source.where)
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme not in _SCANNERS:
        from ingest.readers.resource import open_sqlalchemy

        with open_sqlalchemy(source, con, scratch, url) as reader:
            yield reader
        return
    engine = _SCANNERS[scheme]
    load_extension(con, f"{engine}_scanner")
    con.execute(
        f"attach {literal(_address(url, engine, source))} as {_AT} (type {engine}, read_only)"
    )
    try:
        yield SqlReader(con, engine, source)
    finally:
        con.execute(f"detach {_AT}")


def _address(url: str, engine: str, source: Source) -> str:
    if engine == "sqlite":
        path = Path(unquote(url.partition("://")[2].removeprefix("/")))
        if not path.is_file():
            raise SourceError(f"there is no SQLite file {path}", where=source.where)
        return str(path)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DeclarationError(
            "the url cannot be read; write it as scheme://user:password@host:port/database",
            where=source.where,
        ) from None
    name = {"postgres": ("dbname", "user", "password"), "mysql": ("database", "user", "passwd")}
    values = {
        "host": parts.hostname,
        "port": port,
        name[engine][0]: parts.path.lstrip("/"),
        name[engine][1]: parts.username and unquote(parts.username),
        name[engine][2]: parts.password and unquote(parts.password),
    }
    if engine == "postgres":
        values["connect_timeout"] = 10
    return " ".join(f"{key}={_quoted(str(value))}" for key, value in values.items() if value)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class SqlReader:
    """Reads the tables of one attached database."""

    def __init__(self, con: duckdb.DuckDBPyConnection, engine: str, source: Source) -> None:
        self._con, self._engine, self._source = con, engine, source

    def batches(self, table: Table, state: TableState) -> Iterator[Batch]:
        """The rows since the state's cursor, in windows of about `window` rows.

        Raises:
            SourceError: the database has no such table.
        """
        columns = self._columns(table)
        cursor = self._cursor(table, columns)
        if cursor is None:
            yield self._batch(table, columns, "true", {}, None, bulk=True)
            return
        low = state.get("cursor")
        if low is not None:
            low = _minus(low, table)
        ends = self._ends(table, cursor, low)
        for index, end in enumerate(ends):
            parts = [] if low is None else [f"{cursor} >= {self._value(low)}"]
            last = end is None
            if end is not None:
                parts.append(f"{cursor} <= {self._value(end)}")
            where = " and ".join(parts) or "true"
            if last and parts:
                where = f"({where}) or {cursor} is null"
            first = index == 0 and low is None
            after = {} if last else {"cursor": end}
            bulk = first or len(ends) > 1
            yield self._batch(table, columns, where, after, None if first else low, bulk=bulk)
            low = end

    def _ends(self, table: Table, cursor: str, low: str | None) -> list[str | None]:
        """Where each window ends; None, the last one's, is the end of what is there."""
        above = f"{cursor} is not null" if low is None else f"{cursor} > {self._value(low)}"
        count, first, last = self._row(
            f"select count(*), min({cursor}), max({cursor}) from {self._name(table)} where {above}"
        )
        windows = -(-int(count) // table.ingest.window)
        if windows <= 1:
            return [None]
        return [*_between(str(first), str(last), windows), None]

    def _batch(
        self,
        table: Table,
        columns: list[str],
        where: str,
        state: TableState,
        low: str | None,
        *,
        bulk: bool,
    ) -> Batch:
        """A bulk read of PostgreSQL goes by parallel scans of pages, a small one by an index."""
        names = raw_names(table, columns)
        origin = literal(f"{self._source.name}.{table.ingest.table or table.name}")
        if self._engine == "postgres" and bulk:
            inner = f"select * from {_AT}.{self._schema(table)}{quote(self._table(table))}"
            inner += f" where {where}"
        else:
            inner = f"from {self._engine}_query({literal(_AT.strip(chr(34)))}, "
            inner += literal(
                f"select {self._selected(columns)} from {self._name(table)} where {where}"
            )
            inner += ")"
        relation = f"select {renamed(names)}, {origin} as _source from ({inner})"
        return Batch(
            relation,
            described(self._con, relation),
            state,
            low,
            may_overlap=low is not None,
        )

    def _selected(self, columns: list[str]) -> str:
        """SQLite keeps any type in any column: every value is taken as text, a blob as its hex."""
        if self._engine != "sqlite":
            return ", ".join(self._quote(column) for column in columns)
        return ", ".join(
            f"case typeof({quote(c)}) when 'blob' then hex({quote(c)}) "
            f"else cast({quote(c)} as text) end as {quote(c)}"
            for c in columns
        )

    def _columns(self, table: Table) -> list[str]:
        try:
            rows = self._con.execute(
                f"describe {_AT}.{self._schema(table)}{quote(self._table(table))}"
            ).fetchall()
        except duckdb.CatalogException:
            raise SourceError(
                f"the database of {self._source.name!r} has no table {self._table(table)!r}",
                where=table.where,
                mend="correct the name, or give it as `table:` under meta.ingest",
            ) from None
        return [row[0] for row in rows]

    def _cursor(self, table: Table, columns: list[str]) -> str | None:
        name = table.ingest.cursor
        found = next((c for c in columns if c.lower() == name), None)
        return self._quote(found) if found else None

    def _row(self, sql: str) -> tuple[Any, ...]:
        row = self._con.execute(
            f"from {self._engine}_query({literal(_AT.strip(chr(34)))}, {literal(sql)})"
        ).fetchone()
        return row or ()

    def _value(self, value: str) -> str:
        return value if value.lstrip("-").isdigit() else literal(value)

    def _quote(self, name: str) -> str:
        return f"`{name.replace('`', '``')}`" if self._engine == "mysql" else quote(name)

    def _table(self, table: Table) -> str:
        return table.ingest.table or table.name

    def _name(self, table: Table) -> str:
        schema = table.ingest.database_schema or self._source.ingest.database_schema
        name = self._quote(self._table(table))
        return f"{self._quote(schema)}.{name}" if schema else name

    def _schema(self, table: Table) -> str:
        schema = table.ingest.database_schema or self._source.ingest.database_schema
        return f"{quote(schema)}." if schema else ""


def _minus(cursor: str, table: Table) -> str:
    """The cursor less the table's lag, as text that sorts with the source's own."""
    lag = table.ingest.lag
    if isinstance(lag, timedelta):
        if not lag:
            return cursor
        when = datetime.fromisoformat(cursor) - lag
        # a space sorts before a T: for a text column the bound is never too high
        return when.strftime("%Y-%m-%d %H:%M:%S.%f").removesuffix(".000000")
    return str(int(cursor) - int(lag)) if lag else cursor


def _between(first: str, last: str, windows: int) -> list[str]:
    """Where to cut the way from first to last into so many windows of equal width."""
    try:
        if first.lstrip("-").isdigit():
            width = (int(last) - int(first)) / windows
            cuts = [str(int(first) + int(width * i)) for i in range(1, windows)]
        else:
            start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
            step = (end - start) / windows
            cuts = [f"{start + step * i:%Y-%m-%d %H:%M:%S}" for i in range(1, windows)]
    except (ValueError, TypeError):
        return []  # a cursor that is no number and no time cannot be cut: one window
    return list(dict.fromkeys(cuts))
