"""DuckDB's types: their dlt hints, and casts that keep a value or say that they cannot."""

import re
from typing import Any

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
_SIMPLE: dict[str, dict[str, Any]] = {
    "DOUBLE": {"data_type": "double"},
    "FLOAT": {"data_type": "double"},
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


def storable(duckdb_type: str) -> str:
    """The type a column of this type is kept with in raw: itself, or the nearest that lasts."""
    if duckdb_type in _SIMPLE or duckdb_type in _INTEGERS or _DECIMAL.fullmatch(duckdb_type):
        return duckdb_type
    if duckdb_type in ("UTINYINT", "USMALLINT"):
        return "INTEGER"
    if duckdb_type == "UINTEGER":
        return "BIGINT"
    if duckdb_type in ("UBIGINT", "HUGEINT", "UHUGEINT"):
        return "DECIMAL(38,0)"
    return "TIMESTAMP" if duckdb_type.startswith("TIMESTAMP_") else "VARCHAR"


def hint(duckdb_type: str) -> dict[str, Any]:
    """dlt's column hint for a storable DuckDB type."""
    if duckdb_type in _INTEGERS:
        return {"data_type": "bigint", "precision": _INTEGERS[duckdb_type]}
    if match := _DECIMAL.fullmatch(duckdb_type):
        return {"data_type": "decimal", "precision": int(match[1]), "scale": int(match[2])}
    return dict(_SIMPLE[duckdb_type])


def fits(raw: str, typed: str, source: str, target: str) -> str:
    """A SQL boolean: the cast from `raw` (of type source) to `typed` (of type target) lost nothing.

    A plain cast rounds 1.5 to 2 and cuts the time off a date in silence; a good row is never
    changed, so such a value counts as one that does not fit. NULL fits every type.
    """
    there = f"({raw} is null or {typed} is not null)"
    if target in ("VARCHAR", "JSON", source):
        return there
    number = target in _INTEGERS or _DECIMAL.fullmatch(target)
    if source == "VARCHAR":
        if number:
            # comparing as a wide decimal costs 15 microseconds a value: only where the text asks it
            scale = int(number[2]) if isinstance(number, re.Match) else 0
            plain = rf"^\s*[-+]?\d*(\.\d{{0,{scale}}})?\s*$" if scale else r"^\s*[-+]?\d+\s*$"
            exact = f"try_cast({raw} as decimal(38,12)) = {typed}"
            return (
                f"({raw} is null or case when regexp_matches({raw}, {literal(plain)}) "
                f"then {typed} is not null else coalesce({exact}, false) end)"
            )
        if target == "DATE":
            return f"({raw} is null or coalesce(try_cast({raw} as timestamp) = {typed}, false))"
        return there
    if source in ("DOUBLE", "FLOAT") or _DECIMAL.fullmatch(source):
        return f"({raw} is null or coalesce({typed}::{source} = {raw}, false))" if number else there
    if target == "DATE" and source.startswith("TIMESTAMP"):
        return f"({raw} is null or coalesce({typed}::timestamp = {raw}::timestamp, false))"
    return there
