"""Loads a source: read, check, load, until nothing is left; each load numbered and in the book."""

import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from ingest.contract import declared_types
from ingest.dead_letters import DeadLetters
from ingest.declaration import Accept, Source, Table
from ingest.deletes import is_due
from ingest.destination import Destination
from ingest.errors import ContractError, redact
from ingest.faults import explained, patiently
from ingest.flow import Flow, Reading, without_the_lost
from ingest.hidden import hidden_in_logs
from ingest.loading import Known, Loading, now
from ingest.loading import SourceResult as SourceResult
from ingest.loading import TableLoad as TableLoad
from ingest.readers import Batch, Environment, Reader, TableState, open_reader, rewound, secrets
from ingest.readers.stretch import Stretch, again
from ingest.session import beside, open_session
from ingest.types import literal


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
    _known: Known = field(default_factory=Known)

    def load(self, run_id: str, *, accept: Accept = "", once: bool = False) -> SourceResult:
        """Everything new at the source, as one or more loads. Errors are collected, not raised.

        Args:
            run_id: the run, for the book.
            accept: what a person has said is right. `deletes`: keys are compared now, and what is
                gone is deleted, however much. `loss`: messages that a topic has no more are told
                in the books, and reading goes on behind them.
            once: one load at most, a window of each table; the next call reads on.
        """
        ask = without_the_lost if accept == "loss" else None
        return self._loaded(
            run_id,
            lambda reading, destination: [
                Flow(reading, table, destination.state(table), ask) for table in self.source.tables
            ],
            accept == "deletes",
            once,
        )

    def states(self) -> dict[str, TableState]:
        """What the last finished load left as the state of each table.

        Raises:
            IngestError: the destination cannot be reached.
        """
        destination = self._opened()
        return {table.name: destination.state(table) for table in self.source.tables}

    def backfill(self, table: Table, stretch: Stretch, run_id: str) -> SourceResult:
        """A stretch of a table's cursor again, as loads. Errors are collected, not raised.

        A stretch that did not come to its end goes on where it was; the table's position stays.
        """

        def ask(reader: Reader, table: Table, state: TableState) -> Generator[Batch, None, None]:
            return again(reader, table, stretch, state)

        def flows(reading: Reading, destination: Destination) -> list[Flow]:
            state = destination.state(table)
            if told := stretch.goes_on(state):
                self.tell(f"{table.label}: {told}")
            return [Flow(reading, table, state, ask)]

        return self._loaded(run_id, flows, None)

    def rewind_stream(self, table: Table, asked: rewound.Since, run_id: str) -> SourceResult:
        """A topic from a point on once more, as loads. Errors are collected, not raised.

        One that did not come to its end goes on where it was; the table's position stays.
        """

        def flows(reading: Reading, destination: Destination) -> list[Flow]:
            book = rewound.loads(
                destination.arrow(
                    f"select load_number, cursor_from, cursor_to from "
                    f"{destination.relation('_loads')} where table_name = {literal(table.name)}"
                ).to_pylist()
            )

            def ask(
                reader: Reader, table: Table, state: TableState
            ) -> Generator[Batch, None, None]:
                return rewound.again(reader, table, state, asked, book)

            return [Flow(reading, table, destination.state(table), ask)]

        return self._loaded(run_id, flows, None)

    def _loaded(
        self,
        run_id: str,
        flows: Callable[[Reading, Destination], list[Flow]],
        accept_deletes: bool | None,
        once: bool = False,
    ) -> SourceResult:
        result = SourceResult(self.source.name)
        hidden = secrets(self.source, self.env)
        try:
            with hidden_in_logs(lambda text: redact(text, hidden)):
                destination = self._opened()
                self._session = self._session or open_session(self.scratch)
                with destination.connected(), beside(self._session) as con:
                    reading = Reading(
                        lambda: open_reader(
                            self.source, con, self.scratch, self.env, destination.files
                        )
                    )
                    loading = Loading(
                        self.source, con, destination, reading, self.scratch, self._known,
                        run_id, hidden, self.tell, result, once,
                    )  # fmt: skip
                    self._load(loading, flows, accept_deletes)
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
        return DeadLetters(self.source, self._opened(), self._known.types, self.scratch)

    def _opened(self) -> Destination:
        if self._destination is None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(parents=True)
            with duckdb.connect() as con:
                for table in self.source.tables:
                    self._known.types[table.name] = declared_types(con, table)
            destination = Destination(self.source, self.warehouse, self.scratch, self.guard)
            with destination.connected():
                destination.open(self._known.types)
                for table in self.source.tables:
                    self._known.kept[table.name] = destination.columns(table.name)
                    _check_types(table, self._known.types[table.name], self._known.kept[table.name])
            self._destination = destination
        return self._destination

    def _load(
        self,
        loading: Loading,
        asked: Callable[[Reading, Destination], list[Flow]],
        accept_deletes: bool | None,
    ) -> None:
        reading, destination = loading.reading, loading.destination
        for attempt in patiently(reading.close):
            with attempt:
                reading.get()
        flows = asked(reading, destination)
        try:
            loading.all_of(flows)
            for table in [flow.table for flow in flows if not flow.failed]:
                if accept_deletes is None or table.ingest.deletes != "compare":
                    continue
                if accept_deletes or is_due(table, destination.state(table), now()):
                    loading.compare(table, accepted=accept_deletes)
        finally:
            reading.close()


def _check_types(table: Table, declared: dict[str, str], kept: dict[str, str]) -> None:
    for name, kind in declared.items():
        if name in kept and kept[name] != kind:
            raise ContractError(
                f"{table.label}.{name} is declared as {kind}, raw holds it as {kept[name]}",
                where=table.where,
                mend="raw is a log and keeps its types: give the column a new name, or cast in "
                "the staging model",
            )
