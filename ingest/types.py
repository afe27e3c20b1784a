"""DuckDB's types: their dlt hints, and casts that keep a value or say that they cannot."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
_SIMPLE: dict[str, dict[str, Any]] = {
    "DOUBLE": {"data_type": "double"},
    "BOOLEAN": {"data_type": "bool"},
    "DATE": {"data_type": "date"},
    "TIME": {"data_type": "time"},
    "TIMESTAMP": {"data_type": "timestamp", "timezone": False},
    "TIMESTAMP WITH TIME ZONE": {"data_type": "timestamp", "timezone": True},
    "BLOB": {"data_type": "binary"},
    "JSON": {"data_type": "json"},
    "VARCHAR": {"data_type": "text"},
}


def quote(name: str) -> str:
    """The name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def glob_free(path: Path) -> str:
    """The path as DuckDB reads it when it shall not be a pattern."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path))


def parquet(paths: Iterable[Path]) -> str:
    """SQL of the rows of Parquet files; what one has not is null, and a folder's name no column."""
    listed = ", ".join(literal(glob_free(path)) for path in paths)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def is_decimal(duckdb_type: str) -> bool:
    """The type is DECIMAL of some width and scale."""
    return _DECIMAL.fullmatch(duckdb_type) is not None


def storable(duckdb_type: str) -> str:
    """The type a column of this type is kept with in raw: itself, or the nearest that lasts."""
    if duckdb_type in _SIMPLE or duckdb_type in INTEGERS or _DECIMAL.fullmatch(duckdb_type):
        return duckdb_type
    if duckdb_type == "FLOAT":
        return "DOUBLE"
    if duckdb_type in ("UTINYINT", "USMALLINT"):
        return "INTEGER"
    if duckdb_type == "UINTEGER":
        return "BIGINT"
    if duckdb_type in ("UBIGINT", "HUGEINT", "UHUGEINT"):
        return "DECIMAL(38,0)"
    return "TIMESTAMP" if duckdb_type.startswith("TIMESTAMP_") else "VARCHAR"


def hint(duckdb_type: str) -> dict[str, Any]:
    """dlt's column hint for a storable DuckDB type."""
    if duckdb_type in INTEGERS:
        return {"data_type": "bigint", "precision": INTEGERS[duckdb_type]}
    if match := _DECIMAL.fullmatch(duckdb_type):
        return {"data_type": "decimal", "precision": int(match[1]), "scale": int(match[2])}
    return dict(_SIMPLE[duckdb_type])


def cast(value: str, source: str, target: str) -> str:
    """SQL: the value (of type source) as the target type, NULL where it cannot be one.

    Text of a time with an offset (`10:00+02:00`) becomes the UTC time that it means; a plain cast
    would drop the offset in silence.
    """
    if not _is_plain(source):
        value, source = f"{value}::varchar", "VARCHAR"
    plain = f"try_cast({value} as {target})"
    if source == "VARCHAR" and target == "TIMESTAMP":
        offset = literal(r":\d\d(\.\d+)?\s*[+-]\d\d(:?\d\d)?\s*$")
        zoned = f"try_cast({value} as timestamptz)::timestamp"
        return f"case when regexp_matches({value}, {offset}) then {zoned} else {plain} end"
    return plain


def fits(raw: str, typed: str, source: str, target: str) -> str:
    """A SQL boolean: the cast from `raw` (of type source) to `typed` (of type target) lost nothing.

    A plain cast rounds 1.5 to 2 and cuts the time off a date in silence; a good row is never
    changed, so such a value counts as one that does not fit. NULL fits every type. Raw keeps
    microseconds: what a time has below them is cut.
    """
    there = f"({raw} is null or {typed} is not null)"
    if target in ("VARCHAR", "JSON", source) or source.startswith("TIMESTAMP_"):
        return there
    if not _is_plain(source):
        raw, source = f"{raw}::varchar", "VARCHAR"
    if source != "VARCHAR":
        back = f"coalesce(try_cast({typed} as {source}) = {raw}, false)"
        return f"({raw} is null or {back})"
    if target == "DATE":
        return f"({raw} is null or coalesce(try_cast({raw} as timestamp) = {typed}, false))"
    number = target in INTEGERS or _DECIMAL.fullmatch(target)
    if not number:
        return there
    # comparing as a wide decimal costs 15 microseconds a value: only where the text asks it
    scale = int(number[2]) if isinstance(number, re.Match) else 0
    plain = rf"^\s*[-+]?\d*(\.\d{{0,{scale}}})?\s*$" if scale else r"^\s*[-+]?\d+\s*$"
    other = literal(r"^\s*[-+]?\d*\.?\d*([eE][-+]?\d+)?\s*$")  # DuckDB takes 1_000 and 0x1F too
    exact = f"regexp_matches({raw}, {other}) and try_cast({raw} as decimal(38,12)) = {typed}"
    return (
        f"({raw} is null or case when regexp_matches({raw}, {literal(plain)}) "
        f"then {typed} is not null else coalesce({exact}, false) end)"
    )


def _is_plain(duckdb_type: str) -> bool:
    """Not a list, a struct or another type that only its text can be cast from."""
    named = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT")
    return (
        duckdb_type in named
        or duckdb_type.startswith("TIMESTAMP")
        or storable(duckdb_type) == duckdb_type
    )
