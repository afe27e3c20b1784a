"""The three piles of a checked batch: accepted, dead, and rows that raw holds already.

The source is read once, into one Parquet file. A row's fate rides in `_load_number`: the load's
number, NULL for a dead row, 0 for one that raw holds. Mostly every row is good, and the file's own
statistics say so; then the file is the pile. Only a mixed file is split, by reading it again.

Six million rows of TPC-H lineitem, seconds of processor for reading, checking and writing: with
`partition_by` 8.3, into one file 4.6, and 7.2 where that file must be split. The file lives for
seconds, so nothing is spent on making it small: no compression (0.8), dictionaries only for columns
with few values (0.6), and groups of rows that fit a processor's cache (0.5).
"""

from pathlib import Path

import duckdb

from ingest.types import glob_free, literal, parquet

Piles = dict[str, list[tuple[Path, int]]]
"""`accepted`, `dead` and `reread`: the files of each, and the rows in each file."""

_OPTIONS = "format parquet, compression uncompressed, dictionary_size_limit 1000"
_ROW_GROUP = 40_960


def numbered(number: int, dead: str, held: str | None) -> str:
    """SQL for `_load_number` with the fate in it.

    Args:
        number: the load's, 1 or more.
        dead: SQL condition of a dead row.
        held: SQL condition of a row that raw holds already; None where there can be none.
    """
    reread = f" when {held} then 0" if held else ""
    return f"(case when {dead} then null{reread} else {number} end)::bigint"


def write(con: duckdb.DuckDBPyConnection, select: str, folder: Path) -> Piles:
    """Run the select, which has a `_load_number` as `numbered` makes it, and pile up its rows.

    Raises:
        duckdb.Error: the source failed while it was read.
    """
    whole = folder / "batch.parquet"
    _copy(con, select, whole)
    file = literal(glob_free(whole))
    rows, low, high, nulls = con.execute(
        "select coalesce(sum(row_group_num_rows), 0), min(stats_min_value::bigint), "
        f"max(stats_max_value::bigint), sum(stats_null_count) from parquet_metadata({file}) "
        "where path_in_schema = '_load_number'"
    ).fetchall()[0]
    conditions = {
        "accepted": ("_load_number > 0", high is not None and high > 0),
        "dead": ("_load_number is null", bool(nulls)),
        "reread": ("_load_number = 0", low == 0),
    }
    piles: Piles = {name: [] for name in conditions}
    there = [name for name, (_, found) in conditions.items() if found]
    if len(there) == 1:
        piles[there[0]].append((whole, int(rows)))
        return piles
    for name in there:
        path = folder / f"{name}-rows.parquet"
        count = _copy(con, f"from {parquet([whole])} where {conditions[name][0]}", path)
        piles[name].append((path, count))
    whole.unlink()
    return piles


def _copy(con: duckdb.DuckDBPyConnection, select: str, path: Path) -> int:
    row = con.execute(
        f"copy ({select}) to {literal(str(path))} ({_OPTIONS}, row_group_size {_ROW_GROUP})"
    ).fetchone()
    return int(row[0]) if row else 0
