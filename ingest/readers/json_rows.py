"""JSON objects, one to a row, as a relation of text columns that the contract then types."""

import duckdb

from ingest.declaration import Table
from ingest.readers import raw_names
from ingest.types import literal, quote


def json_relation(con: duckdb.DuckDBPyConnection, table: Table, rows: str) -> tuple[str, str]:
    """The relation of the objects' members: declared ones, and those that only the objects have.

    Every value is text: a string as it is, anything else as its JSON. The contract casts it. What
    is no object, or names a member twice, is a line that cannot be parsed.

    Args:
        con: the session.
        table: the declaration.
        rows: SQL select (line varchar, _source varchar).

    Returns:
        SQL of the rows (columns as raw names them, `_source`), and of what is no object
        (payload, `_source`).
    """
    con.execute(
        "create or replace temp table json_items as select line, _source, case when "
        "json_valid(line) and json_type(line) = 'OBJECT' then line::json end as item "
        f"from ({rows})"
    )
    con.execute(
        "update json_items set item = null where item is not null "
        "and len(json_keys(item)) <> len(list_distinct(json_keys(item)))"
    )
    keys = con.execute(
        "select distinct unnest(json_keys(item)) as key from json_items order by key"
    ).fetchall()
    names = raw_names(table, [row[0] for row in keys])
    # ->> gives SQL NULL for a JSON null and for an absent member alike
    parts = [f"item ->> {literal(_pointer(key))} as {quote(name)}" for key, name in names.items()]
    parts += [
        f"null::varchar as {quote(column.name)}"
        for column in table.columns
        if column.name not in names.values()
    ]
    relation = f"select {', '.join([*parts, '_source'])} from json_items where item is not null"
    return relation, "select line as payload, _source from json_items where item is null"


def _pointer(key: str) -> str:
    """The member's JSON pointer: it needs no quotes, whatever the key is made of."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
