"""How the values of a topic's messages are read, by the declaration's `format`."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from ingest.declaration import Source, Table
from ingest.errors import SourceError
from ingest.readers import Environment, resolve
from ingest.readers.avro_rows import AvroReader
from ingest.readers.avro_schema import AvroSchema, avro_schema
from ingest.readers.protobuf_rows import ProtobufSchema
from ingest.readers.registry import Registry
from ingest.readers.schema_rows import Decoded, Format

Schema = AvroSchema | ProtobufSchema


class Formats:
    """The formats of one source. What a schema came to is kept for as long as it lives.

    Args:
        source: the declaration.
        scratch: a folder for what is put down to be read.
        env: where `env:NAME` is looked up.
    """

    def __init__(self, source: Source, scratch: Path, env: Environment) -> None:
        self._source, self._env = source, env
        self._avro = AvroReader(scratch)
        self._schemas, self._known = dict[int, Schema](), dict[str, Format | None]()

    def close(self) -> None:
        """Let go of what was opened."""
        self._avro.close()

    def of(self, table: Table) -> Format | None:
        """That of one table; None where it is written with no schema.

        Raises:
            UnsetError: a variable is not set.
            SourceError: its `schema_file` is not there, or no schema, or what reads it is missing.
        """
        if table.name not in self._known:
            self._known[table.name] = self._opened(table)
        return self._known[table.name]

    def _opened(self, table: Table) -> Format | None:
        if table.ingest.format not in ("avro", "protobuf"):
            return None
        kind = table.ingest.format.upper()
        if kind == "PROTOBUF" and find_spec("grpc_tools") is None:
            raise SourceError(
                "the compiler of Protobuf is not installed",
                where=table.where,
                mend="pip install 'millrace[kafka]'",
            )
        if table.ingest.schema_file is not None:
            schema = self._file(table, kind)
            return Format(lambda number, values: self._decoded(schema, values, False), only=0)
        address = str(resolve(self._source.ingest.registry, self._env, self._source.where))
        registry = Registry(address, self._source.where)
        return Format(lambda number, values: self._registered(registry, kind, number, values))

    def _registered(
        self, registry: Registry, kind: str, number: int, values: pa.Array
    ) -> Decoded | None:
        if number not in self._schemas:
            known = registry.schema(number)
            if known is None or known.kind != kind:
                return None
            try:
                self._schemas[number] = self._schema(kind, known.text, known.references)
            except ValueError:
                return None
        return self._decoded(self._schemas[number], values, True)

    def _decoded(self, schema: Schema, values: pa.Array, indexed: bool) -> Decoded:
        if isinstance(schema, ProtobufSchema):
            return schema.texts(values, indexed=indexed)
        return Decoded(schema.names, *self._avro.texts(schema, values))

    def _schema(self, kind: str, text: str, references: Mapping[str, str]) -> Schema:
        """Raises ValueError where it is none that can be read."""
        if kind == "PROTOBUF":
            return ProtobufSchema(text, references)
        schema = avro_schema(text, references.values())
        if not self._avro.can_read(schema):
            raise ValueError("DuckDB cannot read such a schema")
        return schema

    def _file(self, table: Table, kind: str) -> Schema:
        path = Path(str(resolve(table.ingest.schema_file, self._env, table.where)))
        try:
            return self._schema(kind, path.read_text(), {})
        except (OSError, ValueError) as error:
            raise SourceError(
                f"schema_file {str(path)!r} cannot be used: {error}", where=table.where
            ) from None
