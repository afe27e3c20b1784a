"""JSON objects, one to a row, as a relation of text columns that the contract then types."""

import duckdb

from ingest.declaration import Table
from ingest.readers import raw_names
from ingest.types import literal, quote


def json_relation(con: duckdb.DuckDBPyConnection, table: Table, rows: str) -> str:
    """The relation of the objects' members: declared ones, and those that only the objects have.

    Every value is text: a string as it is, anything else as its JSON. The contract casts it.

    Args:
        con: the session.
        table: the declaration.
        rows: SQL select (item json, _source varchar).
    """
    con.execute(f"create or replace temp table json_items as {rows}")
    keys = con.execute(
        "select distinct unnest(json_keys(item)) as key from json_items order by key"
    ).fetchall()
    present = [row[0] for row in keys]
    declared = [c.name for c in table.columns if c.name not in {k.lower() for k in present}]
    names = raw_names(table, [*present, *declared])
    parts = []
    for key, name in names.items():
        path = literal('$."' + key.replace("\\", "\\\\").replace('"', '\\"') + '"')
        # ->> gives SQL NULL for a JSON null and for an absent member alike
        parts.append(f"item ->> {path} as {quote(name)}")
    return f"select {', '.join(parts)}, _source from json_items"
