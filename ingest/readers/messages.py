"""Messages of a topic as rows: bytes into Arrow, and from there DuckDB parses them, all at once.

Every message has a home. What is no row is a dead letter with its bytes: a value that is not of its
format, one that is too large, and a null where no key says what it deletes.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.declaration import Table
from ingest.message_columns import MESSAGE
from ingest.readers import UNPARSABLE, breaking, json_rows
from ingest.readers.schema_rows import Format, schema_relation
from ingest.types import literal, quote

_TIMESTAMPS = pa.array([None, "create", "log_append"], pa.string())  # as librdkafka counts them
SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("key", pa.binary()),
        ("headers", pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))),
        ("milliseconds", pa.int64()),
        ("timestamp_type", pa.string()),
        ("value", pa.binary()),
    ]
)
_NAMES = 'topic as _topic, partition as _partition, "offset" as _offset, key as _key'

_MESSAGE = ", ".join(MESSAGE)
_HEADERS = (
    "case when headers is not null then to_json(list_transform(headers, h -> "
    "{'name': h.name, 'value': coalesce(try(decode(h.value)), h.value::varchar)})) end"
)
_BESIDE = (
    f"{_HEADERS} as _headers, make_timestamp(milliseconds * 1000) as _timestamp, "
    "timestamp_type as _timestamp_type, concat_ws('/', topic, partition, \"offset\") as _source"
)


def record_batch(messages: Sequence[Any]) -> pa.RecordBatch:
    """Messages of confluent-kafka in columns; nothing in them is parsed."""

    # the class's own functions: a third of what calls by name take, and a loop in Python yet more
    message = type(messages[0])

    def each(read: Callable[[Any], Any]) -> list[Any]:
        return list(map(read, messages))

    # kind and time of each, one after the other
    stamps = pa.array(chain.from_iterable(map(message.timestamp, messages)), pa.int64())
    pairs = pa.FixedSizeListArray.from_arrays(stamps, 2)
    kinds = pc.take(_TIMESTAMPS, pc.list_element(pairs, 0))
    times = pc.if_else(pc.is_valid(kinds), pc.list_element(pairs, 1), None)
    headers = each(message.headers)
    columns = [
        each(message.topic),
        each(message.partition),
        each(message.offset),
        each(message.key),
        list(map(_headers, headers)) if any(headers) else [None] * len(headers),
        times,
        kinds,
        each(message.value),
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=SCHEMA)


def _headers(given: list[tuple[str, bytes | None]] | None) -> list[dict[str, Any]] | None:
    # names repeat, and a value may be missing: a list, no mapping
    return [{"name": name, "value": value} for name, value in given or ()] or None


class Messages:
    """Turns what was read of one table's topics into relations.

    Args:
        con: the session.
        table: the declaration, with the columns that every message has.
        form: of values that are written with a schema.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, table: Table, form: Format | None = None
    ) -> None:
        self._con, self._table, self._form = con, table, form
        own = tuple(c for c in table.columns if c.name not in {*MESSAGE, "_deleted"})
        self._own = table.model_copy(update={"columns": own})

    def relations(
        self, batches: Sequence[pa.RecordBatch], *, alike: bool = False
    ) -> tuple[str, str | None]:
        """SQL of the rows, and of what is none (payload, broken_rules, `_source`).

        The other is None where every message is a row. Both hold until the next call, and so does
        what they read.

        Args:
            batches: what was read.
            alike: take them for JSON objects of the same members, which is quicker; that they are
                not shows by a `duckdb.Error` as the rows are read.
        """
        messages = pa.Table.from_batches(batches, SCHEMA)
        self._con.register("kafka_batch", messages)
        if alike:
            rows = json_rows.alike(
                self._con,
                self._own,
                "kafka_batch",
                line="decode(value)",
                good=self._is_good(),
                stands=f"{_NAMES}, {_BESIDE}",
                beside=tuple(MESSAGE),
            )
            if rows is not None:
                return self._with_tombstones(rows, some=False), None
        try:
            rows, unparsable = self._rows() if self._form is None else self._read(messages)
            self._con.execute(
                f"create or replace temp table kafka_others as select {_NAMES}, {_BESIDE}, "
                "value as bytes, try(decode(key)) as key_text from kafka_batch "
                f"where not {self._is_good()}"
            )
        finally:
            self._con.unregister("kafka_batch")
        return self._with_tombstones(rows), f"{unparsable} union all {self._unusable()}"

    def _is_good(self) -> str:
        return (
            f"(value is not null and octet_length(value) <= {self._table.ingest.max_message_bytes})"
        )

    def _rows(self) -> tuple[str, str]:
        # decoding is tried in a place of its own: twice in one row, it may raise
        lines = (
            "select * exclude (value), case when line is null then value end as bytes from "
            f"(select {_NAMES}, {_BESIDE}, value, try(decode(value)) as line from kafka_batch "
            f"where {self._is_good()})"
        )
        if self._table.ingest.format == "text":
            column = quote(self._own.columns[0].name)
            self._con.execute(f"create or replace temp table kafka_lines as {lines}")
            return (
                f"select line as {column}, {_MESSAGE}, _source from kafka_lines "
                "where line is not null",
                f"select bytes::varchar as payload, {UNPARSABLE}, _source from kafka_lines "
                "where line is null",
            )
        return json_rows.json_relation(
            self._con,
            self._own,
            lines,
            beside=tuple(MESSAGE),
            payload="coalesce(line, bytes::varchar)",
        )

    def _read(self, messages: pa.Table) -> tuple[str, str]:
        assert self._form is not None
        size, most = pc.binary_length(messages["value"]), self._table.ingest.max_message_bytes
        good = messages.filter(pc.less_equal(size, most))
        return schema_relation(self._con, self._own, good, self._form, f"{_NAMES}, {_BESIDE}")

    def _with_tombstones(self, rows: str, *, some: bool = True) -> str:
        if self._table.ingest.deletes != "tombstones":
            return rows
        if not some:
            return f"select *, null::boolean as _deleted from ({rows})"
        columns = ", ".join(
            f"{self._of_key(name)} as {quote(name)}" for name in self._table.ingest.key
        )
        return (
            f"select *, null::boolean as _deleted from ({rows}) union all by name "
            f"select {columns}, {_MESSAGE}, _source, true as _deleted from kafka_others "
            f"where bytes is null and {self._named()}"
        )

    def _unusable(self) -> str:
        return (
            f"select bytes::varchar as payload, {breaking('too_large')}, _source "
            "from kafka_others where bytes is not null union all "
            f"select coalesce(_key::varchar, ''), {breaking('tombstone')}, _source "
            f"from kafka_others where bytes is null and not ({self._named()})"
        )

    def _named(self) -> str:
        """SQL: the key names a row that a null value deletes."""
        if self._table.ingest.deletes != "tombstones":
            return "false"
        return " and ".join(f"{self._of_key(name)} is not null" for name in self._table.ingest.key)

    def _of_key(self, name: str) -> str:
        """SQL: a column of the row, out of the message's key."""
        is_object = "json_valid(key_text) and json_type(key_text) = 'OBJECT'"
        member = f"key_text::json ->> {literal('/' + name)}"
        alone = "key_text" if len(self._table.ingest.key) == 1 else "null"
        return f"(case when {is_object} then {member} else {alone} end)"
