"""SQLite keeps any type in any column: every value is taken as text that says just what it is.

A real number keeps all its digits where its column is not a decimal, a blob is written as SQLite
writes it (X'00FF') unless its column is declared as one.
"""

import duckdb

from ingest.declaration import Table
from ingest.readers import UNPARSABLE
from ingest.types import literal, quote

_BLOBS = ("blob", "bytea", "binary", "varbinary")


def selected(table: Table, names: dict[str, str]) -> str:
    """The select list, for SQLite."""
    return ", ".join(f"{text(table, c, n)} as {quote(c)}" for c, n in names.items())


def taken(table: Table, names: dict[str, str]) -> str:
    """The select list over that, for DuckDB: columns as raw names them."""
    return ", ".join(
        _blob(table, name, quote(c)) + f" as {quote(name)}" for c, name in names.items()
    )


def as_number(column: str) -> str:
    """A text column as the number in it, for SQLite; other text stays, and sorts above them all."""
    other = f"{column} glob '*[^-+.0-9eE]*' or trim({column}) = ''"
    return f"(case when {other} then {column} else cast({column} as numeric) end)"


def checked(names: dict[str, str]) -> str:
    """A condition, for DuckDB, that fails loudly on a row whose text is not UTF-8.

    The scanner takes such bytes for text, and no file that they are written to can be read again.
    """
    return f"decode(encode(concat_ws('', {', '.join(map(quote, names))}))) is not null"


def selected_as_hex(table: Table, names: dict[str, str]) -> str:
    """The select list for text that may not be UTF-8: its bytes in hex."""
    return ", ".join(
        f"case when {quote(c)} is not null then hex({text(table, c, n)}) end as {quote(c)}"
        for c, n in names.items()
    )


def careful(
    con: duckdb.DuckDBPyConnection, table: Table, names: dict[str, str], inner: str, origin: str
) -> tuple[str, str]:
    """The rows that are UTF-8 as a relation, and the others as what cannot be parsed.

    Args:
        con: the session.
        table: the declaration.
        names: column of the source to its name in raw.
        inner: SQL of the rows as `selected_as_hex` has them.
        origin: SQL of where they came from.
    """
    text = {c: f"try(decode(unhex({quote(c)})))" for c in names}
    good = " and ".join(f"({quote(c)} is null or {text[c]} is not null)" for c in names)
    con.execute(
        f"create or replace temp table careful as select *, {good} as is_text from ({inner})"
    )
    values = ", ".join(
        f"{_blob(table, name, text[c])} as {quote(name)}" for c, name in names.items()
    )
    shown = ", ".join(
        f"{literal(name)}, coalesce({text[c]}, 'X''' || {quote(c)} || '''')"
        for c, name in names.items()
    )
    relation = f"select {values}, {origin} as _source from careful where is_text"
    unparsable = (
        f"select json_object({shown})::varchar as payload, {UNPARSABLE}, {origin} as _source "
        "from careful where not is_text"
    )
    return relation, unparsable


def text(table: Table, column: str, name: str) -> str:
    """SQL, for SQLite, of a column's value as text; `name` is the column's in raw."""
    value, kind = quote(column), _declared(table, name)
    if kind in _BLOBS:
        return f"case when {value} is not null then hex({value}) end"
    real = f"cast({value} as text)"
    if not kind.startswith(("decimal", "numeric")):
        exact = f"cast({real} as real) = {value}"
        real = f"case when {exact} then {real} else printf('%!.17g', {value}) end"
    return (
        f"case typeof({value}) when 'blob' then quote({value}) when 'real' then {real} "
        f"else cast({value} as text) end"
    )


def _blob(table: Table, name: str, value: str) -> str:
    return f"unhex({value})" if _declared(table, name) in _BLOBS else value


def _declared(table: Table, name: str) -> str:
    return next((c.data_type.lower() for c in table.columns if c.name == name), "")
