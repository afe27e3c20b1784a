"""Dead letters: rows that broke their contract, kept with the reason until they are dealt with.

A dead letter is open until it is replayed (its rules hold now, and the row goes into raw) or
discarded (someone says why it is not needed). Both are loads of their own, so they happen wholly
or not at all, and raw stays a log. A replayed row keeps the number of the load that first read
it: among versions of a key it ranks where it stood then, and never above a newer one.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.book import entry
from ingest.checksum import sum_of
from ingest.contract import BROKEN, compile_contract
from ingest.declaration import Source, Table
from ingest.destination import Destination
from ingest.errors import IngestError
from ingest.raw_tables import BOOK, FATES, LOAD_COLUMNS, Part
from ingest.session import open_session
from ingest.types import literal, parquet, quote

_OLDEST_FIRST = "order by _load_number, table_name, dead_letter_id"


@dataclass(frozen=True)
class DeadLetter:
    """One open dead letter. `rules` are names like `check:quantity`."""

    id: str
    source: str
    table: str
    rules: tuple[str, ...]
    payload: str
    load_number: int
    origin: str
    extracted_at: datetime


@dataclass(frozen=True)
class Replayed:
    """What a replay of one table came to, in rows."""

    source: str
    table: str
    replayed: int
    still_broken: int


class DeadLetters:
    """The dead letters of one source.

    Args:
        source: the declaration.
        destination: its raw schema, opened.
        types: table to column to DuckDB type, as declared.
        scratch: a folder to work in.
    """

    def __init__(
        self,
        source: Source,
        destination: Destination,
        types: dict[str, dict[str, str]],
        scratch: Path,
    ) -> None:
        self._source, self._destination = source, destination
        self._types, self._scratch = types, scratch

    def open_letters(
        self, table: str | None = None, limit: int | None = None, letter: str | None = None
    ) -> list[DeadLetter]:
        """The open dead letters, oldest first.

        Args:
            table: only of this table.
            limit: at most so many.
            letter: only that of this id.
        """
        return self._read(self._open(table, letter), limit)

    def counts(
        self, table: str | None = None, letter: str | None = None
    ) -> list[tuple[str, tuple[str, ...], int]]:
        """How many are open, by table and the rules that they break."""
        rows = self._destination.arrow(
            "select table_name, broken_rules, count(*) as n "
            f"{self._open(table, letter)} group by all order by all"
        ).to_pylist()
        return [(r["table_name"], tuple(json.loads(r["broken_rules"])), r["n"]) for r in rows]

    def find(self, start: str) -> list[DeadLetter]:
        """The open dead letters whose id begins so."""
        return self._read(f"{self._open()} and starts_with(dead_letter_id, {literal(start)})")

    def _read(self, letters: str, limit: int | None = None) -> list[DeadLetter]:
        rows = self._destination.arrow(
            f"select * {letters} {_OLDEST_FIRST}" + (f" limit {limit}" if limit else "")
        ).to_pylist()
        return [
            DeadLetter(
                row["dead_letter_id"],
                self._source.name,
                row["table_name"],
                tuple(json.loads(row["broken_rules"])),
                row["payload"],
                row["_load_number"],
                row["_source"],
                row["_extracted_at"],
            )
            for row in rows
        ]

    def replay(
        self, run_id: str, table_name: str | None = None, letter: str | None = None
    ) -> list[Replayed]:
        """Check open dead letters against the rules of today; what holds goes into raw.

        A line that could not be parsed stays: have the file sent again, then discard it.

        Args:
            run_id: the run, for the book.
            table_name: only of this table.
            letter: only that of this id.

        Raises:
            LoadError: the destination did not take the load; nothing of it counts.
        """
        done = []
        for table in self._source.tables:
            if table_name in (None, table.name):
                done.append(self._replay(table, run_id, letter))
        return [replayed for replayed in done if replayed.replayed or replayed.still_broken]

    def discard(self, letters: list[DeadLetter], reason: str, run_id: str) -> int:
        """Close these dead letters with a reason; the number closed.

        Raises:
            IngestError: the reason is empty.
        """
        if not reason.strip():
            raise IngestError("a dead letter is discarded with a reason", mend='--reason "…"')
        if letters:
            number, now = self._destination.finished + 1, _now()
            fates = [_fate(letter.id, "discarded", reason, number, now) for letter in letters]
            tables = sorted({letter.table for letter in letters})
            book = [entry(table, number, run_id, now) for table in tables]
            self._commit(number, [], fates, book)
        return len(letters)

    def _replay(self, table: Table, run_id: str, letter: str | None) -> Replayed:
        letters = self._destination.arrow(
            f"select * {self._open(table.name, letter)} {_OLDEST_FIRST}"
        )
        if not letters.num_rows:
            return Replayed(self._source.name, table.name, 0, 0)
        number, now = self._destination.finished + 1, _now()
        folder = self._scratch / "replay"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{table.name}.parquet"
        with open_session(self._scratch) as con:
            con.register("letters", letters)
            columns = self._judge(con, table)
            con.execute(
                f"copy (select {', '.join(map(quote, columns))}, "
                f"{number}::bigint as _load_number, "
                f"timestamp {literal(now.isoformat(sep=' '))} as _extracted_at, "
                "_source::json ->> '$.s' as _source, "
                "(_source::json ->> '$.n')::bigint as _replayed_from "
                f"from judged where {BROKEN} is null) to {literal(str(path))} (format parquet)"
            )
            ids = con.execute(
                f"select _source::json ->> '$.id' from judged where {BROKEN} is null order by all"
            ).fetchall()
        if ids:
            rows = self._not_in_raw(table, path, columns)
            parts = []
            if rows.num_rows:
                pq.write_table(rows, path)
                parts = [Part(table.name, {**columns, **LOAD_COLUMNS}, (path,))]
            fates = [_fate(row[0], "replayed", "its rules hold now", number, now) for row in ids]
            count, checksum = rows.num_rows, 0
            if parts:
                with duckdb.connect() as con:
                    checksum = sum_of(con, parts[0].files, parts[0].columns)
            book = [
                entry(
                    table.name,
                    number,
                    run_id,
                    now,
                    fetched=count,
                    accepted=count,
                    checksum=checksum,
                )
            ]
            self._commit(number, parts, fates, book)
        return Replayed(self._source.name, table.name, len(ids), letters.num_rows - len(ids))

    def _judge(self, con: duckdb.DuckDBPyConnection, table: Table) -> dict[str, str]:
        """Put the letters through the rules of today as the table `judged`; its columns."""
        con.execute(
            "create temp table parsed as select * from letters "
            "where broken_rules <> '[\"unparsable\"]'"
        )
        keys = con.execute(
            "select distinct unnest(json_keys(payload)) as key from parsed order by key"
        ).fetchall()
        types = self._types[table.name]
        found = dict.fromkeys([*types, *(row[0] for row in keys)], "VARCHAR")
        # the id and the first load travel in _source, which the contract leaves as it is
        values = (f"payload ->> {literal(f'$.{quote(n)}')} as {quote(n)}" for n in found)
        relation = (
            f"select {', '.join(values)}, to_json({{'id': dead_letter_id, 's': _source, "
            "'n': _load_number})::varchar as _source from parsed"
        )
        kept = self._destination.columns(table.name)
        compiled = compile_contract(table, relation, found, types, kept)
        con.execute(f"create temp table judged as {compiled.select}")
        return compiled.shape.columns

    def _not_in_raw(self, table: Table, path: Path, columns: dict[str, str]) -> pa.Table:
        """The rows of the file, without those that a later read brought in.

        A key names a row. Without one, as many equal rows are known as later reads brought; a
        file's line is read once, so nothing else can have brought it.
        """
        raw = self._destination.relation(table.name)
        there, nth = self._destination.columns(table.name), quote("row:copy")
        same = " and ".join(
            f"a.{quote(n)} is not distinct from r.{quote(n)}"
            if n in there
            else f"a.{quote(n)} is null"
            for n in columns
        )
        if table.ingest.primary_key:
            known = f"where not exists (select 1 from {raw} r where {same})"
        elif self._source.ingest.kind != "files":
            known = (
                f"where {nth} > (select count(*) from {raw} r "
                f"where {same} and r._load_number > a._replayed_from "
                "and r._replayed_from is null)"
            )
        else:
            known = ""
        equal = ", ".join(map(quote, columns))
        return self._destination.arrow(
            f"select a.* exclude ({nth}) from (select *, row_number() over "
            f"(partition by {equal}) as {nth} from {parquet([path])}) a {known}"
        )

    def _commit(
        self,
        number: int,
        parts: list[Part],
        fates: list[dict[str, object]],
        book: list[dict[str, object]],
    ) -> None:
        path = self._scratch / "replay" / "fates.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(fates), path)
        closed = Part("_dead_letter_fates", FATES, (path,))
        rows = tuple(line.copy for line in book)
        self._destination.commit(number, [*parts, closed, Part("_loads", BOOK, rows=rows)], {})

    def _open(self, table: str | None = None, letter: str | None = None) -> str:
        """The open dead letters as `from … where …`."""
        letters = self._destination.relation("_dead_letters")
        fates = self._destination.relation("_dead_letter_fates")
        return (
            f"from {letters} where dead_letter_id not in (select dead_letter_id from {fates})"
            + (f" and table_name = {literal(table)}" if table else "")
            + (f" and dead_letter_id = {literal(letter)}" if letter else "")
        )


def _fate(letter: str, fate: str, reason: str, number: int, now: datetime) -> dict[str, object]:
    return {
        "dead_letter_id": letter,
        "fate": fate,
        "reason": reason,
        "_load_number": number,
        "_extracted_at": now,
    }


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
