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
    relation = _members(table, keys, beside, "item", "json_items where item is not null")
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

    They are looked at once, to see that, and read again where they are, not stored in between.

    Args:
        con: the session.
        table: the declaration.
        rows: a relation that can be read twice.
        line: SQL over it, the object as text; it may raise.
        good: SQL over it, what else must be so.
        stands: SQL over it, the columns that stand beside the members: `beside` and `_source`.
        beside: their names.

    Returns:
        SQL of the rows, or None where some are not so.
    """
    members = f"try(json_keys({line}))"
    first = con.execute(f"select {members} from {rows} limit 1").fetchone()
    if first is None or not first[0] or not _named(first[0]):
        return None
    others = f"from {rows} where not {good} or coalesce({members} <> ?, true)"
    if con.execute(f"select 1 {others} limit 1", first).fetchone():
        return None
    return _members(table, set(first[0]), beside, line, rows, stands)


def _members(
    table: Table,
    keys: set[str],
    beside: tuple[str, ...],
    item: str,
    rows: str,
    stands: str = "* exclude (item)",
) -> str:
    """SQL of the members as columns; `item` is SQL over the rows, `stands` what is beside it."""
    found = sorted(keys)
    names = raw_names(table, found, beside)
    # ->> gives SQL NULL for a JSON null and for an absent member alike
    pointers = ", ".join(literal(_pointer(key)) for key in found)
    parts = [f"texts[{nth}] as {quote(names[key])}" for nth, key in enumerate(found, 1)]
    parts += [
        f"null::varchar as {quote(column.name)}"
        for column in table.columns
        if column.name not in names.values()
    ]
    # one look at an object gives all its members: 2.5 times as quick as one look for each
    return (
        f"select {', '.join([*parts, *beside, '_source'])} from (select {stands}, "
        f"{item} ->> [{pointers}]::varchar[] as texts from {rows})"
    )


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
