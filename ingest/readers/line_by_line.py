"""Text files line by line: slower than DuckDB, for files with lines that it cannot account for.

A line that cannot be read stands for itself alone: an unclosed quote takes no other line with it.
"""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.declaration import Table
from ingest.errors import SourceError

_PIECE = 50_000  # rows written at a time,
_PIECE_BYTES = 32 << 20  # or so many bytes of them, about
_RECORD_LINES = 200  # a quoted value of more lines than this is taken for an unclosed quote,
_RECORD_BYTES = 32 << 20  # also one of several lines and more bytes
_LONGEST = 1 << 30  # bytes of one field

Numbered = tuple[int, bytes]
Written = tuple[Path, Path]
Split = tuple[int, list[str | None] | str]  # the line's number, and its fields or the bad line


def header(table: Table, path: Path) -> tuple[list[str], str]:
    """The columns of a CSV file and the sign between them: the one that finds the table's columns.

    Raises:
        SourceError: the header is not text, names a column twice, or has none of the table's.
    """
    with path.open("rb") as file:
        first = next(iter(_lines_of(file)), (1, b""))[1]
    try:
        text = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SourceError("its header is not UTF-8 text") from None
    declared = {column.name for column in table.columns}
    found: tuple[int, list[str], str] = (0, [], ",")
    csv.field_size_limit(_LONGEST)
    for delimiter in ",;\t|":
        try:
            names = next(csv.reader([text], delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        known = len({name.strip().lower() for name in names} & declared)
        if known > found[0] or (not declared and len(names) > len(found[1])):
            found = (known, names, delimiter)
    _, names, delimiter = found
    if not names:
        raise SourceError(f"its header has none of the table's columns: {text[:200]!r}")
    if twice := {name for name in names if name.strip() and names.count(name) > 1}:
        raise SourceError(f"its header names {', '.join(sorted(twice))} twice")
    return [name if name.strip() else f"column_{i}" for i, name in enumerate(names)], delimiter


def csv_rows(path: Path, columns: list[str], delimiter: str, folder: Path) -> Written:
    """Parquet of the rows (columns, "row:line") and of the rejects (payload, line).

    A value that is empty is null, as DuckDB reads it.
    """

    def split(file: Iterable[bytes]) -> Iterator[Split]:
        waiting = _lines_of(file)
        next(waiting, None)  # the header
        while (line := next(waiting, None)) is not None:
            ahead: list[Numbered] = []
            fields = _record(line, waiting, ahead, delimiter, len(columns))
            if fields is None:
                yield line[0], _shown(line[1])
                waiting = chain(ahead, waiting)
            elif fields:
                yield line[0], [field or None for field in fields]

    schema = pa.schema([*((name, pa.string()) for name in columns), ("row:line", pa.int64())])
    with path.open("rb") as file:
        return _written(split(file), schema, folder)


def lines(path: Path, folder: Path) -> Written:
    """Parquet of the lines that are text (line, n), and of the others (payload, line)."""

    def split(file: Iterable[bytes]) -> Iterator[Split]:
        for number, data in _lines_of(file):
            try:
                text = data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                yield number, _shown(data)
                continue
            if text:
                yield number, [text]

    with path.open("rb") as file:
        return _written(split(file), pa.schema([("line", pa.string()), ("n", pa.int64())]), folder)


def _record(
    first: Numbered, waiting: Iterator[Numbered], ahead: list[Numbered], delimiter: str, width: int
) -> list[str] | None:
    """The fields of the record that begins here; none for a blank line, None for a bad one.

    Args:
        first: the record's first line.
        waiting: the lines after it; a quoted value may go on there.
        ahead: takes the lines that were drawn from `waiting`.
        delimiter: the sign between fields.
        width: how many fields there must be.
    """
    taken, size = [first[1]], len(first[1])
    while True:
        try:
            text = b"\n".join(taken).decode().removesuffix("\r")
            if not text and width > 1:
                return []
            fields = next(csv.reader([text], delimiter=delimiter, strict=True), [""])
            return fields if len(fields) == width else None
        except UnicodeDecodeError:
            return None
        except csv.Error as error:
            is_open = "unexpected end" in str(error)
            goes_on = is_open and len(taken) < _RECORD_LINES and size < _RECORD_BYTES
            more = next(waiting, None) if goes_on else None
            if more is None:
                return None
            ahead.append(more)
            taken.append(more[1])
            size += len(more[1])


def _lines_of(file: Iterable[bytes]) -> Iterator[Numbered]:
    """Numbered lines without their ends; of a file that knows no line feed, by carriage returns."""
    number = 0
    for line in file:
        bare = line.removesuffix(b"\n")
        pieces = [bare]
        if not number and b"\r" in bare.removesuffix(b"\r") and b'"' not in bare:
            pieces = bare.removesuffix(b"\r").split(b"\r")
        for piece in pieces:
            number += 1
            yield number, piece


def _written(split: Iterator[Split], schema: pa.Schema, folder: Path) -> Written:
    folder.mkdir(parents=True, exist_ok=True)
    rows, rejects = folder / "lines.parquet", folder / "rejects.parquet"
    bad = pa.schema([("payload", pa.string()), ("line", pa.int64())])
    with pq.ParquetWriter(rows, schema) as good_out, pq.ParquetWriter(rejects, bad) as bad_out:
        while piece := _piece(split):
            good = [[*what, line] for line, what in piece if isinstance(what, list)]
            torn = [[what, line] for line, what in piece if isinstance(what, str)]
            good_out.write_table(_table(good, schema))
            bad_out.write_table(_table(torn, bad))
    return rows, rejects


def _piece(split: Iterator[Split]) -> list[Split]:
    """The next rows and rejects that are held in memory together."""
    piece, size = [], 0
    for each in islice(split, _PIECE):
        piece.append(each)
        _, what = each
        size += len(what) if isinstance(what, str) else sum(len(field or "") for field in what)
        if size > _PIECE_BYTES:
            break
    return piece


def _table(rows: list[list[Any]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").removesuffix("\r")
