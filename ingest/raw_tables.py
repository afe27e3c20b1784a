"""The tables that ingestion keeps in each raw schema, and what a load brings to one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.declaration import Table

LOAD_COLUMNS = {
    "_load_number": "BIGINT",
    "_extracted_at": "TIMESTAMP",
    "_source": "VARCHAR",
    "_replayed_from": "BIGINT",
}
RANKED_LOAD = "coalesce(_replayed_from, _load_number)"
"""The load that a version ranks by, as in macros/newest_versions.sql."""
DELETED = {"_deleted": "BOOLEAN"}
"""True of a tombstone, a copy of the newest version of a row that is gone; null of all others."""
BOOK = {
    "load_number": "BIGINT",
    "table_name": "VARCHAR",
    "rows_fetched": "BIGINT",
    "rows_reread": "BIGINT",
    "rows_read": "BIGINT",
    "rows_accepted": "BIGINT",
    "rows_dead": "BIGINT",
    "checksum": "VARCHAR",
    "dead_checksum": "VARCHAR",
    "bytes": "BIGINT",
    "seconds": "DOUBLE",
    "cursor_from": "VARCHAR",
    "cursor_to": "VARCHAR",
    "run_id": "VARCHAR",
    "extracted_at": "TIMESTAMP",
}
DEAD = {
    "dead_letter_id": "VARCHAR",
    "table_name": "VARCHAR",
    "broken_rules": "VARCHAR",
    "payload": "VARCHAR",
    "_load_number": "BIGINT",
    "_extracted_at": "TIMESTAMP",
    "_source": "VARCHAR",
}
FATES = {
    "dead_letter_id": "VARCHAR",
    "fate": "VARCHAR",
    "reason": "VARCHAR",
    "_load_number": "BIGINT",
    "_extracted_at": "TIMESTAMP",
}
FILES = {
    "table_name": "VARCHAR",
    "path": "VARCHAR",
    "size": "BIGINT",
    "modified_ns": "BIGINT",
    "hash": "VARCHAR",
    "repeats": "VARCHAR",
    "_load_number": "BIGINT",
}
BOOKS = {"_loads": BOOK, "_dead_letters": DEAD, "_dead_letter_fates": FATES, "_files": FILES}


def died_in(key: str) -> str:
    """SQL for the load of a key's newest tombstone, beside each of its versions."""
    return f"max({RANKED_LOAD}) filter (where _deleted) over (partition by {key})"


def load_columns(table: Table) -> dict[str, str]:
    """What raw has of a table besides its own columns."""
    return {**LOAD_COLUMNS, **(DELETED if table.ingest.deletes else {})}


@dataclass(frozen=True)
class Part:
    """Rows of one raw table for a load: Parquet files, or a few rows.

    A row is made when dlt comes to it, after the files: its checksums may take until then.
    """

    table: str
    columns: dict[str, str]
    files: tuple[Path, ...] = ()
    rows: tuple[Callable[[], dict[str, Any]], ...] = ()
