"""The states that dlt stored with the loads, and which of them counts: that of the newest load.

dlt restores the state whose load began last by the clock of its machine, and a clock can be set
back. The book of loads goes by number, and each state lies in the package of its load.
"""

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa
from dlt.common.versioned_state import decompress_state

from ingest.declaration import Source
from ingest.errors import LoadError
from ingest.types import literal


class _Raw(Protocol):
    def relation(self, table: str) -> str: ...

    def arrow(self, sql: str) -> pa.Table: ...


def drop_torn(raw: _Raw, execute: Callable[[str], None]) -> None:
    """Delete stored states that cannot be read, newest first: dlt would stumble over them."""
    states = raw.relation("_dlt_pipeline_state")
    newest = f"select state, _dlt_load_id as load from {states} order by load desc limit 1"
    while rows := raw.arrow(newest).to_pylist():
        if _decoded(rows[0]["state"]) is not None:
            return
        execute(f"delete from {states} where _dlt_load_id = {literal(rows[0]['load'])}")


def by_the_book(raw: _Raw, source: Source, restored: int) -> tuple[int, dict[str, Any]]:
    """The number of the newest finished load in the book, and the state of its package.

    Where that state is gone or cannot be read, the newest one before it serves: from there more is
    read again, and raw knows what it holds.

    Args:
        raw: the raw schema; it has a book.
        source: the declaration.
        restored: the number in the state that dlt restored. Where it is the book's, nothing is
            looked up.

    Raises:
        LoadError: the loads are those of a source of another name.
    """
    loads = raw.relation("_dlt_loads")
    finished = (
        f"(select distinct load_number, _dlt_load_id from {raw.relation('_loads')} "
        f"where _dlt_load_id in (select load_id from {loads} where status = 0))"
    )
    newest = raw.arrow(f"select max(load_number) as n from {finished}")["n"][0].as_py()
    if newest is None or newest == restored:
        return restored, {}
    states = raw.relation("_dlt_pipeline_state")
    rows = raw.arrow(
        f"select pipeline_name, state from {finished} join {states} using (_dlt_load_id) "
        "order by load_number desc, version desc"
    ).to_pylist()
    if others := {row["pipeline_name"] for row in rows} - {source.name}:
        raise LoadError(
            f"the schema {source.raw_schema!r} holds {newest} loads of a source {others.pop()!r}; "
            "nothing was changed",
            where=source.where,
            mend="name the source so again, or give this one a schema of its own",
        )
    for row in rows:
        own: dict[str, Any] = (_decoded(row["state"]) or {}).get("sources", {}).get(source.name)
        if own:
            return newest, own
    return newest, {}


def _decoded(text: str) -> dict[str, Any] | None:
    """A stored state of dlt; None where it cannot be read."""
    try:
        state: dict[str, Any] = decompress_state(text)
    except (ValueError, zlib.error):
        return None
    return state
