"""One loading of one source: its tables read, checked and committed, load after load."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb

from ingest import book
from ingest.batch import Checked, Checker
from ingest.compare import Comparer
from ingest.declaration import Source, Table
from ingest.destination import Destination
from ingest.errors import IngestError
from ingest.faults import explained, is_transient, patiently
from ingest.flow import Flow, Reading
from ingest.held import held_rows, is_new_snapshot
from ingest.raw_tables import BOOK, Part
from ingest.readers.edge import Edge

Taken = tuple[Checked, Future[book.Sums], float]
_MUCH = 10_000  # rows


@dataclass(frozen=True)
class TableLoad:
    """What one load brought to one table. Rows, bytes and seconds."""

    source: str
    table: str
    number: int
    read: int
    accepted: int
    dead: int
    seconds: float


@dataclass
class SourceResult:
    """What loading a source came to."""

    source: str
    loads: list[TableLoad] = field(default_factory=list)
    errors: list[IngestError] = field(default_factory=list)


@dataclass
class Known:
    """What a process knows of a source from one loading to the next.

    Attributes:
        types: table to declared column to DuckDB type.
        kept: table to every column of raw to its type.
        noted: what the reader had to say and was told already.
        sums: the thread that adds up checksums.
    """

    types: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    noted: set[str] = field(default_factory=set)
    sums: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1))


@dataclass(frozen=True)
class Loading:
    """Loads what flows from the reader, and compares keys; what came of it is in `result`.

    Args:
        source: the declaration.
        con: the session that reads the source.
        destination: raw, opened.
        reading: the source's reader.
        scratch: a folder to work in.
        known: of this source.
        run_id: the run, for the book.
        hidden: what no error may show.
        tell: is given a line for people now and then.
        once: one load at most; who asks for it tells of it.
    """

    source: Source
    con: duckdb.DuckDBPyConnection
    destination: Destination
    reading: Reading
    scratch: Path
    known: Known
    run_id: str
    hidden: tuple[str, ...]
    tell: Callable[[str], None]
    result: SourceResult
    once: bool = False

    def all_of(self, flows: list[Flow]) -> None:
        """Load until nothing is left."""
        while flows:
            flows = self._one_load(flows)
            if self.once and self.result.loads:
                for flow in flows:
                    flow.restart()
                return

    def _one_load(self, flows: list[Flow]) -> list[Flow]:
        """A window's worth of every table as one load; the tables that have more."""
        folder = self.scratch / "batches"
        shutil.rmtree(folder, ignore_errors=True)
        checker = Checker(self.con, folder, self.destination.finished + 1, now())
        taken: list[Taken] = []
        left = []
        for flow in flows:
            start = time.monotonic()
            try:
                self._take(flow, checker)
                if flow.done and flow.gathered is None:
                    self._keep_edge(flow)
            except Exception as error:
                self.result.errors.append(explained(error, flow.table.label, self.hidden))
                flow.done = flow.failed = True
            if not flow.done:
                left.append(flow)
            checked, flow.gathered = flow.gathered, None
            if checked is not None and checked.is_news:
                # beside the reading of the next table, or the beginning of dlt's work
                sums = self.known.sums.submit(book.sums, self.con.cursor(), checked)
                taken.append((checked, sums, time.monotonic() - start))
            elif checked is not None and ("backfill" in checked.state or checked.kept):
                # without news there is no load, but what was read need not be read again
                self.destination.keep({flow.table.name: flow.state})
                checked.taken()
                if "backfill" in checked.state:
                    reach = f"from {checked.cursor_from} up to {checked.cursor_to}"
                    self.tell(f"{flow.table.label}: nothing new {reach}")
        if taken:
            self._commit(checker, taken)
        return left

    def compare(self, table: Table, *, accepted: bool) -> None:
        """A table's keys compared with the source's, as a load of its own where that is news.

        Args:
            table: the declaration.
            accepted: take what is gone for deleted, however much.
        """
        start, name = time.monotonic(), table.name
        folder = self.scratch / "compared"
        checker = Checker(self.con, folder / "rows", self.destination.finished + 1, now())
        comparer = Comparer(
            self.con,
            self.destination,
            checker,
            folder,
            self.known.types[name],
            self.known.kept[name],
        )
        try:
            for attempt in patiently(self.reading.close):
                with attempt:
                    found = comparer.compare(table, self.reading.get(), accepted=accepted)
        except Exception as error:
            self.result.errors.append(explained(error, table.label, self.hidden))
            return
        if not found.checked.is_news:
            # the state alone: a load that is not in the book is nothing to build
            self.destination.keep({name: {**self.destination.state(table), **found.checked.state}})
            return
        self.tell(
            f"{table.label} compared: of {found.alive:,} rows {found.gone:,} are gone at the "
            f"source, {found.back:,} are there again"
        )
        sums = self.known.sums.submit(book.sums, self.con.cursor(), found.checked)
        taken = [(found.checked, sums, time.monotonic() - start)]
        self._commit(checker, taken)

    def _commit(self, checker: Checker, taken: list[Taken]) -> None:
        number, at = checker.number, checker.extracted_at
        rows = [
            partial(book.entry_of, c, sums, number, self.run_id, at, seconds)
            for c, sums, seconds in taken
        ]
        parts = [part for checked, *_ in taken for part in book.parts(checked, number)]
        states = {c.table.name: {**self.destination.state(c.table), **c.state} for c, *_ in taken}
        self.destination.commit(number, [*parts, Part("_loads", BOOK, rows=tuple(rows))], states)
        for checked, _, seconds in taken:
            checked.taken()
            name = checked.table.name
            self.known.kept[name] |= checked.shape.columns
            read = checked.accepted + checked.dead
            self.result.loads.append(
                TableLoad(
                    self.source.name, name, number, read, checked.accepted, checked.dead, seconds
                )
            )
            if not self.once:
                self.tell(
                    f"{checked.table.label} load {number}: read {read:,}, "
                    f"accepted {checked.accepted:,}, dead {checked.dead:,}"
                )
            if failure := book.too_many_dead(checked):
                self.result.errors.append(failure)

    def _take(self, flow: Flow, checker: Checker) -> None:
        """Gather the next batches of a table, about a window's worth, through the contract."""
        for attempt in patiently(flow.restart):
            with attempt:
                # after a fault, what is whole goes in before the reading starts afresh
                if flow.gathered is None:
                    self._gather(flow, checker)

    def _keep_edge(self, flow: Flow) -> None:
        """Move the edge on also without news, where much would be read again for nothing."""
        before = self.destination.state(flow.table)
        if flow.reread >= _MUCH and Edge.of(flow.state).start != Edge.of(before).start:
            self.destination.keep({flow.table.name: {**before, **flow.state}})

    def _gather(self, flow: Flow, checker: Checker) -> None:
        table = flow.table
        types = self.known.types[table.name]
        while (batch := flow.next()) is not None:
            kept = self.known.kept[table.name] | (
                flow.gathered.shape.columns if flow.gathered else {}
            )
            held = held_rows(self.destination, table, batch, types, self.known.kept[table.name])
            try:
                checked = checker.check(table, batch, types, kept, held)
                batch.confirm()
                self._note(batch.notes)
            except (duckdb.Error, IngestError) as error:
                if is_transient(error):
                    raise
                flow.throw_back(error)
                continue
            if table.ingest.write_disposition == "replace" and not is_new_snapshot(
                self.destination, checked
            ):
                continue
            rows = flow.gather(checked)
            # a cursor's next window meets this one's last rows again: they must be in raw by then
            if not batch.joins or rows >= table.ingest.window:
                break

    def _note(self, notes: tuple[str, ...]) -> None:
        """Tell what the reader has to say, each thing once in a process."""
        for note in notes:
            if note not in self.known.noted:
                self.known.noted.add(note)
                self.tell(note)


def now() -> datetime:
    """The present moment, UTC, without a zone, as raw keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)
