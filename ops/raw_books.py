"""What the books of loads in the raw schemas say to a run."""

from collections.abc import Iterable

import duckdb

_FINISHED = (
    'from "{0}"._loads l join "{0}"._dlt_loads d on d.load_id = l._dlt_load_id where d.status = 0'
)


def pending(
    con: duckdb.DuckDBPyConnection, sources: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Source tables with finished loads that no good build has taken: (source, table) to load.

    Args:
        con: the warehouse, with the journal's tables.
        sources: the sources' names and raw schemas.
    """
    found: dict[tuple[str, str], int] = {}
    for source, schema in sources:
        if _has_book(con, schema):
            rows = con.execute(
                f"select l.table_name, max(l.load_number) {_FINISHED.format(schema)} "
                "and not exists (select 1 from millrace.built b where b.source_name = ? "
                "and b.table_name = l.table_name and b.load_number >= l.load_number) "
                "group by l.table_name",
                [source],
            ).fetchall()
            found |= {(source, row[0]): int(row[1]) for row in rows}
    return found


def ever_loaded(con: duckdb.DuckDBPyConnection, schemas: Iterable[str]) -> bool:
    """Whether any of these raw schemas has a finished load in its book."""
    return any(
        con.execute(f"select 1 {_FINISHED.format(schema)} limit 1").fetchone()
        for schema in schemas
        if _has_book(con, schema)
    )


def totals(con: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Finished loads, and the rows that they brought into raw, of all sources."""
    loads = rows = 0
    for (schema,) in con.execute(
        "select schema_name from duckdb_tables() where not internal group by all"
    ).fetchall():
        if _has_book(con, schema):
            more = con.execute(
                "select count(distinct l.load_number), coalesce(sum(l.rows_accepted), 0) "
                + _FINISHED.format(schema)
            ).fetchall()[0]
            loads, rows = loads + int(more[0]), rows + int(more[1])
    return loads, rows


def _has_book(con: duckdb.DuckDBPyConnection, schema: str) -> bool:
    found = con.execute(
        "select count(*) from duckdb_tables() where schema_name = ? "
        "and table_name in ('_loads', '_dlt_loads')",
        [schema],
    ).fetchone()
    return found == (2,)
