"""Which words of a topic's declaration go together."""

import re
from collections.abc import Callable

from ingest.declaration import Column, SourceIngest, TableIngest
from ingest.errors import DeclarationError

_WITH_SCHEMA = ("avro", "protobuf")
Fail = Callable[[str, str], DeclarationError]


def topic_fits(
    ingest: TableIngest, parent: SourceIngest, columns: tuple[Column, ...], fail: Fail
) -> None:
    """Try the words of a table of kind `kafka`.

    Args:
        ingest: the table's.
        parent: the source's.
        columns: those that are declared.
        fail: makes the error, of a message and the key that it is about.

    Raises:
        DeclarationError: they cannot be meant together.
    """
    for word in ("cursor", "lag"):
        if word in ingest.model_fields_set:
            raise fail(f"a topic is read by its offsets: no {word}", word)
    if ingest.write_disposition == "replace":
        raise fail("a topic is not replaced", "write_disposition")
    if ingest.format in ("parquet", "csv", "jsonl"):
        raise fail(f"format: messages are not {ingest.format}", "format")
    if ingest.format == "text" and len(columns) != 1:
        raise fail("format: text is one column, and that is declared", "format")
    _schema_fits(ingest, parent, fail)
    if ingest.topic and ingest.topic.startswith("^"):
        try:
            re.compile(ingest.topic)
        except re.error as error:
            raise fail(f"topic: {error}", "topic") from None


def registry_fits(parent: SourceIngest, tables: tuple[TableIngest, ...], fail: Fail) -> None:
    """Try the source's `registry` with the tables that it has.

    Raises:
        DeclarationError: it says nothing.
    """
    if parent.registry and not any(table.format in _WITH_SCHEMA for table in tables):
        raise fail(
            "registry says nothing without a table of `format: avro` or `protobuf`", "registry"
        )


def _schema_fits(ingest: TableIngest, parent: SourceIngest, fail: Fail) -> None:
    if ingest.schema_file is not None:
        if ingest.format not in _WITH_SCHEMA:
            raise fail("schema_file is for `format: avro` or `protobuf`", "schema_file")
        if parent.registry:
            raise fail(
                "schema_file is for messages that name no schema; with a `registry` they do: "
                "drop one of the two",
                "schema_file",
            )
    elif ingest.format in _WITH_SCHEMA and not parent.registry:
        raise fail(
            f"format: {ingest.format} needs a `registry` at the source, or a `schema_file`",
            "format",
        )
