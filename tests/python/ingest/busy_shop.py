"""A PostgreSQL shop at its busiest: many writers at once, and what of theirs raw must hold.

Each writer inserts and changes rows of its own, in transactions that stay open for a while, and
commits them, rolls them back, or prepares them for a commit to come. A row's `rev` is never used
twice, so a version of a row is known by it.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg

TABLES = {"lines": "timestamptz", "stamps": "timestamptz(0)", "events": "bigint"}
_TICKETS = {"timestamptz": "now()", "timestamptz(0)": "now()", "bigint": "nextval('ticket')"}
READER = "reader"


@dataclass(frozen=True)
class Version:
    """A version of a row, as it was committed; moments are seconds of `time.monotonic`."""

    table: str
    id: int
    rev: int
    committed: float


@dataclass
class BusyShop:
    """The database and its writers.

    Args:
        url: an empty database, of its owner.
        longest: the longest that a writer keeps a transaction open, in seconds.
    """

    url: str
    longest: float
    versions: dict[int, Version] = field(default_factory=dict)
    replaced: dict[int, float] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def reader_url(self) -> str:
        """The database for a role that may read the tables and nothing else."""
        return self.url.replace("millrace:secret", f"{READER}:{READER}")

    def make(self) -> None:
        """The tables, some rows in them, and the role."""
        with psycopg.connect(self.url, autocommit=True) as con:
            con.execute("create sequence ticket")
            con.execute(f"create role {READER} login password '{READER}'")
            for table, kind in TABLES.items():
                con.execute(f"create table {table} (id bigint primary key, rev bigint, at {kind})")
                con.execute(f"create index on {table} (at)")
                con.execute(f"grant select on {table} to {READER}")
        with psycopg.connect(self.url) as con:
            made = [self._insert(con, table) for table in TABLES for _ in range(20)]
            con.commit()
            self._committed(made)

    def begin(self, writers: int, seconds: float, seed: int) -> list[threading.Thread]:
        """Start the writers; each begins no transaction after so many seconds."""
        ends = time.monotonic() + seconds
        threads = [
            threading.Thread(
                target=self._guarded, args=(self._write, random.Random(seed + i), ends)
            )
            for i in range(writers)
        ]
        threads.append(threading.Thread(target=self._guarded, args=(self._idle, ends)))
        for thread in threads:
            thread.start()
        return threads

    def rows(self, table: str) -> set[tuple[int, int]]:
        """Id and rev of the rows that the table has now."""
        with psycopg.connect(self.url) as con:
            return set(con.execute(f"select id, rev from {table}").fetchall())

    def seen_by(self, loads: list[tuple[float, float]]) -> set[int]:
        """The revs that stood unchanged while a whole load went on."""
        return {
            rev
            for rev, version in self.versions.items()
            for begun, ended in loads
            if version.committed < begun and ended < self.replaced.get(rev, float("inf"))
        }

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self.failures.append(repr(error))

    def _write(self, dice: random.Random, ends: float) -> None:
        own: list[Version] = []
        with psycopg.connect(self.url) as con:
            while time.monotonic() < ends:
                own += self._transaction(con, dice, own)
                time.sleep(dice.random() * 0.3)

    def _transaction(
        self, con: psycopg.Connection, dice: random.Random, own: list[Version]
    ) -> list[Version]:
        made: list[Version] = []
        old: list[Version] = []
        con.execute("select now()")  # from here on its values are drawn
        pause = self.longest * dice.random() if dice.random() < 0.3 else 0.1 * dice.random()
        before = dice.random()
        time.sleep(pause * before)
        for _ in range(dice.randint(1, 4)):
            if own and dice.random() < 0.4:
                old.append(own.pop(dice.randrange(len(own))))
                made.append(self._update(con, old[-1], null=dice.random() < 0.1))
            else:
                table = dice.choice(list(TABLES))
                made.append(self._insert(con, table, null=dice.random() < 0.1))
        time.sleep(pause * (1 - before))
        fate = dice.random()
        if fate < 0.1:
            con.rollback()
            self.tally["rolled back"] += 1
            own += old
            return []
        leaving = time.monotonic()
        if fate < 0.2:
            name = f"p{made[0].rev}"
            con.execute(f"prepare transaction '{name}'")
            con.commit()
            time.sleep(pause / 4)
            leaving = time.monotonic()
            con.autocommit = True
            con.execute(f"commit prepared '{name}'")
            con.autocommit = False
            self.tally["prepared"] += 1
        else:
            con.commit()
        self.tally["committed"] += 1
        self.tally["long"] += pause > self.longest / 3
        for version in old:
            self.replaced[version.rev] = leaving
        return self._committed(made)

    def _idle(self, ends: float) -> None:
        """Draws its values first, does nothing for the whole time, and commits after all others."""
        with psycopg.connect(self.url) as con:
            con.execute("select now()")
            made = [self._insert(con, table) for table in TABLES]
            time.sleep(max(0.0, ends + self.longest / 2 - time.monotonic()))
            con.commit()
            self._committed(made)

    def _insert(self, con: psycopg.Connection, table: str, *, null: bool = False) -> Version:
        number = next(self._numbers)
        at = "null" if null else _TICKETS[TABLES[table]]
        con.execute(f"insert into {table} values ({number}, {number}, {at})")
        return Version(table, number, number, 0)

    def _update(self, con: psycopg.Connection, old: Version, *, null: bool) -> Version:
        number = next(self._numbers)
        at = "null" if null else _TICKETS[TABLES[old.table]]
        con.execute(f"update {old.table} set rev = {number}, at = {at} where id = {old.id}")
        return Version(old.table, old.id, number, 0)

    def _committed(self, made: list[Version]) -> list[Version]:
        now = time.monotonic()
        done = [Version(v.table, v.id, v.rev, now) for v in made]
        with self._lock:
            self.versions |= {version.rev: version for version in done}
        return done
