"""Files, in a folder or in an object store: Parquet, CSV and JSON lines, compressed or not.

A file is taken once. It is known by path and size (and, for a quick answer, its time of change) or
by its content's SHA-256: the same content under another name is recognised and not read again, a
file that changed under its name is read as a new one. A file that cannot be read stops only itself:
the others are loaded, it is named at the end, and tried again by the next run.
"""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from ingest.declaration import Format, Source, Table
from ingest.errors import IngestError, SourceError
from ingest.readers import (
    UNPARSABLE,
    Batch,
    Environment,
    FileSeen,
    Reader,
    Seen,
    TableState,
    described,
    raw_names,
    renamed,
    resolve,
)
from ingest.readers.json_rows import json_relation
from ingest.readers.places import Place, open_place
from ingest.readers.text_files import csv_relation, json_lines, unpacked
from ingest.types import glob_free, literal, quote

_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_COMPRESSED = (".gz", ".zst")
_PARQUET_BYTES = 64 * 1024 * 1024  # of Parquet in one batch, about 15 M rows of the sample's files
_EMPTY = hashlib.sha256(b"").hexdigest()
_FILE = "file:name"  # what the column of file names is called, that no column of a file is


@dataclass
class _Taking:
    """The taking of one table's files: whose contents are known, and which cannot be read."""

    table: Table
    contents: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """The reader over the source's folder or bucket.

    Raises:
        SourceError: there is no such place.
    """
    path = str(resolve(source.ingest.path, env, source.where))
    yield FilesReader(con, open_place(path, scratch, source.where), scratch / "text", seen)


