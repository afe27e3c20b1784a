"""Loads a source: read, check, load, until nothing is left; each load numbered and in the book."""

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
from ingest.contract import declared_types
from ingest.dead_letters import DeadLetters
from ingest.declaration import Source, Table
from ingest.deletes import is_due
from ingest.destination import Destination
from ingest.errors import ContractError, IngestError, redact
from ingest.faults import explained, is_transient, patiently
from ingest.flow import Ask, Flow, Reading
from ingest.held import held_rows, is_new_snapshot
from ingest.hidden import hidden_in_logs
from ingest.raw_tables import BOOK, Part
from ingest.readers import Environment, open_reader, secrets
from ingest.readers.edge import Edge
from ingest.readers.stretch import Stretch, again
from ingest.session import beside, open_session

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
class Loader:
    """Loads one source. Kept open between runs of one process, it need not restore its state.

    Args:
        source: the declaration.
        warehouse: the DuckDB file that holds raw.
        scratch: a folder of this source's own; nothing in it matters after a kill.
        env: where `env:NAME` is looked up.
        tell: is given a line for people now and then.
        guard: called before the destination is changed; what it raises forbids it.
    """

    source: Source
    warehouse: Path
    scratch: Path
    env: Environment
    tell: Callable[[str], None] = lambda line: None
    guard: Callable[[], None] = lambda: None
    _destination: Destination | None = None
    _session: duckdb.DuckDBPyConnection | None = None
    _sums: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1))
    _types: dict[str, dict[str, str]] = field(default_factory=dict)
    _kept: dict[str, dict[str, str]] = field(default_factory=dict)
    _noted: set[str] = field(default_factory=set)

    def load(self, run_id: str, *, accept_deletes: bool = False) -> SourceResult:
        """Everything new at the source, as one or more loads. Errors are collected, not raised.

        Args:
            run_id: the run, for the book.
            accept_deletes: compare keys now, and take what is gone for deleted, however much.
        """
        return self._loaded(
            run_id,
            lambda reading, destination: [
                Flow(reading, table, destination.state(table)) for table in self.source.tables
            ],
            accept_deletes,
        )

    def backfill(self, table: Table, stretch: Stretch, run_id: str) -> SourceResult:
        """A stretch of a table's cursor again, as loads. Errors are collected, not raised.

        A stretch that did not come to its end goes on where it was; the table's position stays.
        """

        def flows(reading: Reading, destination: Destination) -> list[Flow]:
            state = destination.state(table)
            if told := stretch.goes_on(state):
                self.tell(f"{table.label}: {told}")
            ask: Ask = lambda reader, table, state: again(reader, table, stretch, state)  # noqa: E731
            return [Flow(reading, table, state, ask)]

        return self._loaded(run_id, flows, None)

    def _loaded(
        self,
        run_id: str,
        flows: Callable[[Reading, Destination], list[Flow]],
        accept_deletes: bool | None,
    ) -> SourceResult:
        result = SourceResult(self.source.name)
        hidden = secrets(self.source, self.env)
        try:
            with hidden_in_logs(lambda text: redact(text, hidden)):
                destination = self._opened()
                self._session = self._session or open_session(self.scratch)
                with destination.connected(), beside(self._session) as con:
                    self._load(con, destination, flows, run_id, result, accept_deletes)
        except Exception as error:
            # what came of it is undone at the next start
            self._destination = self._session = None
            result.errors.append(explained(error, self.source.name, hidden))
        for problem in result.errors:
            problem.message = redact(problem.message, hidden)
            problem.args = (str(problem),)  # what `repr` shows
        return result

    def dead_letters(self) -> DeadLetters:
        """The source's dead letters.

        Raises:
            IngestError: the destination cannot be reached.
        """
        return DeadLetters(self.source, self._opened(), self._types, self.scratch)

    def _opened(self) -> Destination:
        if self._destination is None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(parents=True)
            with duckdb.connect() as con:
                for table in self.source.tables:
                    self._types[table.name] = declared_types(con, table)
            destination = Destination(self.source, self.warehouse, self.scratch, self.guard)
            with destination.connected():
                destination.open(self._types)
                for table in self.source.tables:
                    self._kept[table.name] = destination.columns(table.name)
                    _check_types(table, self._types[table.name], self._kept[table.name])
            self._destination = destination
        return self._destination

    def _load(
        self,
        con: duckdb.DuckDBPyConnection,
        destination: Destination,
        asked: Callable[[Reading, Destination], list[Flow]],
        run_id: str,
        result: SourceResult,
        accept_deletes: bool | None,
    ) -> None:
        reading = Reading(
            lambda: open_reader(self.source, con, self.scratch, self.env, destination.files)
        )
        for attempt in patiently(reading.close):
            with attempt:
                reading.get()
        flows = asked(reading, destination)
        read = list(flows)
        try:
            while flows:
                flows = self._one_load(con, destination, flows, run_id, result)
            for table in [flow.table for flow in read if not flow.failed]:
                if accept_deletes is None:
                    continue
                due = is_due(table, destination.state(table), _now())
                if due or (accept_deletes and table.ingest.deletes):
                    self._compare(con, destination, reading, table, run_id, result, accept_deletes)
        finally:
            reading.close()

    def _one_load(
        self,
        con: duckdb.DuckDBPyConnection,
        destination: Destination,
        flows: list[Flow],
        run_id: str,
        result: SourceResult,
    ) -> list[Flow]:
        """A window's worth of every table as one load; the tables that have more."""
        number = destination.finished + 1
        now = _now()
        folder = self.scratch / "batches"
        shutil.rmtree(folder, ignore_errors=True)
        checker = Checker(con, folder, number, now)
        taken: list[Taken] = []
        left = []
        for flow in flows:
            start = time.monotonic()
            try:
                self._take(flow, checker, destination)
                if flow.done and flow.gathered is None:
                    self._keep_edge(flow, destination)
            except Exception as error:
                hidden = secrets(self.source, self.env)
                result.errors.append(explained(error, flow.table.label, hidden))
                flow.done = flow.failed = True
            if not flow.done:
                left.append(flow)
            checked, flow.gathered = flow.gathered, None
            if checked is not None and checked.is_news:
                # beside the reading of the next table, or the beginning of dlt's work
                sums = self._sums.submit(book.sums, con.cursor(), checked)
                taken.append((checked, sums, time.monotonic() - start))
            elif checked is not None and "backfill" in checked.state:
                # without news there is no load, but what was read need not be read again
                destination.keep({flow.table.name: flow.state})
                reach = f"from {checked.cursor_from} up to {checked.cursor_to}"
                self.tell(f"{flow.table.label}: nothing new {reach}")
        if taken:
            self._commit(destination, number, now, taken, run_id, result)
        return left

    def _compare(
        self,
        con: duckdb.DuckDBPyConnection,
        destination: Destination,
        reading: Reading,
        table: Table,
        run_id: str,
        result: SourceResult,
        accepted: bool,
    ) -> None:
        """A table's keys compared with the source's, as a load of its own where that is news."""
        start, now, number, name = time.monotonic(), _now(), destination.finished + 1, table.name
        folder = self.scratch / "compared"
        checker = Checker(con, folder / "rows", number, now)
        comparer = Comparer(con, destination, checker, folder, self._types[name], self._kept[name])
        try:
            for attempt in patiently(reading.close):
                with attempt:
                    found = comparer.compare(table, reading.get(), accepted=accepted)
        except Exception as error:
            hidden = secrets(self.source, self.env)
            result.errors.append(explained(error, table.label, hidden))
            return
        if not found.checked.is_news:
            # the state alone: a load that is not in the book is nothing to build
            states = {name: {**destination.state(table), **found.checked.state}}
            destination.commit(destination.finished, [Part("_loads", BOOK)], states)
            return
        self.tell(
            f"{table.label} compared: of {found.alive:,} rows {found.gone:,} are gone at the "
            f"source, {found.back:,} are there again"
        )
        sums = self._sums.submit(book.sums, con.cursor(), found.checked)
        taken = [(found.checked, sums, time.monotonic() - start)]
        self._commit(destination, number, now, taken, run_id, result)

    def _commit(
        self,
        destination: Destination,
        number: int,
        now: datetime,
        taken: list[Taken],
        run_id: str,
        result: SourceResult,
    ) -> None:
        rows = [
            partial(book.entry_of, c, sums, number, run_id, now, seconds)
            for c, sums, seconds in taken
        ]
        parts = [part for checked, *_ in taken for part in book.parts(checked, number)]
        states = {c.table.name: {**destination.state(c.table), **c.state} for c, *_ in taken}
        destination.commit(number, [*parts, Part("_loads", BOOK, rows=tuple(rows))], states)
        for checked, _, seconds in taken:
            name = checked.table.name
            self._kept[name] |= checked.shape.columns
            read = checked.accepted + checked.dead
            result.loads.append(
                TableLoad(
                    self.source.name, name, number, read, checked.accepted, checked.dead, seconds
                )
            )
            self.tell(
                f"{checked.table.label} load {number}: read {read:,}, "
                f"accepted {checked.accepted:,}, dead {checked.dead:,}"
            )
            if failure := book.too_many_dead(checked):
                result.errors.append(failure)

    def _take(self, flow: Flow, checker: Checker, destination: Destination) -> None:
        """Gather the next batches of a table, about a window's worth, through the contract."""
        for attempt in patiently(flow.restart):
            with attempt:
                # after a fault, what is whole goes in before the reading starts afresh
                if flow.gathered is None:
                    self._gather(flow, checker, destination)

    def _keep_edge(self, flow: Flow, destination: Destination) -> None:
        """Move the edge on also without news, where much would be read again for nothing."""
        before = destination.state(flow.table)
        if flow.reread >= _MUCH and Edge.of(flow.state).start != Edge.of(before).start:
            destination.keep({flow.table.name: {**before, **flow.state}})

    def _gather(self, flow: Flow, checker: Checker, destination: Destination) -> None:
        table = flow.table
        types = self._types[table.name]
        while (batch := flow.next()) is not None:
            kept = self._kept[table.name] | (flow.gathered.shape.columns if flow.gathered else {})
            held = held_rows(destination, table, batch, types, self._kept[table.name])
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
                destination, checked
            ):
                continue
            rows = flow.gather(checked)
            # a cursor's next window meets this one's last rows again: they must be in raw by then
            if not batch.files or rows >= table.ingest.window:
                break

    def _note(self, notes: tuple[str, ...]) -> None:
        """Tell what the reader has to say, each thing once in a process."""
        for note in notes:
            if note not in self._noted:
                self._noted.add(note)
                self.tell(note)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _check_types(table: Table, declared: dict[str, str], kept: dict[str, str]) -> None:
    for name, kind in declared.items():
        if name in kept and kept[name] != kind:
            raise ContractError(
                f"{table.label}.{name} is declared as {kind}, raw holds it as {kept[name]}",
                where=table.where,
                mend="raw is a log and keeps its types: give the column a new name, or cast in "
                "the staging model",
            )
