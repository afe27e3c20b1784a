"""The checksum of a load's rows: the book keeps it, and raw must hold rows that come to the same.

It is the sum of the rows' hashes, so the order of the rows does not matter, and a row that is
missing, doubled or changed in any value changes it. A null adds nothing: a column that a later load
brings into raw leaves the checksums of the loads before it as they are. `macros/row_hash.sql` says
the same in dbt.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path

import duckdb

from ingest.types import literal, parquet, quote


def row_hash(columns: Mapping[str, str]) -> str:
    """SQL for the hash of a row.

    Each value is hashed with its column's name, or two values that changed places would not show;
    and that again, for DuckDB puts several hashes together so that the names would cancel out.

    Args:
        columns: name to DuckDB type, as raw keeps it.
    """
    hashes = [
        f"if({quote(name)} is null, 0::ubigint, "
        f"hash(hash({literal(name.lower())}, {quote(name)}::{kind})))"
        for name, kind in columns.items()
    ]
    return f"hash({reduce(lambda both, one: f'xor({both}, {one})', hashes)})"


def sum_of(
    con: duckdb.DuckDBPyConnection, files: Iterable[Path], columns: Mapping[str, str]
) -> int:
    """The sum of the hashes of all rows in some Parquet files; 0 of none."""
    paths = list(files)
    if not paths:
        return 0
    rows = f"from {parquet(paths)}"
    there = {line[0] for line in con.execute(f"describe {rows}").fetchall()}
    own = {name: kind for name, kind in columns.items() if name in there}
    row = con.execute(f"select coalesce(sum({row_hash(own)}::hugeint), 0) {rows}").fetchone()
    return int(row[0]) if row else 0


def said(total: int) -> str:
    """A sum as the book keeps it: with the version of DuckDB, whose hash may change with it."""
    return f"v{duckdb.__version__}:{total}"
