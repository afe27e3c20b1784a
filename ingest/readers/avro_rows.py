"""Datums of Avro as columns of text: DuckDB reads them all at once, as a file of Avro.

A file is made of them without a look into them, each in a block of its own and with a mark behind
it. So a datum that is cut off, or too long, cannot shift its neighbours, and is found out.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.readers.avro_schema import AvroSchema
from ingest.session import load_extension, open_session
from ingest.types import glob_free, literal

_FEW = 256  # datums: among so many the bad ones are looked for one after the other
_MARK = os.urandom(16)  # nobody can have written it into a message
_SYNC = os.urandom(16)
_MEMORY = "400MB"
_BAD_DATUM = (
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InternalException,
    duckdb.FatalException,
)


class AvroReader:
    """Reads datums in a session of its own: a bad one may be the end of it.

    Args:
        scratch: a folder for the file.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._session: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def can_read(self, schema: AvroSchema) -> bool:
        """Whether DuckDB takes the schema at all."""
        path = self._written(schema, pa.array([], pa.large_binary()))
        try:
            self._opened().execute(f"from read_avro({path})")
        except (*_BAD_DATUM, duckdb.BinderException, duckdb.NotImplementedException):
            self.close()
            return False
        return True

    def texts(self, schema: AvroSchema, datums: pa.Array) -> tuple[pa.Table, pa.Array]:
        """The fields of each datum that is one.

        Args:
            schema: the one that the datums were written with.
            datums: of large_binary, none of them null.

        Returns:
            A column of text for each field, in the schema's order, with a row for each good datum;
            and the places of these, in ascending order.
        """
        none = {f"m{nth}": pa.array([], pa.string()) for nth in range(len(schema.names))}
        parts, places = [pa.table(none)], [pa.array([], pa.int64())]
        for low, table, good in self._parts(schema, datums, 0, len(datums)):
            parts.append(table.filter(good))
            places.append(pc.add(pc.indices_nonzero(good).cast(pa.int64()), low))
        return pa.concat_tables(parts), pa.concat_arrays(places)

    def _parts(
        self, schema: AvroSchema, datums: pa.Array, low: int, high: int
    ) -> Iterator[tuple[int, pa.Table, pa.Array]]:
        """Stretches that can be read: where each begins, its rows, and which of them are good."""
        while low < high:
            read: tuple[pa.Table, pa.Array] | None = None
            try:
                read = self._read(schema, datums.slice(low, high - low))
            except _BAD_DATUM as error:
                if isinstance(error, duckdb.InternalException | duckdb.FatalException):
                    self.close()  # the session is of no more use
            if read is not None and len(read[1]) == high - low:
                yield low, *read
                return
            if high - low == 1:
                return
            if read is None or high - low > _FEW:
                middle = (low + high) // 2
                yield from self._parts(schema, datums, low, middle)
                low = middle
            else:  # it has ended at a bad one
                yield low, *read
                low += len(read[1]) + 1

    def _read(self, schema: AvroSchema, datums: pa.Array) -> tuple[pa.Table, pa.Array]:
        """The rows up to the first that cannot be read, and whether each has its mark."""
        path = self._written(schema, datums)
        texts = ", ".join(f"{text} as m{nth}" for nth, text in enumerate(schema.texts))
        mark = f"mark = unhex({literal(_MARK.hex())}) as is_good"
        table = (
            self._opened()
            .execute(f"select {texts}{', ' * bool(texts)}{mark} from read_avro({path})")
            .to_arrow_table()
        )
        good = table["is_good"].combine_chunks()
        return table.drop_columns(["is_good"]), good

    def _written(self, schema: AvroSchema, datums: pa.Array) -> str:
        """The file of the datums, as SQL."""
        path = self._scratch / "datums.avro"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(_header(schema))
            file.write(_blocks(datums))
        return literal(glob_free(path))

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._session is None:
            self._session = open_session(self._scratch, _MEMORY)
            load_extension(self._session, "avro")
            # a row is known by its place
            self._session.execute("set preserve_insertion_order = true")
        return self._session


def _header(schema: AvroSchema) -> bytes:
    """The beginning of a file of Avro, for datums of the schema with the mark behind each."""
    mark = {"name": "mark", "type": {"type": "fixed", "name": "mark", "size": len(_MARK)}}
    record = {"type": "record", "name": "datum", "fields": [*schema.fields, mark]}
    entries = {b"avro.schema": json.dumps(record).encode(), b"avro.codec": b"null"}
    parts = [b"Obj\x01", _number(len(entries))]
    for key, value in entries.items():
        parts += [_number(len(key)), key, _number(len(value)), value]
    return b"".join([*parts, _number(0), _SYNC])


def _blocks(datums: pa.Array) -> Any:
    """The blocks of a file of Avro, one for each datum: how many, how many bytes, these."""
    if not len(datums):
        return b""
    sizes = pc.binary_length(datums).dictionary_encode()
    heads = [_number(1) + _number(size + len(_MARK)) for size in sizes.dictionary.to_pylist()]
    before = pa.array(heads, pa.large_binary()).take(sizes.indices)
    behind, nothing = pa.scalar(_MARK + _SYNC, pa.large_binary()), pa.scalar(b"", pa.large_binary())
    blocks = pc.binary_join_element_wise(before, datums, behind, nothing)
    # they stand one behind the other already
    return blocks.buffers()[2]


def _number(value: int) -> bytes:
    """A natural number as Avro's long: zigzag, seven bits to a byte."""
    value, found = value << 1, bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
