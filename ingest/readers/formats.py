"""How the values of a topic's messages are read, by the declaration's `format`."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from ingest.declaration import Source, Table
from ingest.errors import SourceError
from ingest.readers import Environment, resolve
from ingest.readers.avro_rows import AvroReader
from ingest.readers.avro_schema import avro_schema
from ingest.readers.protobuf_rows import ProtobufSchema
from ingest.readers.registry import Registry
from ingest.readers.schema_rows import Decoded, Format

_Read = Callable[[pa.Array], Decoded | None]
"""Reads values of one schema."""


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
        self._readers, self._known = dict[tuple[str, int], _Read](), dict[str, Format | None]()

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
            read = self._file(table, kind)
            return Format(lambda _, values: read(values), only=0)
        address = str(resolve(self._source.ingest.registry, self._env, self._source.where))
        return Format(partial(self._registered, Registry(address, self._source.where), kind))

    def _registered(
        self, registry: Registry, kind: str, number: int, values: pa.Array
    ) -> Decoded | None:
        if (kind, number) not in self._readers:
            known = registry.schema(number)
            if known is None or known.kind != kind:
                return None
            try:
                read = self._reader(kind, known.text, known.references, indexed=True)
            except ValueError:
                read = _no_rows
            self._readers[kind, number] = read
        return self._readers[kind, number](values)

    def _reader(
        self, kind: str, text: str, references: Mapping[str, str], *, indexed: bool
    ) -> _Read:
        """What reads the values of a schema; for `indexed` see `ProtobufSchema.texts`.

        Raises:
            ValueError: it is none, or none that can be read.
        """
        if kind == "PROTOBUF":
            return partial(ProtobufSchema(text, references).texts, indexed=indexed)
        schema = avro_schema(text, references.values())
        if not self._avro.can_read(schema):
            raise ValueError("DuckDB cannot read such a schema")
        return lambda values: Decoded(schema.names, *self._avro.texts(schema, values))

    def _file(self, table: Table, kind: str) -> _Read:
        path = Path(str(resolve(table.ingest.schema_file, self._env, table.where)))
        try:
            return self._reader(kind, path.read_text(), {}, indexed=False)
        except (OSError, ValueError) as error:
            raise SourceError(
                f"schema_file {str(path)!r} cannot be used: {error}", where=table.where
            ) from None


def _no_rows(values: pa.Array) -> None:
    """What reads the values of a schema that nobody can read."""
