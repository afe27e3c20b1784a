"""Rows that are gone at the source: its keys against those that raw holds alive.

A key that raw holds alive and the source has no more gets a tombstone: a copy of its newest
version with `_deleted`. A comparison is a load of its own, after the ordinary read: so the order of
loads is that of reads, and a tombstone ranks above all that was read before it, whatever its
version, and below all that is read later. A key that the source has and raw does not hold alive
(the row came back, or was lost) has its row read and loaded, also when raw has its like already.

A row that changes while keys are compared is right at the next comparison: what is new at the
source is not in raw, so nothing can take it for deleted.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from ingest.batch import Checked, Checker, Held
from ingest.contract import Shape
from ingest.declaration import Table
from ingest.deletes import refuse_many
from ingest.destination import Destination
from ingest.errors import IngestError, SourceError
from ingest.faults import is_transient
from ingest.raw_tables import RANKED_LOAD, died_in
from ingest.readers import Batch, Key, KeyReader, Reader
from ingest.types import INTEGERS, cast, fits, is_decimal, literal, parquet, quote

_FEW = 500
"""So many rows are asked for by their keys; for more the whole table is read."""
_PLAIN = {*INTEGERS, "VARCHAR", "UUID", "DATE", "TIMESTAMP"}


@dataclass(frozen=True)
class Compared:
    """What a comparison found. Counts are keys; `checked` is what it brings to raw."""

    checked: Checked
    alive: int
    gone: int
    back: int


@dataclass(frozen=True)
class Comparer:
    """Compares one table.

    Args:
        con: the session that reads the source.
        destination: raw.
        checker: of the load that the comparison will be.
        folder: for what is put down meanwhile.
        types: declared column to DuckDB type.
        kept: every column of raw to its type.
    """

    con: duckdb.DuckDBPyConnection
    destination: Destination
    checker: Checker
    folder: Path
    types: dict[str, str]
    kept: dict[str, str]

    def compare(self, table: Table, reader: Reader, *, accepted: bool) -> Compared:
        """Find what is gone and what came back.

        Args:
            table: the declaration.
            reader: of the source.
            accepted: a person has said that the rows are rightly gone, however many.

        Raises:
            ContractError: more rows are gone than `max_deleted`, or all.
            SourceError: the source cannot list its keys.
            duckdb.Error: the source failed while it was read.
        """
        if not isinstance(reader, KeyReader):
            raise SourceError(
                "deletes: this database is read through SQLAlchemy, which is not asked for keys",
                where=table.where,
                mend="drop `deletes: compare`, or replace the table (write_disposition: replace)",
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        found = self._put_down_keys(table, reader)
        key = ", ".join(map(quote, table.ingest.primary_key))
        raw = self.destination.relation(table.name)
        alive = self._written(
            self.destination,
            "alive",
            f"select {key} from {raw} group by {key} "
            f"having coalesce(max({RANKED_LOAD}) "
            f"> max({RANKED_LOAD}) filter (where _deleted), true)",
        )
        there, held = self._file("keys"), self._file("alive")
        # without its alias DuckDB takes `anti` for one
        gone = self._written(self, "gone", f"from {held} h anti join {there} t using ({key})")
        back = self._written(self, "back", f"from {there} t anti join {held} h using ({key})")
        if not accepted:
            refuse_many(table, gone, alive)
        checked = Checked(table, Shape(self.kept, ()), self.folder)
        if gone:
            self._add_tombstones(checked, gone)
        if back:
            checked.add(self._rows(table, reader, found))
        # the watermark is the ordinary reads' alone
        checked.state = {"compared_at": self.checker.extracted_at.isoformat()}
        return Compared(checked, alive, gone, back)

    def arrow(self, sql: str) -> Any:
        """The rows of a query in the session."""
        return self.con.execute(sql).to_arrow_table()

    def _put_down_keys(self, table: Table, reader: KeyReader) -> dict[str, str]:
        """Write the source's keys, typed by the contract and as they came; their types there."""
        relation, found = reader.keys(table)
        columns, good = [], []
        for name in table.ingest.primary_key:
            source, target = found[name], self.types[name]
            typed = quote(name) if source == target else cast(quote(name), source, target)
            columns += [f"{typed} as {quote(name)}", f"{quote(name)}::varchar as {_came(name)}"]
            # what breaks the key's type is a dead letter, and in raw there is no such key
            good.append(f"{typed} is not null and {fits(quote(name), typed, source, target)}")
        where = " and ".join(good)
        self._written(self, "keys", f"select {', '.join(columns)} from ({relation}) where {where}")
        return found

    def _add_tombstones(self, checked: Checked, count: int) -> None:
        table, keys = checked.table, checked.table.ingest.primary_key
        key, version = ", ".join(map(quote, keys)), table.ingest.version or table.ingest.cursor
        told = ", ".join(f"coalesce({quote(name)}::varchar, '~')" for name in sorted(self.types))
        # as macros/newest_versions.sql ranks them
        order = [
            f'{RANKED_LOAD} > coalesce("row:died", 0) desc',
            *([f"{quote(version)} desc nulls last"] if version else []),
            f"{RANKED_LOAD} desc, _source desc",
            f"md5(concat_ws('|', {told})) desc, _load_number desc",
        ]
        died = f'{died_in(key)} as "row:died"'
        columns = ", ".join(map(quote, self.kept))
        self._written(
            self.destination,
            "tombstones",
            f"select {columns}, {self.checker.number}::bigint as _load_number, "
            f"{literal(str(self.checker.extracted_at))}::timestamp as _extracted_at, "
            f"{literal(table.label)} as _source, null::bigint as _replayed_from, true as _deleted "
            f"from (select *, {died} from {self.destination.relation(table.name)} r "
            f"semi join {self._file('gone')} g using ({key})) "
            f"qualify row_number() over (partition by {key} order by {', '.join(order)}) = 1",
        )
        path = self._path("tombstones")
        checked.accepted_files.append(path)
        checked.size += path.stat().st_size
        checked.fetched += count
        checked.accepted += count

    def _rows(self, table: Table, reader: KeyReader, found: dict[str, str]) -> Checked:
        """The whole rows of the keys that came back, through the contract."""
        dead = self.destination.arrow(
            f"select dead_letter_id from {self.destination.relation('_dead_letters')} "
            f"where table_name = {literal(table.name)}"
        )
        batches = reader.rows_of(table, self._few(table, found))
        batch = next(batches)
        try:
            return self._check(table, batch, dead)
        except (duckdb.Error, IngestError) as error:
            if is_transient(error):
                raise
            return self._check(table, batches.throw(error), dead)

    def _check(self, table: Table, batch: Batch, dead: Any) -> Checked:
        same = " and ".join(
            f"{cast('b.' + quote(name), batch.found[name], self.types[name])} = k.{quote(name)}"
            for name in table.ingest.primary_key
        )
        relation = (
            f"select b.* from ({batch.relation}) b semi join {self._file('back')} k on {same}"
        )
        checked = self.checker.check(
            table, replace(batch, relation=relation), self.types, self.kept, Held(None, dead)
        )
        batch.confirm()
        return checked

    def _few(self, table: Table, found: dict[str, str]) -> list[Key] | None:
        """The keys that came back as the source wrote them; None where they cannot be listed."""
        kinds = [found[name] for name in table.ingest.primary_key]
        if not all(kind in _PLAIN or is_decimal(kind) for kind in kinds):
            return None
        came = ", ".join(map(_came, table.ingest.primary_key))
        keys: list[Key] = self.con.execute(
            f"select {came} from {self._file('back')} limit {_FEW + 1}"
        ).fetchall()
        # some databases take a backslash in a string for a sign of their own
        odd = any(not text.isprintable() or "\\" in text for key in keys for text in key)
        return None if odd or len(keys) > _FEW else keys

    def _written(self, where: Any, name: str, sql: str) -> int:
        """Put the rows of a query into the file of that name; how many."""
        rows = where.arrow(f"copy ({sql}) to {literal(str(self._path(name)))} (format parquet)")
        return int(rows[0][0].as_py())

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _file(self, name: str) -> str:
        return parquet([self._path(name)])


def _came(name: str) -> str:
    return quote(f"row:came:{name}")
