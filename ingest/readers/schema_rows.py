"""Messages that are written with a schema, as a relation of text columns like that of JSON.

Each value begins with a zero byte and the number of its schema, as Confluent's serializers write
it. All values of one schema are read at once, and the columns of several are united by name.
"""

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.declaration import Table
from ingest.message_columns import MESSAGE
from ingest.readers import UNPARSABLE, raw_names
from ingest.types import quote

_HEAD = 5  # bytes: a zero, and the schema's number
_END = 2**31 - 1  # with none given, pyarrow 26.0 takes other bytes


@dataclass(frozen=True)
class Decoded:
    """The values of one schema.

    Attributes:
        names: of the fields.
        texts: a column of text for each of them, with a row for each value that could be read.
        places: of these values among those that were given, in ascending order.
    """

    names: tuple[str, ...]
    texts: pa.Table
    places: pa.Array


Decode = Callable[[int, pa.Array], Decoded | None]
"""Reads values (large_binary, what stands behind the head) of the schema of a number; None where
there is no such schema, or none that can be read."""


@dataclass(frozen=True)
class Format:
    """How the values of a table's messages are read.

    Attributes:
        decode: reads those of one schema.
        only: the number of the only schema, where values have no head.
    """

    decode: Decode
    only: int | None = None


def schema_relation(
    con: duckdb.DuckDBPyConnection, table: Table, messages: pa.Table, form: Format, beside: str
) -> tuple[str, str]:
    """The relation of the values' fields: declared ones, and those that only the schemas have.

    Args:
        con: the session.
        table: the declaration.
        messages: with the column `value`, never null.
        form: how they are read.
        beside: SQL select list over a message, of `_source` and the columns that each has.

    Returns:
        SQL of the rows (columns as raw names them, `_source`), and of what cannot be read
        (payload, broken_rules, `_source`).
    """
    rows, poison, found = _decoded(messages, form)
    names = raw_names(table, found, tuple(MESSAGE))
    fields = "".join(f", m{nth} as {quote(names[name])}" for nth, name in enumerate(found))
    _keep(con, "schema_rows", rows, beside + fields)
    _keep(con, "schema_poison", poison, f"value::varchar as payload, {beside}")
    missing = "".join(
        f", null::varchar as {quote(column.name)}"
        for column in table.columns
        if column.name not in names.values()
    )
    return (
        f"select *{missing} from schema_rows",
        f"select payload, {UNPARSABLE}, _source from schema_poison",
    )


def _keep(con: duckdb.DuckDBPyConnection, name: str, rows: pa.Table, select: str) -> None:
    con.register("schema_given", rows)
    try:
        con.execute(f"create or replace temp table {name} as select {select} from schema_given")
    finally:
        con.unregister("schema_given")


def _decoded(messages: pa.Table, form: Format) -> tuple[pa.Table, pa.Table, list[str]]:
    """Messages with columns m0, m1, … for the fields, those that cannot be read, and the fields."""
    values = messages["value"].cast(pa.large_binary()).combine_chunks()
    parts, done = [], [pa.array([], pa.int64())]
    found: dict[str, int] = {}
    for number, places in _by_schema(values, form.only):
        behind = 0 if form.only is not None else _HEAD
        read = form.decode(number, pc.binary_slice(values.take(places), behind, _END))
        if read is None:
            continue
        columns = [f"m{found.setdefault(name, len(found))}" for name in read.names]
        rows = places.take(read.places)
        parts.append((rows, read.texts.rename_columns(columns)))
        done.append(rows)
    others = messages.drop_columns(["value"])
    tables = [
        pa.Table.from_arrays(
            [*others.take(rows).columns, *texts.columns],
            names=[*others.column_names, *texts.column_names],
        )
        for rows, texts in parts
    ]
    # a field that a schema has not is null
    fields = [pa.field(f"m{nth}", pa.string()) for nth in range(len(found))]
    none = pa.schema([*others.schema, *fields]).empty_table()
    good = pa.concat_tables([none, *tables], promote_options="default")
    every = pa.array(range(len(values)), pa.int64())
    bad = pc.invert(pc.is_in(every, pa.concat_arrays(done)))
    return good, messages.filter(bad), list(found)


def _by_schema(values: pa.Array, only: int | None) -> list[tuple[int, pa.Array]]:
    """The number of each schema, and the places of its values."""
    if only is not None:
        return [(only, pa.array(range(len(values)), pa.int64()))]
    heads = pc.binary_slice(values, 0, _HEAD).dictionary_encode()
    return [
        (
            int.from_bytes(head[1:], "big"),
            pc.indices_nonzero(pc.equal(heads.indices, nth)).cast(pa.int64()),
        )
        for nth, head in enumerate(heads.dictionary.to_pylist())
        if len(head) == _HEAD and head[0] == 0
    ]
