"""Files, local or in an object store: Parquet, CSV and JSON lines, compressed or not.

A file is taken once. It is known by path and size (and, for a quick answer, its time of change) or
by its content's SHA-256: the same content under another name is recognised and not read again, a
file that changed under its name is read as a new one.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ingest.declaration import FileFormat, Source, Table
from ingest.errors import SourceError
from ingest.readers import (
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
from ingest.types import literal, quote

_FORMATS: dict[str, FileFormat] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_COMPRESSED = (".gz", ".zst")
_PARQUET_BYTES = 64 * 1024 * 1024  # of Parquet in one batch, about 15 M rows of the sample's files


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """The reader over the source's folder.

    Raises:
        SourceError: there is no such folder.
    """
    root = Path(resolve(source.ingest.path, env, source.where))
    if not root.is_dir():
        raise SourceError(f"there is no folder {root}", where=source.where)
    yield FilesReader(con, root, seen)


class FilesReader:
    """Reads the files of one folder that no finished load has taken."""

    def __init__(self, con: duckdb.DuckDBPyConnection, root: Path, seen: Seen) -> None:
        self._con, self._root, self._seen = con, root, seen

    def batches(self, table: Table, state: TableState) -> Iterator[Batch]:
        """New files: Parquet several at a time, others one by one. A torn file stops only itself.

        Raises:
            SourceError: at the end, when a file could not be read; it is tried again next time.
        """
        broken: list[str] = []
        bundle: list[FileSeen] = []
        for file in self._new_files(table):
            if file.repeats is None and self._format(table, file.path) == "parquet":
                bundle.append(file)
                if sum(f.size for f in bundle) >= _PARQUET_BYTES:
                    yield from self._parquet(table, bundle, broken)
                    bundle = []
                continue
            try:
                batch = self._one(table, file)
            except duckdb.Error as error:
                broken.append(f"{file.path}: {str(error).splitlines()[0]}")
                continue
            yield batch
        if bundle:
            yield from self._parquet(table, bundle, broken)
        if broken:
            raise SourceError(
                f"{len(broken)} file(s) of {table.label} cannot be read: " + "; ".join(broken),
                where=table.where,
                mend="have the file sent again; it is read when it is whole",
            )

    def _new_files(self, table: Table) -> Iterator[FileSeen]:
        known = list(self._seen(table))
        quick = {(f.path, f.size, f.modified_ns) for f in known}
        contents = {f.hash: f.path for f in known}
        places = {(f.path, f.hash) for f in known}
        inside = self._root.resolve()
        for path in sorted(self._root.glob(str(table.ingest.files))):
            name = str(path.relative_to(self._root))
            # a link that leads out of the declared folder is not a file of it
            if not path.is_file() or not path.resolve().is_relative_to(inside):
                continue
            stat = path.stat()
            if (name, stat.st_size, stat.st_mtime_ns) in quick:
                continue
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            if (name, digest) in places:
                continue
            file = FileSeen(name, stat.st_size, stat.st_mtime_ns, digest, contents.get(digest))
            contents.setdefault(digest, name)
            yield file

    def _one(self, table: Table, file: FileSeen) -> Batch:
        if file.repeats is not None or file.size == 0:
            shape = {c.name: "VARCHAR" for c in table.columns}
            nothing = ", ".join(f"null::varchar as {quote(name)}" for name in shape)
            return Batch(f"select {nothing}, '' as _source where false", shape, files=(file,))
        if self._format(table, file.path) == "csv":
            return self._csv(table, file)
        return self._jsonl(table, file)

    def _parquet(self, table: Table, files: list[FileSeen], broken: list[str]) -> Iterator[Batch]:
        """All the files in one batch; when that fails, one by one, to find the torn ones."""
        try:
            batch = self._parquet_batch(table, files)
        except duckdb.Error as error:
            if len(files) == 1:
                broken.append(f"{files[0].path}: {str(error).splitlines()[0]}")
                return
            for file in files:
                yield from self._parquet(table, [file], broken)
            return
        yield batch

    def _parquet_batch(self, table: Table, files: list[FileSeen]) -> Batch:
        paths = ", ".join(literal(str(self._root / file.path)) for file in files)
        scan = f"read_parquet([{paths}], union_by_name=true, filename=true, file_row_number=true)"
        for file in files:  # a file cut short is found by its footer, before the batch is begun
            self._con.execute(
                f"select count(*) from parquet_metadata({literal(str(self._root / file.path))})"
            )
        columns = self._con.execute(f"describe from {scan}").fetchall()
        own = [row[0] for row in columns if row[0] not in ("filename", "file_row_number")]
        names = raw_names(table, own)
        cut = len(str(self._root)) + 2
        origin = f"substr(filename, {cut}) || ':' || (file_row_number + 1)"
        relation = f"select {renamed(names)}, {origin} as _source from {scan}"
        return Batch(relation, described(self._con, relation), files=tuple(files))

    def _csv(self, table: Table, file: FileSeen) -> Batch:
        path = literal(str(self._root / file.path))
        self._con.execute("drop table if exists reject_errors; drop table if exists reject_scans")
        self._con.execute("set preserve_insertion_order = true")
        try:
            self._con.execute(
                "create or replace temp table file_rows as select *, row_number() over () as "
                f'"row:number" from read_csv({path}, all_varchar=true, header=true, '
                "store_rejects=true, parallel=false, strict_mode=true)"
            )
        finally:
            self._con.execute("set preserve_insertion_order = false")
        self._con.execute(
            "create or replace temp table torn as select line, csv_line, line - 1 - row_number() "
            "over (order by line) as before from (select line, min(csv_line) as csv_line "
            "from reject_errors group by line)"
        )
        columns = [c for c in self._columns("file_rows") if c != "row:number"]
        names = raw_names(table, columns)
        name = literal(file.path)
        # a row's line: its number, the header, and the torn lines that stand before it
        line = '"row:number" + 1 + (select count(*) from torn where before < "row:number")'
        relation = f"select {renamed(names)}, {name} || ':' || ({line}) as _source from file_rows"
        unparsable = f"select csv_line as payload, {name} || ':' || line as _source from torn"
        return Batch(relation, described(self._con, relation), files=(file,), unparsable=unparsable)

    def _jsonl(self, table: Table, file: FileSeen) -> Batch:
        path = literal(str(self._root / file.path))
        self._con.execute("set preserve_insertion_order = true")
        try:
            # one column, no quotes: a line as it stands (\x01 does not occur in text)
            self._con.execute(
                "create or replace temp table file_lines as select line, row_number() over () as n "
                f"from read_csv({path}, columns={{'line': 'VARCHAR'}}, delim='\x01', quote='', "
                "escape='', header=false, auto_detect=false, parallel=false, null_padding=true)"
            )
        finally:
            self._con.execute("set preserve_insertion_order = false")
        name = literal(file.path)
        good = "json_valid(line) and json_type(line) = 'OBJECT'"
        rows = (
            f"select line::json as item, {name} || ':' || n as _source from file_lines where {good}"
        )
        relation = json_relation(self._con, table, rows)
        unparsable = (
            f"select line as payload, {name} || ':' || n as _source from file_lines "
            f"where line is not null and not coalesce({good}, false)"
        )
        return Batch(relation, described(self._con, relation), files=(file,), unparsable=unparsable)

    def _columns(self, table: str) -> list[str]:
        return [row[0] for row in self._con.execute(f"describe {table}").fetchall()]

    def _format(self, table: Table, name: str) -> FileFormat:
        if table.ingest.format:
            return table.ingest.format
        suffix = next((s for s in reversed(Path(name).suffixes) if s not in _COMPRESSED), "")
        if suffix not in _FORMATS:
            raise SourceError(
                f"the format of {name} is not known by its name",
                where=table.where,
                mend="say format: parquet, csv or jsonl under meta.ingest",
            )
        return _FORMATS[suffix]
