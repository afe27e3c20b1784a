"""One attached database: its names and values in its own SQL, and its rows as batches.

Where a quick read fails on a value that DuckDB cannot hold, the same rows are read again with care:
every value as text, for the contract to judge.
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import duckdb

from ingest.declaration import Source, Table
from ingest.errors import SourceError
from ingest.faults import is_transient
from ingest.readers import Batch, described, renamed
from ingest.readers import sqlite_text as lite
from ingest.readers.bounds import is_number
from ingest.readers.postgres_values import read_as_text
from ingest.types import literal, quote

AT = "the source"
"""The name under which a source's database is attached."""


class Database:
    """The database of a source, attached as `AT`.

    Args:
        con: the session.
        engine: sqlite, postgres or mysql.
        source: the declaration.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, engine: str, source: Source) -> None:
        self.con, self.engine, self._source = con, engine, source

    def cursor(self, cursor: str, column_type: str, kind: str) -> tuple[str, Callable[[str], str]]:
        """The cursor as the database's SQL, and what makes a bound SQL."""
        column = self.quote(cursor)
        if self.engine == "sqlite" and is_number(kind) and column_type == "VARCHAR":
            column = lite.as_number(column)
        return column, self._value(kind, column_type)

    def batch(
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
        if self.engine == "postgres":
            loose = read_as_text(self.rows, self.name(table), columns, bulk=bulk)
        if self.engine == "postgres" and bulk and not loose:
            inner = f"select * from {quote(AT)}.{self._schema(table)}{quote(_table(table))}"
            inner += f" where {where}"
        else:
            inner = self._query(table, self._selected(table, columns, names, loose), where)
        select = renamed(names)
        if self.engine == "sqlite":
            select, inner = lite.taken(table, names), f"({inner}) where {lite.checked(names)}"
            inner = f"from {inner}"
        relation = f"select {select}, {origin} as _source from ({inner}){kept}"
        found = described(self.con, relation)
        try:
            yield replace(asked, relation=relation, found=found)
            return
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            if is_transient(error):
                raise
        relation, unparsable = self._careful(table, columns, names, where, origin)
        relation = f"from ({relation}){kept}"
        found = described(self.con, relation)
        yield replace(asked, relation=relation, found=found, unparsable=unparsable)

    def keys(self, table: Table, names: dict[str, str], columns: dict[str, str]) -> str:
        """SQL for these columns of all rows as they are now: one query, so one snapshot."""
        if self.engine == "sqlite":
            return self._careful(table, columns, names, "true", literal(table.label))[0]
        texts = set()
        if self.engine == "postgres":
            texts = read_as_text(self.rows, self.name(table), columns, bulk=False)
        inner = self._query(table, self._selected(table, columns, names, texts), "true")
        return f"select {renamed(names)} from ({inner})"

    def _careful(
        self, table: Table, columns: dict[str, str], names: dict[str, str], where: str, origin: str
    ) -> tuple[str, str | None]:
        if self.engine == "sqlite":
            inner = self._query(table, lite.selected_as_hex(table, names), where)
            return lite.careful(self.con, table, names, inner, origin)
        texts = {column for column, kind in columns.items() if kind != "BLOB"}
        inner = self._query(table, self._selected(table, columns, names, texts), where)
        return f"select {renamed(names)}, {origin} as _source from ({inner})", None

    def _query(self, table: Table, selected: str, where: str) -> str:
        sql = f"select {selected} from {self.name(table)} where {where}"
        return f"from {self.engine}_query({literal(AT)}, {literal(sql)})"

    def _selected(
        self, table: Table, columns: dict[str, str], names: dict[str, str], texts: set[str]
    ) -> str:
        if self.engine == "sqlite":
            return lite.selected(table, names)
        text = "char" if self.engine == "mysql" else "text"
        return ", ".join(
            f"cast({self.quote(c)} as {text}) as {self.quote(c)}" if c in texts else self.quote(c)
            for c in columns
        )

    def columns(self, table: Table) -> dict[str, str]:
        """Column to DuckDB type.

        Raises:
            SourceError: the database has no such table.
        """
        try:
            rows = self.con.execute(
                f"describe {quote(AT)}.{self._schema(table)}{quote(_table(table))}"
            ).fetchall()
        except duckdb.CatalogException:
            raise SourceError(
                f"the database of {self._source.name!r} has no table {_table(table)!r}",
                where=table.where,
                mend="correct the name, or give it as `table:` under meta.ingest",
            ) from None
        return {row[0]: row[1] for row in rows}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query in the database's own SQL."""
        return self.con.execute(
            f"from {self.engine}_query({literal(AT)}, {literal(sql)})"
        ).fetchall()

    def _value(self, kind: str, column_type: str) -> Callable[[str], str]:
        """A bound as the database's SQL; a moment is UTC, whatever the session's zone is."""
        zone = "+00" if column_type == "TIMESTAMP WITH TIME ZONE" else ""
        zone = zone if self.engine == "postgres" else ""
        return lambda text: text if is_number(kind) else self.literal(f"{text}{zone}")

    def literal(self, text: str) -> str:
        """The text as the database's string: to MySQL a backslash is a sign, to PostgreSQL maybe.

        A text cursor comes from the source's own rows: what stands in them must not become SQL.
        """
        if "\\" in text and self.engine == "mysql":
            return f"_utf8mb4 x'{text.encode().hex()}'"
        if "\\" in text and self.engine == "postgres":
            return f"E{literal(text)}".replace("\\", "\\\\")
        return literal(text)

    def quote(self, name: str) -> str:
        """A name as the database quotes it."""
        return f"`{name.replace('`', '``')}`" if self.engine == "mysql" else quote(name)

    def _database_schema(self, table: Table) -> str | None:
        return table.ingest.database_schema or self._source.ingest.database_schema

    def name(self, table: Table) -> str:
        """The table's name as the database has it, quoted."""
        schema, name = self._database_schema(table), self.quote(_table(table))
        return f"{self.quote(schema)}.{name}" if schema else name

    def _schema(self, table: Table) -> str:
        schema = self._database_schema(table)
        return f"{quote(schema)}." if schema else ""


def _table(table: Table) -> str:
    return table.ingest.table or table.name
