"""Scans of a till in raw, thrown by a seed, and in plain Python what windows over them must hold.

A scan is told within two hours or up to ten days late. Some are told again, or corrected: another
time, store, household or amount, the correction at times before what it corrects; some die, by a
copy or by a row with nothing but the key, and some of those come back. Times are whole tens of
minutes, so that events lie on the edges of windows and just one gap apart.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

FIRST = datetime(2017, 1, 2)
LOADS = 24
"""One a day; what comes later than the last is told in it."""
COMPARED, EMPTY = (5, 10, 15, 20), (7, 13)
"""Loads that bring tombstones alone, and those that bring nothing."""
READ = [n for n in range(1, LOADS + 1) if n not in (*COMPARED, *EMPTY)]
EVENTS = 220
LATENESS = timedelta(days=3)
HOUR, DAY, SLIDE, GAP = (timedelta(minutes=m) for m in (60, 1440, 360, 30))

Key = tuple[int, int]
Windows = dict[tuple[Any, ...], tuple[Any, ...]]


@dataclass(frozen=True)
class Row:
    """One row of raw."""

    key: Key
    household: int
    store: int
    amount: Decimal
    at: datetime
    updated_at: datetime | None
    load: int
    replayed_from: int | None = None
    deleted: bool = False
    bare: bool = False
    """Nothing but the key, the load and that it is deleted."""

    @property
    def read_in(self) -> int:
        """The load that it ranks by."""
        return self.replayed_from or self.load

    def values(self) -> tuple[Any, ...]:
        """As raw has them."""
        told = (self.household, self.store, self.amount, self.at, self.updated_at)
        return (*self.key, *([None] * 5 if self.bare else told), self.load, "here",
                self.replayed_from, self.deleted or None)  # fmt: skip


def thrown(seed: int) -> list[Row]:
    """All rows of a world, in no order."""
    dice = random.Random(seed)
    return [row for n in range(EVENTS) for row in _story(dice, (n // 3, n))]


def _story(dice: random.Random, key: Key) -> Iterator[Row]:
    """One scan, from its first row to its last."""
    at = FIRST + timedelta(days=dice.randint(0, 13), minutes=10 * dice.randint(54, 126))
    late = dice.choice([timedelta(hours=2)] * 3 + [timedelta(hours=dice.randint(2, 240))] * 2)
    first = Row(
        key, dice.randint(1, 4), dice.randint(1, 3), Decimal(dice.randint(1, 9)), at,
        at if dice.random() < 0.9 else None, _load((at + late - FIRST).days + 1),
    )  # fmt: skip
    versions = [first]
    for n in range(dice.choice([0, 0, 0, 1, 1, 2])):
        changed = replace(
            versions[-1], updated_at=at + timedelta(minutes=n + 1),
            load=_load(first.load + dice.randint(-2, 6)),
        )  # fmt: skip
        moved = dice.choice([10, -10, 30, 60, -360, 1440, -4320])
        versions.append(dice.choice([
            replace(changed, at=at + timedelta(minutes=moved)),
            replace(changed, store=dice.randint(1, 3), household=dice.randint(1, 4)),
            replace(changed, amount=Decimal(dice.randint(10, 99))),
        ]))  # fmt: skip
    yield from versions
    if dice.random() < 0.2:
        again = _load(first.load + dice.randint(0, 12))
        yield replace(
            dice.choice(versions), load=again, replayed_from=dice.choice([None, _load(again - 4)])
        )
    if dice.random() < 0.15:
        died = min((n for n in COMPARED if n > first.load), default=COMPARED[-1])
        bare = dice.random() < 0.5
        dead = replace(versions[-1], load=died, deleted=True, bare=bare)
        yield replace(dead, updated_at=None) if bare else dead
        if dice.random() < 0.5:
            yield replace(dice.choice(versions), load=_load(died + dice.randint(1, 5)))


def _load(number: int) -> int:
    """The first load from this one on that reads rows."""
    return next((n for n in READ if n >= number), READ[-1])


class Raw:
    """The raw schema in a warehouse, load by load."""

    def __init__(self, warehouse: Path, rows: list[Row]) -> None:
        self._warehouse, self._rows = warehouse, rows
        with duckdb.connect(str(warehouse)) as con:
            for (schema,) in con.execute(
                "select schema_name from duckdb_schemas() where database_name = current_database()"
                " and not internal"
            ).fetchall():
                con.execute(f"drop schema {schema} cascade")
            con.execute("""
                create schema raw_scanner;
                create table raw_scanner._loads
                    (load_number bigint, table_name varchar, _dlt_load_id varchar);
                create table raw_scanner._dlt_loads (load_id varchar, status bigint);
                create table raw_scanner.scans (
                    basket_id bigint, product_id bigint, household_id bigint, store_id bigint,
                    sales_value decimal(10, 2), transaction_timestamp timestamp,
                    updated_at timestamp, _load_number bigint, _source varchar,
                    _replayed_from bigint, _deleted boolean);
            """)

    def deliver(self, number: int, finished: bool = True) -> None:
        """Brings a load; again, to finish what was not finished."""
        with duckdb.connect(str(self._warehouse)) as con:
            con.execute(f"delete from raw_scanner.scans where _load_number = {number}")
            con.execute(f"delete from raw_scanner._loads where load_number = {number}")
            con.execute(f"insert into raw_scanner._loads values ({number}, 'scans', '{number}')")
            rows = [row.values() for row in self._rows if row.load == number]
            if rows:
                con.executemany(f"insert into raw_scanner.scans values ({'?, ' * 10}?)", rows)
            if finished:
                con.execute(f"insert into raw_scanner._dlt_loads values ('{number}', 0)")


class Truth:
    """What windows must hold when these rows have come, worked out without SQL.

    Attributes:
        watermarks: load to its number of rows, and the watermark that stands since then.
        late: scan and time to the load by which they came too late, and the watermark until then.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.watermarks: dict[int, tuple[int, datetime]] = {}
        self.late: dict[tuple[Key, datetime], tuple[int, datetime]] = {}
        told: set[tuple[Key, datetime]] = set()
        self._watermark = datetime.min
        for number in sorted({row.load for row in rows}):
            came = [row for row in rows if row.load == number]
            new = {(row.key, row.at) for row in came if not row.bare} - told
            for scan in new:
                if scan[1] < self._watermark:
                    self.late[scan] = (number, self._watermark)
            told |= new
            self._watermark = max([self._watermark, *(r.at - LATENESS for r in came if not r.bare)])
            self.watermarks[number] = (len(came), self._watermark)
        self.live = [row for row in _standing(rows) if not row.deleted]

    def hours(self) -> Windows:
        """Store and start to what `fct_store_hours` says."""
        found: defaultdict[tuple[int, datetime], list[Row]] = defaultdict(list)
        for row in self.live:
            found[row.store, row.at.replace(minute=0)].append(row)
        return {
            key: (key[1] + HOUR, len({r.key[0] for r in rows}), *self._sums(rows, key[1] + HOUR))
            for key, rows in found.items()
        }

    def days(self) -> Windows:
        """Start to what `fct_rolling_days` says."""
        found: defaultdict[tuple[datetime], list[Row]] = defaultdict(list)
        for row in self.live:
            start = row.at.replace(hour=row.at.hour // 6 * 6, minute=0)
            for n in range(DAY // SLIDE):
                found[(start - n * SLIDE,)].append(row)
        return {
            key: (key[0] + DAY, len({r.household for r in rows}), *self._sums(rows, key[0] + DAY))
            for key, rows in found.items()
        }

    def visits(self) -> Windows:
        """Household and start to what `fct_household_visits` says."""
        found: dict[tuple[Any, ...], list[Row]] = {}
        open_: dict[int, list[Row]] = {}
        for row in sorted(self.live, key=lambda row: row.at):
            rows = open_.get(row.household)
            if not rows or row.at - rows[-1].at >= GAP:
                rows = open_[row.household] = found[row.household, row.at] = []
            rows.append(row)
        ends = {key: rows[-1].at + GAP for key, rows in found.items()}
        return {
            key: (ends[key], len({r.store for r in rows}), *self._sums(rows, ends[key]))
            for key, rows in found.items()
        }

    def _sums(self, rows: list[Row], end: datetime) -> tuple[Any, ...]:
        late = sum((row.key, row.at) in self.late for row in rows)
        return (
            sum(row.amount for row in rows), len(rows), late, max(row.load for row in rows),
            end <= self._watermark,
        )  # fmt: skip


def _standing(rows: list[Row]) -> list[Row]:
    """The newest version of each scan, as staging ranks them."""
    by_key: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
    newest = []
    for versions in by_key.values():
        died = max((row.load for row in versions if row.deleted), default=0)
        ranks = {
            ((row.read_in > died) - (row.read_in < died), row.updated_at or datetime.min,
             row.read_in, row.load): row
            for row in versions
        }  # fmt: skip
        newest.append(ranks[max(ranks)])
    return newest
