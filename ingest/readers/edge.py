"""The cursor's edge on PostgreSQL: how far a table's rows are settled, and what may still come.

A transaction that is open while a table is read commits rows later, with cursor values that were
drawn before. So a read asks, in this order and each in a snapshot of its own: for the highest
cursor (the top), for the transactions that are open, and for the rows. A row up to the top that
the last of the three did not see belongs to one of those transactions, or to one begun later, whose
values are not below the top. Once they have all ended, one more read from where this one began
sees all of their rows; then the top is settled, and later reads begin there.

Nothing but the order of events counts, no clock: a cursor may be of any type, as long as later
transactions draw no lower values than the top.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from ingest.declaration import Table
from ingest.faults import is_transient
from ingest.readers import TableState
from ingest.readers.bounds import at_least, is_time

STALL = timedelta(seconds=2)
"""PostgreSQL takes `now()` some instructions before the transaction can be seen to be open. A
server process that is held up just there for less than this loses nothing."""

_PATIENCE = 10.0  # seconds that the first reads of a source wait for open transactions
_LONG = timedelta(minutes=10)  # a transaction that is open longer is told of
_MOST = 20  # entries that a table's state keeps

_RUNNING = """
select virtualxid, pid, pid = pg_backend_pid() as own, pg_is_in_recovery() as standby,
    current_setting('max_prepared_transactions') <> '0' as prepares
from pg_locks where locktype = 'virtualxid' and granted and mode = 'ExclusiveLock'
"""
# asked after the locks: who is not here any more has ended, and what was prepared meanwhile is here
_SESSIONS = """
select pid from pg_stat_activity where datname = current_database() and usesysid is not null
"""  # no user: autovacuum, which writes no rows of its own
_PREPARED = "select transaction::text from pg_prepared_xacts where database = current_database()"

Query = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Open:
    """The transactions that were open at one moment: running ones with their process, prepared."""

    running: dict[str, int]
    prepared: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each by a name that no other transaction gets."""
        return (*self.running, *self.prepared)


class Transactions:
    """The open transactions of one database, as any role may see them.

    Args:
        query: asks the database in its own SQL, each time in a transaction of its own.
    """

    def __init__(self, query: Query) -> None:
        self._query, self._patience = query, _PATIENCE

    def open_now(self, *, patient: bool = False) -> Open | None:
        """Those of others in this database; None where they cannot be seen, as on a standby.

        Args:
            patient: wait some seconds for them to end.
        """
        found = self._listed()
        while patient and found is not None and found.names and self._patience > 0:
            self._patience -= 0.1
            time.sleep(0.1)
            now = self._listed()
            if now is None:
                return None
            if not found.running.keys() <= now.running.keys():
                # one that was prepared goes on under another name
                found = replace(found, prepared=(*found.prepared, *now.prepared))
            left = {name: pid for name, pid in found.running.items() if name in now.running}
            kept = (name for name in dict.fromkeys(found.prepared) if name in now.prepared)
            found = Open(left, tuple(kept))
        return found

    def _listed(self) -> Open | None:
        try:
            rows = self._query(_RUNNING)
        except duckdb.Error as error:
            if is_transient(error):
                raise
            return None  # a server that is like PostgreSQL, and has no such list
        if any(standby for _, _, _, standby, _ in rows) or not any(own for _, _, own, _, _ in rows):
            return None
        running = {name: int(pid) for name, pid, own, _, _ in rows if not own}
        if running:
            here = {int(pid) for (pid,) in self._query(_SESSIONS)}
            running = {name: pid for name, pid in running.items() if pid in here}
        prepared = self._query(_PREPARED) if rows[0][4] else []
        return Open(running, tuple(f"prepared {name}" for (name,) in prepared))


@dataclass(frozen=True)
class Pending:
    """A top that is settled when its transactions, and those of the entries before, have ended."""

    to: str
    open: tuple[str, ...]
    since: str


