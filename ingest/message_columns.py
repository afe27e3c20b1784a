"""The columns that every message of a topic has in raw, besides those of its value."""

from ingest.declaration import Column, TableIngest

MESSAGE = {
    "_topic": "varchar",
    "_partition": "integer",
    "_offset": "bigint",
    "_key": "blob",
    "_headers": "json",
    "_timestamp": "timestamp",
    "_timestamp_type": "varchar",
}
"""Column to type. (_topic, _partition, _offset) names a message; _headers is a list of
{name, value}, since names repeat; _timestamp is UTC, and _timestamp_type says who set it: `create`,
the producer, or `log_append`, the broker."""


def message_columns(ingest: TableIngest) -> tuple[Column, ...]:
    """The columns of a topic's table that need no declaration."""
    kinds = {**MESSAGE, **({"_deleted": "boolean"} if ingest.deletes == "tombstones" else {})}
    return tuple(Column(name=name, data_type=kind) for name, kind in kinds.items())
