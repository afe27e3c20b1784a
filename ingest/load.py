"""Loads a source: read, check, load, until nothing is left; each load numbered and in the book."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import tenacity

from ingest.batch import Checked, Checker, Held
from ingest.dead_letters import DeadLetters
from ingest.declaration import Source, Table
from ingest.destination import BOOK, DEAD, FILES, LOAD_COLUMNS, Destination, Part
from ingest.errors import ContractError, IngestError, SourceDownError, SourceError, redact
from ingest.readers import Batch, Environment, Reader, TableState, open_reader, secrets
from ingest.session import open_session
from ingest.types import literal, quote

# A small load is judged as though it had this many rows, or one bad row in ten would stop it.
_JUDGED_ROWS = 1000
_BUGS = (NameError, AttributeError, TypeError, LookupError, AssertionError)
_TRANSIENT = (
    "could not connect",
    "connection refused",
    "connection reset",
    "timed out",
    "timeout",
    "server closed the connection",
    "terminating connection",
    "database is locked",
    "too many connections",
    "429",
    "500 server",
    "502",
    "503",
    "504",
    "max retries exceeded",
    "temporarily unavailable",
)


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
    """

    source: Source
    warehouse: Path
    scratch: Path
    env: Environment
    tell: Callable[[str], None] = lambda line: None
    _destination: Destination | None = None
    _types: dict[str, dict[str, str]] = field(default_factory=dict)
    _kept: dict[str, dict[str, str]] = field(default_factory=dict)

    def load(self, run_id: str) -> SourceResult:
        """Everything new at the source, as one or more loads. Errors are collected, not raised."""
        result = SourceResult(self.source.name)
        hidden = secrets(self.source.ingest, self.env)
        try:
            destination = self._opened()
            con = open_session(self.scratch)
        except IngestError as error:
            self._destination = None
            result.errors.append(error)
            return result
        try:
            with con:
                self._load(con, destination, run_id, result)
        except Exception as error:
            self._destination = None  # what came of it is undone at the next start
            result.errors.append(_explained(error, self.source.name, hidden))
        for problem in result.errors:
            problem.message = redact(problem.message, hidden)
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
                    self._types[table.name] = {}
                    if not table.columns:
                        continue
                    shape = ", ".join(
                        f"null::{c.data_type} as {quote(c.name)}" for c in table.columns
                    )
                    rows = con.execute(f"describe select {shape}").fetchall()
                    self._types[table.name] = {row[0]: row[1] for row in rows}
            destination = Destination(self.source, self.warehouse, self.scratch)
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
        run_id: str,
        result: SourceResult,
    ) -> None:
        left = {table.name: table for table in self.source.tables}
        flows: dict[str, _Flow] = {}
        for attempt in _patiently():
            with attempt:
                opened = open_reader(self.source, con, self.scratch, self.env, destination.files)
                reader = opened.__enter__()
        try:
            while left:
                self._one_load(con, destination, reader, flows, left, run_id, result)
        finally:
            opened.__exit__(None, None, None)

    def _one_load(
        self,
        con: duckdb.DuckDBPyConnection,
        destination: Destination,
        reader: Reader,
        flows: "dict[str, _Flow]",
        left: dict[str, Table],
        run_id: str,
        result: SourceResult,
    ) -> None:
        number = destination.finished + 1
        now = datetime.now(UTC).replace(tzinfo=None)
        folder = self.scratch / "batches"
        shutil.rmtree(folder, ignore_errors=True)
        checker = Checker(con, folder, number, now)
        taken: list[tuple[Checked, float]] = []
        for name, table in list(left.items()):
            start = time.monotonic()
            flow = flows.setdefault(name, _Flow(reader, table, destination.state(table)))
            try:
                checked = self._take(flow, checker, destination)
            except Exception as error:
                result.errors.append(
                    _explained(error, table.label, secrets(self.source.ingest, self.env))
                )
                del left[name]
                checked = flow.gathered
            if flow.done:
                left.pop(name, None)
            flow.gathered = None
            if checked is not None and checked.is_news:
                taken.append((checked, time.monotonic() - start))
        if not taken:
            return
        parts, book = [], []
        for checked, seconds in taken:
            parts += _parts(checked, number)
            book.append(_entry(checked, number, seconds, run_id, now))
        parts.append(Part("_loads", BOOK, rows=tuple(book)))
        states = {c.table.name: {**destination.state(c.table), **c.state} for c, _ in taken}
        destination.commit(number, parts, states)
        for checked, seconds in taken:
            self._kept[checked.table.name] |= checked.shape.columns
            load = _told(self.source.name, checked, number, seconds)
            result.loads.append(load)
            self.tell(
                f"{self.source.name}.{load.table} load {number}: read {load.read:,}, "
                f"accepted {load.accepted:,}, dead {load.dead:,}"
            )
            if failure := _too_many_dead(checked):
                result.errors.append(failure)

    def _take(self, flow: "_Flow", checker: Checker, destination: Destination) -> Checked | None:
        """The next batches of a table, about a window's worth, through the contract."""
        table = flow.table
        types, kept = self._types[table.name], self._kept[table.name]
        while (batch := flow.next()) is not None:
            held = _held(destination, table, batch, types)
            checked = checker.check(table, batch, types, kept, held)
            if table.ingest.write_disposition == "replace" and not _is_new_snapshot(
                destination, checked
            ):
                continue
            flow.gather(checked)
            if flow.gathered and flow.gathered.fetched >= table.ingest.window:
                break
        return flow.gathered


