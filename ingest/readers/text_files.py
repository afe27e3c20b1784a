"""CSV and JSON lines: every line is a row or is named as what could not be parsed.

DuckDB reads the file; its rows and rejected lines are counted against the lines of the file. Where
they do not come out even (an unclosed quote, bytes that are not UTF-8, line ends of several kinds),
or it gives up, the file is read again line by line, and each bad line stands for itself alone.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa

from ingest.declaration import Table
from ingest.errors import SourceError, too_large
from ingest.readers import line_by_line
from ingest.types import glob_free, literal, parquet, quote

_CHUNK = 1 << 20
_NO_TEXT = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PAR1": "Parquet",
    b"SQLite format 3": "SQLite",
}
_UNDERSTOOD = "('MISSING COLUMNS', 'TOO MANY COLUMNS')"


@dataclass(frozen=True)
class Text:
    """A file's text, unpacked: how many lines it has, and whether there are quotes among them."""

    path: Path
    lines: int
    has_quotes: bool


def unpacked(table: Table, path: Path, folder: Path) -> Text:
    """The text of a file, put below `folder` where it was compressed; read once, to its end.

    Raises:
        SourceError: the file is cut short, not packed as its name says, or goes beyond the table's
            `max_line_bytes` or, unpacked, `max_read_bytes`.
    """
    if path.suffix.lower() not in (".gz", ".zst"):
        with path.open("rb") as plain:
            return _measured(table, path, plain, None)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "text"
    try:
        with _opened(path) as packed, target.open("wb") as out:
            return _measured(table, target, packed, out)
    except SourceError:
        target.unlink()
        raise
    except (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException, OSError) as error:
        raise SourceError(f"{path.name} cannot be unpacked: {error}") from None


def csv_relation(
    con: duckdb.DuckDBPyConnection, table: Table, text: Text, folder: Path
) -> tuple[list[str], str, str]:
    """The rows and the rejects of a CSV file.

    Returns:
        its columns; SQL of the rows (these columns and "row:line"); SQL of (payload, line).

    Raises:
        SourceError: the header cannot be the table's.
    """
    columns, delimiter = line_by_line.header(table, text.path)
    fast = _fast_csv(con, text, columns, delimiter)
    if fast is None:
        rows, rejects = line_by_line.csv_rows(text.path, columns, delimiter, folder)
        fast = f"from {parquet([rows])}", _rejects_of(rejects)
    return columns, *fast


def json_lines(con: duckdb.DuckDBPyConnection, text: Text, folder: Path) -> tuple[str, str]:
    """SQL of a file's lines (line, n), blank ones left out, and of those that are not text."""
    con.execute("set preserve_insertion_order = true")
    try:
        # one column, no quotes: a line as it stands (a line that has \x01 is a reject)
        con.execute(
            "create or replace temp table file_lines as select line, row_number() over () as n "
            f"from read_csv({literal(glob_free(text.path))}, columns={{'line': 'VARCHAR'}}, "
            "delim='\x01', quote='', escape='', header=false, auto_detect=false, parallel=false)"
        )
        row = con.execute("select count(*) from file_lines").fetchone()
        if row and row[0] == text.lines:
            blank = "line is not null and trim(line) <> ''"
            return f"select line, n from file_lines where {blank}", _NO_REJECTS
    except duckdb.Error:
        pass
    finally:
        con.execute("set preserve_insertion_order = false")
    rows, rejects = line_by_line.lines(text.path, folder)
    return f"from {parquet([rows])}", _rejects_of(rejects)


_NO_REJECTS = "select null::varchar as payload, null::bigint as line where false"


def _rejects_of(path: Path) -> str:
    return f"select payload, line from {parquet([path])}"


def _fast_csv(
    con: duckdb.DuckDBPyConnection, text: Text, columns: list[str], delimiter: str
) -> tuple[str, str] | None:
    """The rows as DuckDB reads them, or None where they do not account for every line."""
    con.execute("drop table if exists reject_errors; drop table if exists reject_scans")
    con.execute("set preserve_insertion_order = true")
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in columns)
    try:
        con.execute(
            "create or replace temp table file_rows as select *, row_number() over () as "
            f'"row:number" from read_csv({literal(glob_free(text.path))}, columns={{{types}}}, '
            f"auto_detect=false, header=true, delim={literal(delimiter)}, quote='\"', "
            "escape='\"', store_rejects=true, parallel=false, strict_mode=true)"
        )
    except duckdb.Error:
        return None
    finally:
        con.execute("set preserve_insertion_order = false")
    breaks = " + ".join(
        f"coalesce(length({quote(c)}) - length(replace({quote(c)}, chr(10), '')), 0)"
        for c in columns
    )
    breaks = breaks if text.has_quotes else "0"
    rows, inside = _pair(con, f"select count(*), coalesce(sum({breaks}), 0) from file_rows")
    rejects, strange = _pair(
        con,
        "select count(distinct line), count(*) filter (error_type not in "
        f"{_UNDERSTOOD}) from reject_errors",
    )
    if 1 + rows + inside + rejects != text.lines or strange or (rejects and text.has_quotes):
        return None
    con.execute(
        "create or replace temp table torn as select line, csv_line, line - 1 - row_number() "
        "over (order by line) as before from (select line, min(csv_line) as csv_line "
        "from reject_errors group by line)"
    )
    # a row's line: its number, the header, and what stands before it
    line = '"row:number" + 1'
    if inside:
        line += f' + (sum({breaks}) over (order by "row:number") - ({breaks}))::bigint'
    elif rejects:
        line += ' + (select count(*) from torn where before < "row:number")'
    listed = ", ".join(map(quote, columns))
    return f'select {listed}, {line} as "row:line" from file_rows', (
        "select csv_line as payload, line from torn"
    )


def _pair(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, int]:
    row = con.execute(sql).fetchone() or (0, 0)
    return int(row[0]), int(row[1])


def _opened(path: Path) -> Any:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")
    return pa.input_stream(str(path), compression="zstd")


def _measured(table: Table, path: Path, source: Any, copy: IO[bytes] | None) -> Text:
    lines, has_quotes, last, size = 0, False, b"\n", 0
    begun = 0  # bytes of the line that goes on in the next chunk
    # a line longer than the limit then goes through the end of a chunk, where it is seen
    while chunk := source.read(min(_CHUNK, table.ingest.max_line_bytes)):
        if not size:
            _check_text(chunk)
        breaks = chunk.count(b"\n")
        longest = begun + (chunk.find(b"\n") if breaks else len(chunk))
        begun = len(chunk) - chunk.rfind(b"\n") - 1 if breaks else longest
        if longest > table.ingest.max_line_bytes:
            raise too_large(f"line {lines + 1}", "max_line_bytes", table.ingest.max_line_bytes)
        lines += breaks
        has_quotes = has_quotes or b'"' in chunk
        last = chunk[-1:]
        size += len(chunk)
        if copy is not None:
            if size > table.ingest.max_read_bytes:
                raise too_large("its text", "max_read_bytes", table.ingest.max_read_bytes)
            copy.write(chunk)
    return Text(path, lines + (last != b"\n"), has_quotes)


def _check_text(begins: bytes) -> None:
    """Each line of a packed file would be a dead letter that nobody can read."""
    for sign, what in _NO_TEXT.items():
        if begins.startswith(sign):
            raise SourceError(f"it is no text but a {what} file, which its name does not say")