@dataclass(frozen=True)
class Edge:
    """Where the next read of a table begins, None for its first row, and what is pending."""

    start: str | None
    pending: tuple[Pending, ...] = ()

    @classmethod
    def of(cls, state: TableState) -> "Edge":
        """The edge that a table's state has; without one, all is settled up to the cursor."""
        if (kept := state.get("edge")) is None:
            return cls(state.get("cursor"))
        return cls(kept["start"], tuple(Pending(t, tuple(o), s) for t, o, s in kept["pending"]))

    def kept(self, cursor: str | None) -> dict[str, Any] | None:
        """The edge as a table's state keeps it; None where the cursor that goes in says it all."""
        if not self.pending and self.start == cursor is not None:
            return None
        pending = [[each.to, list(each.open), each.since] for each in self.pending]
        return {"start": self.start, "pending": pending}

    def settled(self, now: Open) -> "Edge":
        """The edge after a read that began at its start, when `now` lists what was open before.

        A running transaction that is gone may have been prepared: then what is prepared and not
        known yet counts in its place.
        """
        known = {name for each in self.pending for name in each.open}
        strangers = [name for name in now.prepared if name not in known]
        start, left = self.start, list[Pending]()
        for each in self.pending:
            still = [name for name in each.open if name in now.names]
            if any(name not in now.names and not _is_prepared(name) for name in each.open):
                still += strangers
                strangers = []
            if still:
                left.append(replace(each, open=tuple(still)))
            elif left:
                left[-1] = replace(left[-1], to=each.to)
            else:
                start = each.to
        return Edge(start, tuple(left))

    def joined(self, to: str, now: Open, since: str) -> "Edge":
        """The edge with a new top, with what was open before the rows were read."""
        known = {name for each in self.pending for name in each.open}
        new = tuple(name for name in now.names if name not in known)
        if not new and not self.pending:
            return Edge(to)
        *before, last = self.pending or (Pending(to, (), since),)
        if not new or not self.pending or len(self.pending) >= _MOST:
            return Edge(self.start, (*before, replace(last, to=to, open=(*last.open, *new))))
        return Edge(self.start, (*before, last, Pending(to, new, since)))


@dataclass(frozen=True)
class Shore:
    """What one read of a table makes of its edge.

    Args:
        state: the table's state before.
        kind: the DuckDB type of the cursor.
        top: the highest cursor, asked for first; None where there was none.
        now: the open transactions, asked for second; None where they cannot be seen.
    """

    state: TableState
    kind: str
    top: str | None
    now: Open | None

    def window(self, reached: str | None) -> TableState:
        """The state after a window of the read that is not the last."""
        if reached is None:
            return {}
        edge = Edge.of(self.state)
        if not self._all_seen(edge):
            return {"edge": edge.kept(reached)}  # a read that breaks off here begins there again
        return {"edge": None} if "edge" in self.state else {}

    def end(self, reached: str | None) -> TableState:
        """The state after the last window.

        A top above all rows that were accepted is a bad row's, and says nothing of the others: then
        what the read before reached serves, which was there before this one began.
        """
        now, edge = self.now or Open({}), Edge.of(self.state)
        good = at_least(reached, self.top, self.kind)
        to = self.top if good else self.state.get("cursor")
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        edge = edge.settled(now)
        edge = edge.joined(to, now, since) if to is not None else edge
        kept = edge.kept(reached)
        return {"edge": kept} if kept or "edge" in self.state else {}

    def notes(self, table: Table) -> tuple[str, ...]:
        """What people should know: of transactions that do not end, or cannot be seen."""
        source = table.source
        if self.now is None:
            what = "a standby, or a server that does not list its transactions"
            told = f"{source}: {what}: only `lag` finds rows that are committed out of order"
            return () if table.ingest.lag else (told,)
        long_ago = f"{datetime.now(UTC) - _LONG:%Y-%m-%d %H:%M}"
        return tuple(
            f"{source}: {self._named(name)} has a transaction open since {each.since} UTC or "
            "longer; what came since then is read again with every load until it ends"
            for each in Edge.of(self.state).pending
            if each.since < long_ago
            for name in each.open
            if name in self.now.names
        )

    def _all_seen(self, edge: Edge) -> bool:
        return not edge.pending and not (self.now and self.now.names)

    def _named(self, name: str) -> str:
        pid = self.now.running.get(name) if self.now else None
        return f"process {pid}" if pid else f"nobody, but {name}"


def top_of(column: str, kind: str, column_type: str) -> str:
    """The highest cursor, as PostgreSQL's SQL: without times to come, NaN and infinity.

    Args:
        column: the column, quoted.
        kind: the DuckDB type that it is declared with.
        column_type: the DuckDB type that it has.
    """
    top = f"max({column})"
    if is_time(kind) and is_time(column_type):
        utc = "" if column_type == "TIMESTAMP WITH TIME ZONE" else " at time zone 'UTC'"
        return f"{top} filter (where {column} <= now(){utc})"
    if column_type == "DOUBLE":
        return f"{top} filter (where {column}::float8 not in ('NaN', 'Infinity'))"
    return f"{top} filter (where {column} <> 'NaN')" if column_type.startswith("DEC") else top


def _is_prepared(name: str) -> bool:
    return name.startswith("prepared ")
