"""Messages of Protobuf as columns of text, each read by Google's own parser.

The loop over them is Python's, for no library that reads many at once bears what anybody may write
into a topic; see `DECISIONS.md`.
"""

import json
import signal
import struct
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.readers.schema_rows import Decoded

_COMPILING = 60.0  # seconds
_FILE = "millrace_schema.proto"  # no other file has this name
_INDEXES = 16  # at most so many say which of a file's messages it is
_Row = tuple[str | None, ...]


class ProtobufSchema:
    """The messages of one `.proto`.

    Args:
        text: of the file.
        references: name to text of the files that it imports, in turn.

    Raises:
        ValueError: it is none; the compiler's own word.
    """

    def __init__(self, text: str, references: Mapping[str, str] | None = None) -> None:
        from google.protobuf import descriptor_pool

        pool = descriptor_pool.DescriptorPool()
        files = _compiled(text, references or {}).file  # each behind those that it imports
        try:
            for file in files:
                pool.Add(file)
            there = pool.FindFileByName(_FILE).message_types_by_name
        except (KeyError, TypeError) as error:
            raise ValueError(f"it cannot be used: {error}") from None
        self._top = [there[message.name] for message in files[-1].message_type]
        if not self._top:
            raise ValueError("it has no message")
        self._messages = dict[tuple[int, ...], _Message]()

    def texts(self, values: pa.Array, *, indexed: bool) -> Decoded:
        """The fields of each message that is one.

        Args:
            values: of large_binary, none of them null.
            indexed: before each message stands which of the file's it is, as Confluent's
                serializers write it; else it is the first.
        """
        places = defaultdict[_Message, list[int]](list)
        rows = defaultdict[_Message, list[_Row]](list)
        for place, value in enumerate(values.to_pylist()):
            path, begin = _path(value) if indexed else ((0,), 0)
            message = self._message(path)
            row = message.row(value[begin:]) if message else None
            if message and row is not None:
                places[message].append(place)
                rows[message].append(row)
        return _united(places, rows)

    def _message(self, path: tuple[int, ...]) -> "_Message | None":
        """The message at a place: its number in the file, its number in that message, and so on."""
        if path in self._messages:
            return self._messages[path]
        among, found = self._top, None
        for nth in path:
            found = among[nth] if 0 <= nth < len(among) else None
            among = list(found.nested_types) if found else []
        if found is None:
            return None  # nor kept: anybody may write any path
        return self._messages.setdefault(path, _Message(found))


class _Message:
    """How the messages of one type are read."""

    def __init__(self, descriptor: Any) -> None:
        from google.protobuf import json_format, message, message_factory

        self._make = message_factory.GetMessageClass(descriptor)
        self._wrong = (message.DecodeError, json_format.Error, ValueError, TypeError)
        self._told = json_format.MessageToDict
        self._fields = [
            (field.name, _scalar(field), field.has_presence, _is_map(field))
            for field in descriptor.fields
        ]
        self._is_flat = all(scalar for _, scalar, *_ in self._fields)
        self.names = [name for name, *_ in self._fields]

    def row(self, data: bytes) -> _Row | None:
        """The fields' texts; None where the bytes are no such message."""
        made = self._make()
        try:
            made.ParseFromString(data)
            # what has a shape of its own is written as Protobuf writes it as JSON
            told = {} if self._is_flat else self._told(made, preserving_proto_field_name=True)
        except self._wrong:
            return None
        return tuple(
            None if may_lack and not made.HasField(name)
            else scalar(getattr(made, name)) if scalar
            else _shaped(told.get(name, {} if is_map else []))
            for name, scalar, may_lack, is_map in self._fields
        )  # fmt: skip


def _shaped(value: Any) -> str:
    """A time, a duration or a wrapped text as such; anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _scalar(field: Any) -> Callable[[Any], str] | None:
    """How a field's value is written; None where it has a shape of its own."""
    if field.is_repeated or field.message_type is not None:
        return None
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda value: names.get(value, str(value))
    return {
        field.TYPE_BYTES: _bytes,
        field.TYPE_BOOL: lambda value: "true" if value else "false",
        field.TYPE_FLOAT: _float,
    }.get(field.type, str)


def _bytes(value: bytes) -> str:
    """As DuckDB writes them, and reads them."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"\"'\\" else f"\\x{byte:02X}"
        for byte in value
    )


def _float(value: float) -> str:
    """0.1 of four bytes is 0.1, not 0.10000000149."""
    for digits in range(6, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", value):
            return text
    return str(value)


def _path(value: bytes) -> tuple[tuple[int, ...], int]:
    """Which of a file's messages it is, and where it begins; no message has an empty path."""
    count, begin = _varint(value, 0)
    if count == 0:
        return (0,), begin
    path = list[int]()
    while begin and len(path) < min(count, _INDEXES):
        number, begin = _varint(value, begin)
        path.append(number)
    return (tuple(path), begin) if begin and len(path) == count else ((), 0)


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """A number in zigzag, and where what is behind it begins; 0 where it is cut off."""
    found = 0
    for nth, byte in enumerate(value[at : at + 5]):
        found |= (byte & 127) << 7 * nth
        if byte < 128:
            return (found >> 1) ^ -(found & 1), at + nth + 1
    return -1, 0


def _united(places: Mapping[_Message, list[int]], rows: Mapping[_Message, list[_Row]]) -> Decoded:
    """The rows of all messages, in the order of their places."""
    names = list(dict.fromkeys(name for message in rows for name in message.names))
    number = {name: f"m{nth}" for nth, name in enumerate(names)}
    fields = [pa.field("place", pa.int64()), *(pa.field(n, pa.string()) for n in number.values())]
    tables = [pa.schema(fields).empty_table()]
    for message, made in rows.items():
        columns = {"place": pa.array(places[message], pa.int64())}
        for name, column in zip(message.names, zip(*made, strict=True), strict=True):
            columns[number[name]] = pa.array(column, pa.string())
        tables.append(pa.table(columns))
    table = pa.concat_tables(tables, promote_options="default").sort_by("place")
    found = table["place"].combine_chunks()
    return Decoded(tuple(names), table.drop_columns(["place"]), found)


def _compiled(text: str, references: Mapping[str, str]) -> Any:
    """The files' descriptors, in a set; imports of Google's own are known.

    Raises:
        ValueError: the compiler refuses.
        ChildProcessError, TimeoutExpired: it could not try.
    """
    from google.protobuf import descriptor_pb2

    with tempfile.TemporaryDirectory(prefix="millrace-proto-") as at:
        folder = Path(at)
        for name, source in {**references, _FILE: text}.items():
            path = folder / "in" / name
            if not path.resolve().is_relative_to((folder / "in").resolve()):
                raise ValueError(f"it imports {name!r}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        out = folder / "set"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder / 'in'}"]
        command += ["--include_imports", f"--descriptor_set_out={out}", _FILE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILING)
        if done.returncode == -signal.SIGKILL:
            raise ChildProcessError("the compiler of Protobuf was killed")
        if done.returncode:
            told = done.stderr.strip().splitlines() or ["the compiler ended"]
            raise ValueError(told[0])
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
