"""A table's types and rules tried on an empty table, so that a slip is found before any read."""

import re
from collections.abc import Callable
from datetime import timedelta

import duckdb

from ingest.contract import column_rules
from ingest.declaration import Column, Table, nearest
from ingest.errors import DeclarationError
from ingest.types import INTEGERS, hint, is_decimal, literal, quote, storable

Fail = Callable[[str, tuple[str | int, ...]], DeclarationError]
_TYPES = [
    "bigint",
    "integer",
    "smallint",
    "tinyint",
    "double",
    "decimal",
    "varchar",
    "text",
    "boolean",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "blob",
    "json",
]
_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


def try_rules(con: duckdb.DuckDBPyConnection, table: Table, fail: Fail) -> None:
    """Try the table's types, checks, accepted values and lag.

    Args:
        con: any session.
        table: the declaration.
        fail: makes the error, of a message and a place below the table's node.

    Raises:
        DeclarationError: one of them cannot be meant.
    """
    types = {}
    for index, column in enumerate(table.columns):
        types[column.name] = _type(con, column, ("columns", index, "data_type"), fail)
    shape = ", ".join(f"null::{kind} as {quote(name)}" for name, kind in types.items())
    for index, column in enumerate(table.columns):
        for rule, sql in column_rules(column, []):
            word = rule.partition(":")[0]
            place = ("columns", index, "config", "meta", word)
            try:
                # a row beside the rule: an aggregate is no rule of one row
                con.execute(f"select *, {sql} from (select {shape}) where false")
                if word == "check":
                    _boolean(con, f"select ({column.check}\n) from (select {shape})")
            except duckdb.Error as error:
                raise fail(_reason(word, column, error), place) from None
        _values(con, column, types[column.name], index, fail)
    _lag(table, types, fail)


def _type(
    con: duckdb.DuckDBPyConnection, column: Column, place: tuple[str | int, ...], fail: Fail
) -> str:
    """The canonical name of the column's type, one that raw can keep."""
    text = column.data_type
    try:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_ ]*(\(\d+(,\s*\d+)?\))?", text):
            raise duckdb.ParserException(text)
        row = con.execute(f"select typeof(cast(null as {text}))").fetchone()
    except duckdb.Error:
        near = nearest(text.split("(")[0].lower(), _TYPES)
        raise fail(f"{text!r} of column {column.name!r} is not a data type{near}", place) from None
    kind = str(row[0]) if row else ""
    if storable(kind) != kind:
        raise fail(
            f"raw cannot keep the type {text!r} of column {column.name!r}; "
            f"declare it as {storable(kind).lower()!r}",
            place,
        )
    hint(kind)
    return kind


def _values(
    con: duckdb.DuckDBPyConnection, column: Column, kind: str, index: int, fail: Fail
) -> None:
    for value in column.accepted_values:
        row = con.execute(f"select try_cast({literal(str(value))} as {kind}) is null").fetchone()
        if row and row[0]:
            raise fail(
                f"the accepted value {value!r} of column {column.name!r} is not a {kind.lower()}",
                ("columns", index, "config", "meta", "accepted_values"),
            )


def _boolean(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    row = con.execute(f"describe {sql}").fetchone()
    if row and row[1] not in ("BOOLEAN", '"NULL"'):
        raise duckdb.BinderException(f"it gives {row[1].lower()}, not true or false")


def _lag(table: Table, types: dict[str, str], fail: Fail) -> None:
    cursor, lag = table.ingest.cursor, table.ingest.lag
    place = ("config", "meta", "ingest", "lag")
    if isinstance(lag, timedelta) and not lag:
        return
    if cursor is None:
        raise fail("a lag needs a cursor to lag behind", place)
    kind = types[cursor]
    if isinstance(lag, timedelta) != (kind in _TIMES):
        raise fail(
            f"the cursor {cursor!r} is a {kind.lower()}: "
            + (
                "write its lag as a time, like '1 hour'" if kind in _TIMES else "its lag is no time"
            ),
            place,
        )
    if kind == "DATE" and isinstance(lag, timedelta) and lag % timedelta(days=1):
        raise fail(f"the cursor {cursor!r} is a date: its lag is whole days", place)
    if kind not in (*_TIMES, *INTEGERS, "DOUBLE") and not is_decimal(kind):
        raise fail(f"the cursor {cursor!r} is a {kind.lower()}, which has no lag", place)


def _reason(word: str, column: Column, error: duckdb.Error) -> str:
    what = "check" if word == "check" else "accepted_values"
    return (
        f"the {what} of column {column.name!r} is not SQL over one row of its table: "
        f"{str(error).splitlines()[0]}"
    )