class FilesReader:
    """Reads the files of one place that no finished load has taken."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, place: Place, scratch: Path, seen: Seen
    ) -> None:
        self._con, self._place, self._scratch, self._seen = con, place, scratch, seen
        self._paths: dict[str, Path] = {}

    def batches(self, table: Table, state: TableState) -> Generator[Batch, None, None]:
        """New files: Parquet several at a time, others one by one.

        Raises:
            SourceError: at the end, when a file could not be read; it is tried again next time.
        """
        taking = _Taking(table)
        bundle: list[FileSeen] = []
        shape: list[Any] | None = None
        known = list(self._seen(table))
        # only what was read itself can be repeated: a file that is torn may be so by chance
        taking.contents = {_content(f): f.path for f in known if f.repeats is None}
        for file in self._new_files(taking, known):
            if bundle and _content(file) in map(_content, bundle):
                yield from self._tried(taking, bundle, "parquet")
                bundle = []
            file = replace(file, repeats=taking.contents.get(_content(file)))
            try:
                kind = self._format(table, file.path)
            except SourceError as error:
                taking.broken[file.path] = error.message
                continue
            if file.repeats is not None or kind != "parquet":
                yield from self._tried(taking, [file], kind)
                continue
            # only files of one shape: a double beside a bigint would make doubles of both
            before, shape = shape, self._shape(file)
            if bundle and shape != before:
                yield from self._tried(taking, bundle, kind)
                bundle = []
            bundle.append(file)
            if sum(f.size for f in bundle) >= _PARQUET_BYTES:
                yield from self._tried(taking, bundle, kind)
                bundle = []
        if bundle:
            yield from self._tried(taking, bundle, "parquet")
        if taking.broken:
            raise SourceError(
                f"{len(taking.broken)} file(s) of {table.label} cannot be read: "
                + "; ".join(f"{name}: {why}" for name, why in taking.broken.items()),
                where=table.where,
                mend="have it sent again, or raise the limit that is named; "
                "it is read when it is whole",
            )

    def _tried(
        self, taking: "_Taking", files: list[FileSeen], kind: Format
    ) -> Generator[Batch, None, None]:
        """The files in one batch; when that fails, here or in the check, each by itself."""
        try:
            batch = self._batch(taking.table, files, kind)
            yield replace(batch, confirm=lambda: self._place.confirm(files))
            taking.contents |= {_content(f): f.path for f in files if f.repeats is None}
        except (duckdb.Error, IngestError) as error:
            if len(files) > 1:
                for file in files:
                    yield from self._tried(taking, [file], kind)
                return
            taking.broken[files[0].path] = _first_line(error)

    def _batch(self, table: Table, files: list[FileSeen], kind: Format) -> Batch:
        contents = " ".join(file.hash for file in files)
        return replace(self._rows(table, files, kind), origin=literal(contents), joins=True)

    def _rows(self, table: Table, files: list[FileSeen], kind: Format) -> Batch:
        (first, *_) = files
        if kind == "parquet" and first.repeats is None:
            return self._parquet(table, files)
        if first.repeats is not None or first.hash == _EMPTY:
            shape = {c.name: "VARCHAR" for c in table.columns}
            nothing = ", ".join([*(f"null::varchar as {quote(name)}" for name in shape), "''"])
            return Batch(f"select {nothing} as _source where false", shape, files=(first,))
        return self._csv(table, first) if kind == "csv" else self._jsonl(table, first)

    def _new_files(self, taking: "_Taking", known: list[FileSeen]) -> Iterator[FileSeen]:
        quick = {(f.path, f.size, f.modified_ns) for f in known}
        places = {(f.path, f.hash) for f in known}
        for found in self._place.list(str(taking.table.ingest.files)):
            if (found.name, found.size, found.modified_ns) in quick:
                continue
            try:
                self._paths[found.name], digest = self._place.fetch(found)
            except (OSError, SourceError) as error:
                taking.broken[found.name] = _first_line(error)
                continue
            if (found.name, digest) not in places:
                yield FileSeen(found.name, found.size, found.modified_ns, digest)

    def _parquet(self, table: Table, files: list[FileSeen]) -> Batch:
        paths = ", ".join(literal(glob_free(self._paths[file.path])) for file in files)
        hive = any("=" in part for file in files for part in PurePosixPath(file.path).parts[:-1])
        scan = (
            f"read_parquet([{paths}], filename={literal(_FILE)}, "
            f"file_row_number=true, hive_partitioning={str(hive).lower()}, "
            "hive_types_autocast=false)"
        )
        columns = self._con.execute(f"describe from {scan}").fetchall()
        own = [row[0] for row in columns if row[0] not in (_FILE, "file_row_number")]
        names = raw_names(table, own)
        cut = len(str(self._place.base)) + 2
        origin = f"substr({quote(_FILE)}, {cut}) || ':' || (file_row_number + 1)"
        relation = f"select {renamed(names)}, {origin} as _source from {scan}"
        return Batch(relation, described(self._con, relation), files=tuple(files))

    def _shape(self, file: FileSeen) -> list[Any] | None:
        """The columns of a Parquet file with their types; None where its footer cannot be read."""
        path = literal(glob_free(self._paths[file.path]))
        try:
            return self._con.execute(
                "select name, type, converted_type, logical_type, num_children, scale, precision "
                f"from parquet_schema({path})"
            ).fetchall()
        except duckdb.Error:
            return None

    def _csv(self, table: Table, file: FileSeen) -> Batch:
        text = unpacked(table, self._paths[file.path], self._scratch)
        columns, rows, rejects = csv_relation(self._con, table, text, self._scratch)
        name = literal(file.path)
        relation = (
            f"select {renamed(raw_names(table, columns))}, {name} || ':' || \"row:line\" "
            f"as _source from ({rows})"
        )
        unparsable = (
            f"select payload, {UNPARSABLE}, {name} || ':' || line as _source from ({rejects})"
        )
        return Batch(relation, described(self._con, relation), files=(file,), unparsable=unparsable)

    def _jsonl(self, table: Table, file: FileSeen) -> Batch:
        text = unpacked(table, self._paths[file.path], self._scratch)
        lines, rejects = json_lines(self._con, text, self._scratch)
        name = literal(file.path)
        relation, unparsable = json_relation(
            self._con, table, f"select line, {name} || ':' || n as _source from ({lines})"
        )
        unparsable += (
            f" union all select payload, {UNPARSABLE}, {name} || ':' || line from ({rejects})"
        )
        return Batch(relation, described(self._con, relation), files=(file,), unparsable=unparsable)

    def _format(self, table: Table, name: str) -> Format:
        if table.ingest.format:
            return table.ingest.format
        suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
        suffix = next((s for s in reversed(suffixes) if s not in _COMPRESSED), "")
        if suffix not in _FORMATS:
            raise SourceError(
                "its format is not known by its name; say format: parquet, csv or jsonl under "
                "meta.ingest"
            )
        return _FORMATS[suffix]


def _content(file: FileSeen) -> str:
    """What a file says: its content, and the values in the names of its folders (`day=…/`)."""
    folders = PurePosixPath(file.path).parts[:-1]
    return "/".join([file.hash, *(folder for folder in folders if "=" in folder)])


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    text = error.message if isinstance(error, IngestError) else str(error)
    return text.splitlines()[0]
