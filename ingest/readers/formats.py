"""How the values of a topic's messages are read, by the declaration's `format`."""

from functools import partial
from pathlib import Path

import pyarrow as pa

from ingest.declaration import Source, Table
from ingest.errors import SourceError
from ingest.readers import Environment, resolve
from ingest.readers.avro_rows import AvroReader
from ingest.readers.avro_schema import AvroSchema, avro_schema
from ingest.readers.registry import Registry
from ingest.readers.schema_rows import Decoded, Format


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
        self._schemas, self._known = dict[int, AvroSchema](), dict[str, Format | None]()

    def close(self) -> None:
        """Let go of what was opened."""
        self._avro.close()

    def of(self, table: Table) -> Format | None:
        """That of one table; None where it is written with no schema.

        Raises:
            UnsetError: a variable is not set.
            SourceError: its `schema_file` is not there, or no schema.
        """
        if table.name not in self._known:
            self._known[table.name] = self._opened(table)
        return self._known[table.name]

    def _opened(self, table: Table) -> Format | None:
        if table.ingest.format != "avro":
            return None
        if table.ingest.schema_file is not None:
            return Format(partial(self._plain, self._file(table)), only=0)
        address = str(resolve(self._source.ingest.registry, self._env, self._source.where))
        return Format(partial(self._registered, Registry(address, self._source.where)))

    def _plain(self, schema: AvroSchema, number: int, values: pa.Array) -> Decoded:
        return Decoded(schema.names, *self._avro.texts(schema, values))

    def _registered(self, registry: Registry, number: int, values: pa.Array) -> Decoded | None:
        if number not in self._schemas:
            known = registry.schema(number)
            if known is None or known.kind != "AVRO":
                return None
            try:
                schema = avro_schema(known.text, known.references.values())
            except ValueError:
                return None
            if not self._avro.can_read(schema):
                return None
            self._schemas[number] = schema
        return self._plain(self._schemas[number], number, values)

    def _file(self, table: Table) -> AvroSchema:
        path = Path(str(resolve(table.ingest.schema_file, self._env, table.where)))
        try:
            schema = avro_schema(path.read_text())
        except (OSError, ValueError) as error:
            raise SourceError(
                f"schema_file {str(path)!r} cannot be used: {error}", where=table.where
            ) from None
        if not self._avro.can_read(schema):
            raise SourceError(
                f"schema_file {str(path)!r} is a schema that DuckDB cannot read", where=table.where
            )
        return schema
