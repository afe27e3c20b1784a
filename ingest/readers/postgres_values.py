"""PostgreSQL's numbers that DuckDB's scanner would change in silence."""

from collections.abc import Callable
from typing import Any

from ingest.types import is_decimal, literal, quote

Query = Callable[[str], list[tuple[Any, ...]]]


def read_as_text(query: Query, name: str, columns: dict[str, str], *, bulk: bool) -> set[str]:
    """The columns of a table that are to be read as text.

    A numeric without a precision would be a double, a NaN in one that has a precision 0. The look
    for a NaN reads the table once more, on the server; a small read takes its decimals as text.

    Args:
        query: asks the database in its own SQL.
        name: the table's qualified name.
        columns: each column to its DuckDB type.
        bulk: the read goes by parallel scans of pages.
    """
    decimals = {column for column, kind in columns.items() if is_decimal(kind)}
    if not (decimals or "DOUBLE" in columns.values()):
        return set()
    loose = {
        str(row[0])
        for row in query(
            f"select attname from pg_attribute where attrelid = {literal(name)}::regclass "
            "and atttypid = 'numeric'::regtype and atttypmod = -1 and not attisdropped"
        )
    }
    if not decimals:
        return loose
    if not bulk:
        return loose | decimals
    odd = " or ".join(f"{quote(column)} = 'NaN'" for column in sorted(decimals))
    return loose | decimals if query(f"select 1 from {name} where {odd} limit 1") else loose
