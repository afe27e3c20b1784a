"""JSON objects, one to a row, as a relation of text columns that the contract then types."""

import duckdb

from ingest.declaration import Table
from ingest.readers import UNPARSABLE, raw_names
from ingest.types import literal, quote


def json_relation(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    rows: str,
    beside: tuple[str, ...] = (),
    payload: str = "line",
) -> tuple[str, str]:
    """The relation of the objects' members: declared ones, and those that only the objects have.

    Every value is text: a string as it is, anything else as its JSON. The contract casts it. What
    is no object, or names a member twice, is a line that cannot be parsed.

    Args:
        con: the session.
        table: the declaration.
        rows: SQL select (line varchar, _source varchar), and more columns.
        beside: those of them that stand beside the members; no member gets such a name.
        payload: SQL over them, the text of what cannot be parsed.

    Returns:
        SQL of the rows (columns as raw names them, `_source`), and of what is no object
        (payload, broken_rules, `_source`).
    """
    # JSON that begins with a brace is an object: so each line is parsed once to be valid
    blanks = "' ' || chr(9) || chr(10) || chr(13)"
    con.execute(
        "create or replace temp table json_items as "
        "select * exclude (line), case when item is null then line end as line from (select *, "
        f"case when starts_with(line, '{{') or starts_with(ltrim(line, {blanks}), '{{') "
        f"then try_cast(line as json) end as item from ({rows}))"
    )
    keys: set[str] = set()
    for members in _shapes(con):
        if not _named(members):
            con.execute(
                "update json_items set line = item, item = null where json_keys(item) = ?",
                [members],
            )
        else:
            keys.update(members)
    relation = _members(table, keys, beside, "json_items where item is not null")
    return (
        relation,
        f"select {payload} as payload, {UNPARSABLE}, _source from json_items where item is null",
    )


def alike(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    rows: str,
    line: str,
    good: str,
    stands: str,
    beside: tuple[str, ...],
) -> str | None:
    """The same relation where it is simple: all rows are good, and objects of the same members.

    They are read where they are, once; only then it shows that they are not so, by an error.

    Args:
        con: the session.
        table: the declaration.
        rows: a relation.
        line: SQL over it, the object as text; it may raise.
        good: SQL over it, what else must be so.
        stands: SQL over it, the columns that stand beside the members: `beside` and `_source`.
        beside: their names.

    Returns:
        SQL of the rows, which raises where one is not so; None where the first is not.
    """
    first = con.execute(f"select try(json_keys({line})) from {rows} limit 1").fetchone()
    if first is None or not first[0] or not _named(first[0]):
        return None
    # a map has all members that there are: one look at an object, where keys and values cost two
    item = f"json_transform(case when {good} then {line} end, '\"MAP(VARCHAR, VARCHAR)\"')"
    same = f"map_keys(item) = [{', '.join(map(literal, first[0]))}]"
    return _columns(
        table,
        first[0],
        beside,
        # where a row came from is always asked for, whatever of it is not
        f"select * exclude (item) replace (case when {same} then _source "
        f"else error('not like the first') end as _source), map_values(item) as texts "
        f"from (select {stands}, {item} as item from {rows})",
    )


def _members(table: Table, keys: set[str], beside: tuple[str, ...], rows: str) -> str:
    """SQL of the members as columns, of the column `item` of the rows."""
    found = sorted(keys)
    # ->> gives SQL NULL for a JSON null and for an absent member alike; and one look at an object
    # for all its members is 2.5 times as quick as one look for each
    pointers = ", ".join(literal(_pointer(key)) for key in found)
    return _columns(
        table,
        found,
        beside,
        f"select * exclude (item), item ->> [{pointers}]::varchar[] as texts from {rows}",
    )


def _columns(table: Table, members: list[str], beside: tuple[str, ...], rows: str) -> str:
    """SQL of the members as columns; the rows have them in this order, as a list `texts`."""
    names = raw_names(table, sorted(members), beside)
    parts = [f"texts[{members.index(key) + 1}] as {quote(name)}" for key, name in names.items()]
    parts += [
        f"null::varchar as {quote(column.name)}"
        for column in table.columns
        if column.name not in names.values()
    ]
    return f"select {', '.join([*parts, *beside, '_source'])} from ({rows})"


def _shapes(con: duckdb.DuckDBPyConnection) -> list[list[str]]:
    """The members that objects have: what is asked of a shape need not be asked of every object.

    Nearly always all have the first one's, which is half as dear to see as to tell all apart.
    """
    objects = "from json_items where item is not null"
    shapes = con.execute(
        f"with first as materialized (select json_keys(item) as members {objects} limit 1) "
        "from first union all select distinct json_keys(item) from json_items, first "
        "where item is not null and json_keys(item) <> members"
    )
    return [members for (members,) in shapes.fetchall()]


def _named(members: list[str]) -> bool:
    """Whether each member has a name of its own, and one that SQL can say."""
    return len(set(members)) == len(members) and not any("\0" in name for name in members)


def _pointer(key: str) -> str:
    """The member's JSON pointer: it needs no quotes, whatever the key is made of."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
