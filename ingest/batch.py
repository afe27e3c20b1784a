"""One batch through its table's contract: Parquet of the accepted rows and of the dead letters.

The source is read once. DuckDB streams it through the contract into three piles: accepted, dead,
and rows that raw holds already (the lag reads them again). A dead row travels in the same columns;
its rules and its payload ride in `_source` as JSON until they are put into a dead letter.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest.contract import BROKEN, Compiled, Shape, compile_contract
from ingest.declaration import Table
from ingest.piles import Piles, numbered, write
from ingest.readers import Batch, FileSeen, TableState
from ingest.readers.bounds import is_time
from ingest.types import literal, parquet, quote

_HELD = quote("row:held")  # `:` cannot stand in the name of a column of raw


@dataclass
class Checked:
    """What one or several batches of a table came to. Counts are rows, sizes bytes."""

    table: Table
    shape: Shape
    folder: Path
    accepted_files: list[Path] = field(default_factory=list)
    dead_files: list[Path] = field(default_factory=list)
    fetched: int = 0
    reread: int = 0
    accepted: int = 0
    dead: int = 0
    size: int = 0
    cursor_from: str | None = None
    cursor_to: str | None = None
    state: TableState = field(default_factory=dict)
    files: list[FileSeen] = field(default_factory=list)
    kept: bool = False
    taken: Callable[[], None] = lambda: None

    @property
    def is_news(self) -> bool:
        """There is something to load: rows, dead letters, or files to remember."""
        return bool(self.accepted or self.dead or self.files)

    def add(self, other: "Checked") -> None:
        """Take another batch of the same table into the same load."""
        self.accepted_files += other.accepted_files
        self.dead_files += other.dead_files
        self.files += other.files
        self.cursor_to = other.cursor_to or self.cursor_to
        self.taken = other.taken
        self.kept = self.kept or other.kept
        for count in ("fetched", "reread", "accepted", "dead", "size"):
            setattr(self, count, getattr(self, count) + getattr(other, count))
        self.shape = Shape({**self.shape.columns, **other.shape.columns}, ())
        self.state = {**self.state, **other.state}


@dataclass(frozen=True)
class Held:
    """What raw holds of a table where a batch may overlap it."""

    rows: pa.Table | None = None
    dead_ids: pa.Table | None = None


class Checker:
    """Puts the batches of one load through their contracts, over one session."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, folder: Path, number: int, extracted_at: datetime
    ) -> None:
        self._con, self._folder = con, folder
        self.number, self.extracted_at = number, extracted_at
        self._at = f"timestamp {literal(extracted_at.strftime('%Y-%m-%d %H:%M:%S.%f'))}"
        self._count = 0

    def check(
        self, table: Table, batch: Batch, types: dict[str, str], kept: dict[str, str], held: Held
    ) -> Checked:
        """Read the batch and split it.

        Args:
            table: the declaration.
            batch: what the reader gave.
            types: declared column to canonical DuckDB type.
            kept: further columns of raw to their types.
            held: the rows and dead letters of raw that the batch may repeat.

        Raises:
            ContractError: see `compile_contract`.
            duckdb.Error: the source failed while it was read.
        """
        compiled = compile_contract(table, batch.relation, batch.found, types, kept)
        self._count += 1
        target = self._folder / f"{table.name}-{self._count}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        piles = self._pile(table, batch, compiled, held, target)
        checked = Checked(
            table, compiled.shape, target, cursor_from=batch.cursor_from, files=list(batch.files)
        )
        checked.kept, checked.taken = batch.kept, batch.taken
        checked.accepted_files = [p for p, _ in piles["accepted"]]
        checked.accepted = sum(n for _, n in piles["accepted"])
        checked.reread = sum(n for _, n in piles["reread"])
        checked.fetched = sum(n for pile in piles.values() for _, n in pile)
        self._dead_letters(checked, batch, [p for p, _ in piles["dead"]], held, target)
        checked.size = sum(p.stat().st_size for p in checked.accepted_files + checked.dead_files)
        checked.state = {**batch.state}
        cursor = table.ingest.cursor
        if batch.backfill or cursor is None:
            checked.cursor_to = batch.cursor_to
        else:
            # a dead row is known again by its id: were its cursor to count, one typing error of
            # nine digits would hide all that comes after it
            files = [path for pile in ("accepted", "reread") for path, _ in piles[pile]]
            checked.state.pop("cursor", None)
            checked.state |= self._watermark(cursor, types[cursor], batch.state, files)
            checked.cursor_to = checked.state.get("cursor")
            checked.state |= batch.settle(checked.cursor_to)
        return checked

    def _pile(
        self, table: Table, batch: Batch, compiled: Compiled, held: Held, target: Path
    ) -> Piles:
        select, shape = compiled.select, compiled.shape
        names = [quote(name) for name in shape.columns]
        known, join = None, ""
        if held.rows is not None and held.rows.num_rows:
            self._con.register("held_rows", held.rows)
            same = " and ".join(f"b.{name} is not distinct from h.{name}" for name in names)
            held_rows = f"select distinct *, true as {_HELD} from held_rows"
            if not table.ingest.primary_key:
                # without a key two equal rows are two rows: the second is news when raw has one
                nth = 'row_number() over (partition by {}) as "row:copy"'
                good = nth.format(", ".join([*names, f"{BROKEN} is null"]))
                select = f"select *, {good} from ({select})"
                every = nth.format(", ".join(names))
                held_rows = f"select *, {every}, true as {_HELD} from held_rows"
                same += ' and b."row:copy" = h."row:copy"'
            join = f"left join ({held_rows}) h on {same}"
            known = f"h.{_HELD}"
        dead = f"to_json({{'s': b._source, 'r': b.{BROKEN}, 'p': {shape.payload('b')}}})::varchar"
        columns = ", ".join(f"b.{name}" for name in names)
        number = numbered(self.number, f"b.{BROKEN} is not null", known)
        return write(
            self._con,
            f"select {columns}, {number} as _load_number, {self._at} as _extracted_at, "
            f"case when b.{BROKEN} is null then b._source else {dead} end as _source, "
            f"{batch.replayed_from} as _replayed_from from ({select}) b {join}",
            target,
        )

    def _dead_letters(
        self, checked: Checked, batch: Batch, dead: list[Path], held: Held, target: Path
    ) -> None:
        parts = []
        if dead:
            parts.append(
                "select j ->> '$.s' as _source, j ->> '$.r' as broken_rules, j ->> '$.p' as payload"
                f" from (select _source::json as j from {parquet(dead)})"
            )
        if batch.unparsable:
            parts.append(
                "select _source, broken_rules, coalesce(payload, '') as payload "
                f"from ({batch.unparsable})"
            )
        if not parts:
            return
        name = literal(checked.table.name)
        # the same bad row is one dead letter however often it is read; a file's line is its own,
        # and so is a message
        own = checked.table.label
        named, origin = literal(own), "payload"
        if batch.origin is not None:
            named = f"{literal(f'{own} ')} || {batch.origin}"
            origin = "_source" if batch.places else "_source, payload"
        text = f"concat_ws(chr(31), {named}, {origin}, occurrence::varchar)"
        known = ""
        if held.dead_ids is not None and held.dead_ids.num_rows:
            self._con.register("held_dead", held.dead_ids)
            known = "where dead_letter_id not in (select dead_letter_id from held_dead)"
        path = target / "dead_letters.parquet"
        self._con.execute(
            f"create or replace temp table dead as select md5({text}) as dead_letter_id, "
            f"{name} as table_name, broken_rules, payload, {self.number}::bigint as _load_number, "
            f"{self._at} as _extracted_at, _source from (select *, row_number() over "
            f"(partition by {origin}) as occurrence from ({' union all '.join(parts)}))"
        )
        total = self._one("select count(*) from dead")
        fresh = self._one(f"select count(*) from dead {known}")
        if fresh:
            self._con.execute(f"copy (from dead {known}) to {literal(str(path))} (format parquet)")
            checked.dead_files = [path]
        unparsable = total - (checked.fetched - checked.accepted - checked.reread)
        checked.fetched += unparsable
        checked.dead = fresh
        checked.reread += total - fresh

    def _watermark(
        self, cursor: str, kind: str, given: TableState, files: list[Path]
    ) -> TableState:
        """The highest cursor of the rows, and at most the one that the reader gave.

        A time that has not come yet never counts, nor does infinity: one row of the year 9999 would
        hide all that comes after it.
        """
        if not files:
            return {}
        finite = f" where isfinite({quote(cursor)})" if kind in ("DOUBLE", "FLOAT") else ""
        top = f"(select max({quote(cursor)}) from {parquet(files)}{finite})"
        if limit := given.get("cursor"):
            limited = f"least({top}, try_cast({literal(str(limit))} as {kind}))"
            top = f"case when {top} is not null then {limited} end"
        if is_time(kind):
            top = f"case when {top} is not null then least({top}, {self._at}::{kind}) end"
        value = self._one(f"select ({top})::varchar")
        return {} if value is None else {"cursor": value, "cursor_column": cursor}

    def _one(self, sql: str) -> Any:
        row = self._con.execute(sql).fetchone()
        return row[0] if row else None