class _Flow:
    """A table's batches, one after another; after a passing fault the reading starts afresh."""

    def __init__(self, reader: Reader, table: Table, state: TableState) -> None:
        self._reader, self.table, self._state = reader, table, state
        self._batches: Iterator[Batch] | None = None
        self.gathered: Checked | None = None
        self.done = False

    def next(self) -> Batch | None:
        for attempt in _patiently():
            with attempt:
                if self._batches is None:
                    self._batches = self._reader.batches(self.table, self._state)
                try:
                    batch = next(self._batches, None)
                except Exception:
                    self._batches = None
                    raise
        self.done = batch is None
        return batch

    def gather(self, checked: Checked) -> None:
        self._state = {**self._state, **checked.state}
        if self.gathered is None:
            self.gathered = checked
        else:
            self.gathered.add(checked)


def _patiently() -> tenacity.Retrying:
    """Five tries, some seconds in all, for faults that pass by themselves."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_transient),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        stop=tenacity.stop_after_attempt(5),
        reraise=True,
    )


def _is_transient(error: BaseException) -> bool:
    text = str(error).lower()
    return not isinstance(error, IngestError) and any(word in text for word in _TRANSIENT)


def _explained(error: Exception, where: str, hidden: tuple[str, ...]) -> IngestError:
    if isinstance(error, IngestError):
        return error
    if isinstance(error, _BUGS):
        raise error
    lines = redact(str(error), hidden).strip().splitlines() or [type(error).__name__]
    if _is_transient(error):
        return SourceDownError(
            f"the source does not answer: {lines[0]}",
            where=where,
            mend="the next run reads on from where this one was",
        )
    return SourceError(lines[0], where=where, mend="see the message; nothing was lost or skipped")


def _check_types(table: Table, declared: dict[str, str], kept: dict[str, str]) -> None:
    for name, kind in declared.items():
        if name in kept and kept[name] != kind:
            raise ContractError(
                f"{table.label}.{name} is declared as {kind}, raw holds it as {kept[name]}",
                where=table.where,
                mend="raw is a log and keeps its types: give the column a new name, or cast in "
                "the staging model",
            )


def _held(destination: Destination, table: Table, batch: Batch, types: dict[str, str]) -> Held:
    whole = table.ingest.cursor is None and not batch.files
    if table.ingest.write_disposition == "replace" or not (batch.may_overlap or whole):
        return Held()
    where = "true"
    if table.ingest.cursor is not None:
        cursor = quote(table.ingest.cursor)
        low = f"try_cast({literal(str(batch.cursor_from))} as {types[table.ingest.cursor]})"
        where = f"{cursor} >= {low} or {cursor} is null"
    names = destination.columns(table.name)
    wanted = {**types, **{n: k for n, k in names.items() if n in batch.found}}
    new = [n for n in batch.found if n not in wanted]
    columns = ", ".join([*map(quote, wanted), *(f"null::varchar as {quote(n)}" for n in new)])
    rows = destination.arrow(
        f"select {columns} from {destination.relation(table.name)} where {where}"
    )
    dead = destination.arrow(
        f"select dead_letter_id from {destination.relation('_dead_letters')} "
        f"where table_name = {literal(table.name)}"
    )
    return Held(rows, dead)


def _is_new_snapshot(destination: Destination, checked: Checked) -> bool:
    """A whole table read anew: refused when much of it is missing, passed over when it is the same.

    Raises:
        ContractError: fewer rows than `min_share` of the last snapshot.
    """
    table = checked.table
    raw = destination.relation(table.name)
    last = f"(select max(_load_number) from {raw})"
    row = destination.arrow(f"select count(*) as n from {raw} where _load_number = {last}")
    before = row.to_pylist()[0]["n"]
    if checked.accepted < before * table.ingest.min_share:
        raise ContractError(
            f"the read gave {checked.accepted} rows, the last snapshot has {before}: "
            "this looks like a truncated read, and the last snapshot stays",
            where=table.where,
            mend="look at the source; where the rows are rightly gone, lower min_share for one run",
        )
    if checked.accepted != before or checked.dead or not checked.accepted_files:
        return checked.accepted != before or bool(checked.dead)
    names = ", ".join(quote(name) for name in checked.shape.columns)
    files = ", ".join(literal(str(path)) for path in checked.accepted_files)
    differ = destination.arrow(
        f"select count(*) as n from (select {names} from read_parquet([{files}]) except all "
        f"select {names} from {raw} where _load_number = {last})"
    )
    return bool(differ.to_pylist()[0]["n"])


def _parts(checked: Checked, number: int) -> list[Part]:
    table = checked.table
    columns = {**checked.shape.columns, **LOAD_COLUMNS}
    parts = []
    if checked.accepted_files:
        parts.append(Part(table.name, columns, files=tuple(checked.accepted_files)))
    if checked.dead_files:
        parts.append(Part("_dead_letters", DEAD, files=tuple(checked.dead_files)))
    if checked.files:
        path = checked.folder / "files.parquet"
        rows = [
            {"table_name": table.name, **vars(f), "_load_number": number} for f in checked.files
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)
        parts.append(Part("_files", FILES, files=(path,)))
    return parts


def _entry(
    checked: Checked, number: int, seconds: float, run_id: str, now: datetime
) -> dict[str, object]:
    return {
        "load_number": number,
        "table_name": checked.table.name,
        "rows_fetched": checked.fetched,
        "rows_reread": checked.reread,
        "rows_read": checked.accepted + checked.dead,
        "rows_accepted": checked.accepted,
        "rows_dead": checked.dead,
        "bytes": checked.size,
        "seconds": round(seconds, 3),
        "cursor_from": checked.cursor_from,
        "cursor_to": checked.state.get("cursor"),
        "run_id": run_id,
        "extracted_at": now,
    }


def _told(source: str, checked: Checked, number: int, seconds: float) -> TableLoad:
    read = checked.accepted + checked.dead
    return TableLoad(
        source, checked.table.name, number, read, checked.accepted, checked.dead, seconds
    )


def _too_many_dead(checked: Checked) -> ContractError | None:
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
