"""What a load brings besides rows: its entry in the book, its parts, and the verdict on it."""

from concurrent.futures import Future
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.batch import Checked
from ingest.checksum import said, sum_of
from ingest.errors import ContractError
from ingest.raw_tables import DEAD, FILES, Part, load_columns

Sums = tuple[int, int]
# A small load is judged as though it had this many rows, or one bad row in ten would stop it.
_JUDGED_ROWS = 1000


def parts(checked: Checked, number: int) -> list[Part]:
    """The rows, dead letters and files of one table's share in a load."""
    table = checked.table
    columns = {**checked.shape.columns, **load_columns(table)}
    made = []
    if checked.accepted_files:
        made.append(Part(table.name, columns, files=tuple(checked.accepted_files)))
    if checked.dead_files:
        made.append(Part("_dead_letters", DEAD, files=tuple(checked.dead_files)))
    if checked.files:
        path = checked.folder / "files.parquet"
        rows = [
            {"table_name": table.name, **vars(f), "_load_number": number} for f in checked.files
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)
        made.append(Part("_files", FILES, files=(path,)))
    return made


def sums(con: duckdb.DuckDBPyConnection, checked: Checked) -> Sums:
    """The checksums of the accepted rows and of the dead letters; closes the connection."""
    columns = {**checked.shape.columns, **load_columns(checked.table)}
    with con:
        return sum_of(con, checked.accepted_files, columns), sum_of(con, checked.dead_files, DEAD)


def entry(
    table: str,
    number: int,
    run_id: str,
    now: datetime,
    *,
    fetched: int = 0,
    reread: int = 0,
    accepted: int = 0,
    dead: int = 0,
    checksum: int = 0,
    dead_checksum: int = 0,
    size: int = 0,
    seconds: float = 0.0,
    cursor: tuple[str | None, str | None] = (None, None),
) -> dict[str, object]:
    """One line of the book of loads.

    Counts are rows, checksums sums of `ingest.checksum`, `cursor` is from where to where.
    """
    return {
        "load_number": number,
        "table_name": table,
        "rows_fetched": fetched,
        "rows_reread": reread,
        "rows_read": accepted + dead,
        "rows_accepted": accepted,
        "rows_dead": dead,
        "checksum": said(checksum),
        "dead_checksum": said(dead_checksum),
        "bytes": size,
        "seconds": round(seconds, 3),
        "cursor_from": cursor[0],
        "cursor_to": cursor[1],
        "run_id": run_id,
        "extracted_at": now,
    }


def entry_of(
    checked: Checked, sums: Future[Sums], number: int, run_id: str, now: datetime, seconds: float
) -> dict[str, object]:
    """The line for what one table brought; `sums` are waited for."""
    accepted, dead = sums.result()
    return entry(
        checked.table.name,
        number,
        run_id,
        now,
        fetched=checked.fetched,
        reread=checked.reread,
        accepted=checked.accepted,
        dead=checked.dead,
        checksum=accepted,
        dead_checksum=dead,
        size=checked.size,
        seconds=seconds,
        cursor=(checked.cursor_from, checked.cursor_to),
    )


def too_many_dead(checked: Checked) -> ContractError | None:
    """The error for a table of which too much broke the contract, or None."""
    limit = checked.table.ingest.max_dead
    read = checked.accepted + checked.dead
    if checked.dead <= limit * max(read, _JUDGED_ROWS):
        return None
    return ContractError(
        f"{checked.dead} of {read} rows of {checked.table.label} break the contract, more than "
        f"max_dead ({limit:.1%}); all are kept",
        where=checked.table.where,
        mend=f"millrace dead-letters list {checked.table.label}, then mend the rule or the source",
    )
