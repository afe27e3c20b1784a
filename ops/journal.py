"""The journal of runs in the warehouse: runs, steps, dbt nodes, and what has been built so far."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ops import raw_books
from ops.lock import HeldError
from ops.standing import Before, how_things_stand

_TABLES = """
create schema if not exists millrace;
create table if not exists millrace.runs (
    run_id varchar, command varchar, target varchar, started_at timestamp, finished_at timestamp,
    status varchar, exit_code integer
);
create table if not exists millrace.steps (
    run_id varchar, step varchar, started_at timestamp, finished_at timestamp, status varchar,
    detail varchar
);
create table if not exists millrace.built (
    run_id varchar, source_name varchar, table_name varchar, load_number bigint, built_at timestamp
);
create table if not exists millrace.marks (
    run_id varchar, name varchar, value varchar, marked_at timestamp
);
create table if not exists millrace.node_results (
    run_id varchar, unique_id varchar, resource_type varchar, node_name varchar, status varchar,
    execution_seconds double, failures bigint, message varchar, finished_at timestamp
);
"""

_PATIENCE = 3.0  # `millrace status` looks for some tenths of a second


@dataclass(frozen=True)
class NodeResult:
    """What came of one dbt node; seconds, and failing rows where it is a test."""

    unique_id: str
    resource_type: str
    node_name: str
    status: str
    execution_seconds: float
    failures: int | None
    message: str


def now() -> datetime:
    """The present moment, UTC, without a zone, as the warehouse keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_run_id() -> str:
    """An id for a run that begins now; ids sort as their runs began."""
    return f"{now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def connect(warehouse: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open the warehouse; to write, after a moment too, for who only looks has it no longer.

    Raises:
        HeldError: another program has it open.
    """
    ends = time.monotonic() + (0 if read_only else _PATIENCE)
    while True:
        try:
            return duckdb.connect(str(warehouse), read_only=read_only)
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            if time.monotonic() > ends:
                raise HeldError(f"another program has the warehouse open: {error}") from None
        time.sleep(0.05)


class Journal:
    """Writes the journal. It opens the warehouse for each entry and leaves it to others between.

    Args:
        warehouse: its file.
        guard: called before each entry, with the warehouse open; what it raises forbids it.
        read_only: it is only looked at; the warehouse and the journal are there.
    """

    def __init__(
        self,
        warehouse: Path,
        guard: Callable[[], None] = lambda: None,
        *,
        read_only: bool = False,
    ) -> None:
        self._warehouse, self._guard, self._read_only = warehouse, guard, read_only
        self._keeping = False
        self._kept: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Stay at the warehouse from one entry to the next: to open it costs 25 ms of processor.

        Who opens it plainly meanwhile, as ingest does, opens it for nothing. Who opens it with
        settings of its own, or attaches to it, comes after `let_go`.
        """
        self._keeping = True
        try:
            yield
        finally:
            self._keeping = False
            self.let_go()

    def let_go(self) -> None:
        """Close the warehouse until the next entry."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def start(self, run_id: str, command: str, target: str) -> None:
        """Begin a run. Runs that are still open were killed: the lock is ours now."""
        with self._open() as con:
            con.begin()
            con.execute(_TABLES)
            con.execute("update millrace.runs set status = 'killed' where status = 'running'")
            con.execute("update millrace.steps set status = 'killed' where status = 'running'")
            con.execute(
                "insert into millrace.runs values (?, ?, ?, ?, null, 'running', null)",
                [run_id, command, target, now()],
            )
            con.commit()

    def finish(self, run_id: str, status: str, exit_code: int) -> None:
        """End a run."""
        with self._open() as con:
            con.execute(
                "update millrace.runs set finished_at = ?, status = ?, exit_code = ? "
                "where run_id = ?",
                [now(), status, exit_code, run_id],
            )

    def forget(self, run_id: str) -> None:
        """Take out a run that found nothing to do, so that an idle loop leaves no trail."""
        with self._open() as con:
            con.begin()
            for table in ("runs", "steps", "node_results"):
                con.execute(f"delete from millrace.{table} where run_id = ?", [run_id])
            con.commit()

    def begin_step(self, run_id: str, step: str, started_at: datetime) -> None:
        """A step begins. If nothing ends it, the next run finds that it was killed."""
        with self._open() as con:
            con.execute(
                "insert into millrace.steps values (?, ?, ?, null, 'running', null)",
                [run_id, step, started_at],
            )

    def end_step(
        self, run_id: str, step: str, started_at: datetime, status: str, detail: str
    ) -> None:
        """A step that has ended, whether its beginning was told or not."""
        with self._open() as con:
            con.begin()
            con.execute(
                "delete from millrace.steps where run_id = ? and step = ? and started_at = ?",
                [run_id, step, started_at],
            )
            con.execute(
                "insert into millrace.steps values (?, ?, ?, ?, ?, ?)",
                [run_id, step, started_at, now(), status, detail[:2000]],
            )
            con.commit()

    def nodes(self, run_id: str, results: Iterable[NodeResult]) -> None:
        """What came of the nodes of one dbt invocation."""
        at = now()
        rows = [[run_id, *vars(result).values(), at] for result in results]
        if rows:
            with self._open() as con:
                con.begin()
                con.executemany(
                    "insert into millrace.node_results values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
                )
                con.commit()

    def nodes_of_killed(self, run_id: str, results: list[tuple[NodeResult, datetime]]) -> None:
        """What came of the nodes of a build that was killed, with their ends; once, if repeated."""
        with self._open() as con:
            con.begin()
            for result, at in results:
                con.execute(
                    "delete from millrace.node_results where run_id = ? and unique_id = ?",
                    [run_id, result.unique_id],
                )
                con.execute(
                    "insert into millrace.node_results values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [run_id, *vars(result).values(), at],
                )
            con.commit()

    def pending(self, sources: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Source tables with finished loads that no good build has taken: (source, table) to load.

        Args:
            sources: the sources' names and raw schemas.
        """
        with self._open() as con:
            return raw_books.pending(con, sources)

    def ever_loaded(self, schemas: Iterable[str]) -> bool:
        """Whether any of these raw schemas has a finished load."""
        with self._open() as con:
            return raw_books.ever_loaded(con, schemas)

    def has_built(self, run_id: str) -> bool:
        """Whether this run began a build here."""
        with self._open() as con:
            return bool(
                con.execute(
                    "select 1 from millrace.steps where run_id = ? and step = 'build'", [run_id]
                ).fetchone()
            )

    def before(self) -> Before:
        """How things stand after the runs so far."""
        with self._open() as con:
            return how_things_stand(con, nobody=self._read_only)

    def built(self, run_id: str, loads: dict[tuple[str, str], int], marks: dict[str, str]) -> None:
        """A build of these loads passed all its tests, and left these marks; all or nothing."""
        at = now()
        with self._open() as con:
            con.begin()
            for (source, table), number in loads.items():
                con.execute(
                    "insert into millrace.built values (?, ?, ?, ?, ?)",
                    [run_id, source, table, number, at],
                )
            self._mark(con, run_id, marks, at)
            con.commit()

    def mark(self, run_id: str, name: str, value: str = "") -> None:
        """Something that a later run asks for: see `Before`."""
        with self._open() as con:
            con.begin()
            self._mark(con, run_id, {name: value}, now())
            con.commit()

    def _mark(
        self, con: duckdb.DuckDBPyConnection, run_id: str, marks: dict[str, str], at: datetime
    ) -> None:
        for name, value in marks.items():
            con.execute("delete from millrace.marks where name = ?", [name])
            con.execute("insert into millrace.marks values (?, ?, ?, ?)", [run_id, name, value, at])

    @contextmanager
    def _open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        con = self._kept
        if con is None:
            con = connect(self._warehouse, read_only=self._read_only)
            if self._keeping:
                self._kept = con
        try:
            # who takes the lock from us opens the warehouse after us: as long as we have it open,
            # what the guard finds holds
            self._guard()
            yield con
        finally:
            if con is not self._kept:
                con.close()
