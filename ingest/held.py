"""What raw holds already of what a batch brings: rows of the overlap, and whole snapshots."""

from ingest.batch import Checked, Held
from ingest.declaration import Table
from ingest.destination import Destination
from ingest.errors import ContractError
from ingest.raw_tables import RANKED_LOAD, died_in, load_columns
from ingest.readers import Batch
from ingest.readers.bounds import FIRST_YEAR, is_time
from ingest.types import literal, parquet, quote


def held_rows(
    destination: Destination,
    table: Table,
    batch: Batch,
    types: dict[str, str],
    kept: dict[str, str],
) -> Held:
    """The rows and dead letters of raw that the batch may bring again.

    Args:
        destination: raw.
        table: the declaration.
        batch: what was read.
        types: declared column to DuckDB type.
        kept: every column of raw to its type.
    """
    raw = destination.relation(table.name)
    if not destination.finished or (batch.origin is not None and batch.held is None):
        return Held()
    dead = destination.arrow(
        f"select dead_letter_id from {destination.relation('_dead_letters')} "
        f"where table_name = {literal(table.name)}"
    )
    if table.ingest.write_disposition == "replace" or not destination.any(f"from {raw}"):
        return Held(None, dead)
    where = "true"
    if table.ingest.cursor is not None and batch.cursor_from is not None:
        cursor = quote(table.ingest.cursor)
        low = f"try_cast({literal(batch.cursor_from)} as {types[table.ingest.cursor]})"
        where = f"{cursor} >= {low} or {cursor} is null"
        if is_time(types[table.ingest.cursor]):
            # SQLite's times are text, and what sorts before every time is read each time
            where += f" or {cursor} < '{FIRST_YEAR}-01-01'"
    if table.ingest.cursor is not None and batch.cursor_to is not None:
        high = f"try_cast({literal(batch.cursor_to)} as {types[table.ingest.cursor]})"
        where = f"({where}) and {quote(table.ingest.cursor)} <= {high}"
    # a column that is declared or found only now is null in every row that raw holds
    wanted = dict.fromkeys([*types, *batch.found])
    kept = {**kept, **load_columns(table)}
    columns = ", ".join(
        quote(name) if name in kept else f"null::{types.get(name, 'varchar')} as {quote(name)}"
        for name in wanted
    )
    news = f"from {raw} where {batch.held}" if batch.held else _news_of(table, raw, where)
    rows = destination.arrow(f"select {columns} from ({news})")
    return Held(rows, dead)


def _news_of(table: Table, raw: str, where: str) -> str:
    """The rows of raw that a batch may repeat.

    What changed from A to B and back to A is news, also where the version is the same or is not
    known: so only the newest row of each version of a key is held.
    """
    version, key = table.ingest.version or table.ingest.cursor, table.ingest.primary_key
    if not key:
        return f"from {raw} where {where}"
    keys = ", ".join(map(quote, key))
    same = ", ".join(map(quote, [*key, *([version] if version else [])]))
    newest = f"{RANKED_LOAD} = max({RANKED_LOAD}) over (partition by {same})"
    if table.ingest.deletes:
        # what the source has again after a tombstone is news, whatever it says
        newest += f" and {RANKED_LOAD} > coalesce({died_in(keys)}, 0)"
    return f"from {raw} where {where} qualify {newest}"


def is_new_snapshot(destination: Destination, checked: Checked) -> bool:
    """A whole table read anew: refused when much of it is missing, passed over when it is the same.

    Raises:
        ContractError: fewer rows than `min_share` of the last snapshot.
    """
    table = checked.table
    raw = destination.relation(table.name)
    # a replayed row is no snapshot
    own = f"from {raw} where _replayed_from is null"
    last = f"{own} and _load_number = (select max(_load_number) {own})"
    before = destination.count(last)
    if before and checked.fetched < max(1, before * table.ingest.min_share):
        raise ContractError(
            f"the read gave {checked.fetched} rows, the last snapshot has {before}: "
            "this looks like a truncated read, and the last snapshot stays",
            where=table.where,
            mend="look at the source; where the rows are rightly gone, lower min_share for one run "
            "(a read of no rows at all is never taken)",
        )
    if checked.accepted != before or checked.dead or not checked.accepted_files:
        return checked.accepted != before or bool(checked.dead)
    names = list(map(quote, checked.shape.columns))
    there = destination.columns(table.name)
    if new := [name for name in checked.shape.columns if name not in there]:
        return bool(new)
    listed, files = ", ".join(names), parquet(checked.accepted_files)
    return bool(
        destination.count(f"from (select {listed} from {files} except all select {listed} {last})")
    )
