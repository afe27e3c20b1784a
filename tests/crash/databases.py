"""Databases: with a cursor and without, rows that are deleted or missed, dead letters."""

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import duckdb
from projects import source, table

from tests.crash.stores import Known, Store, rules, settled

AMOUNT = {"data_type": "integer", "check": "amount >= 0"}
LINES = {"id": "bigint", "amount": AMOUNT, "updated_at": "timestamp"}
NEGATIVE = rules("check:amount")


class Database(Store):
    """A SQLite file with the table `lines` and others alike."""

    names: tuple[str, ...] = ("lines",)

    def put(self, name: str, *made: tuple[Any, ...]) -> None:
        """Insert rows, or put them in place of those of the same id, and know them."""
        known = self.known.setdefault(name, Known(tuple(LINES)))
        self.insert(name, *made)
        good = [row for row in made if row[1] >= 0]
        known.rows += good
        known.dead[NEGATIVE] += len(made) - len(good)
        known.dead += Counter()  # without those that are none

    def insert(self, name: str, *made: tuple[Any, ...]) -> None:
        """The same, but know nothing of them."""
        with closing(sqlite3.connect(self.path / "shop.sqlite")) as con, con:
            con.execute(f"create table if not exists {name} (id primary key, amount, updated_at)")
            con.executemany(f"insert or replace into {name} values (?, ?, ?)", made)

    def declare(self, rule: str = "amount >= 0", **given: Any) -> None:
        """Write the declaration of all tables."""
        columns = {**LINES, "amount": {"data_type": "integer", "check": rule}}
        given = {"max_dead": 1, "primary_key": ["id"], **given}
        made = [table(name, columns, **given) for name in self.names]
        url = f"sqlite:///{self.path / 'shop.sqlite'}"
        self.project.declare(source("shop", *made, kind="sql", url=url))


def day(number: int) -> str:
    """A time at the beginning of a day of 2017."""
    return f"2017-{1 + number // 28:02}-{1 + number % 28:02} 00:00:00"


class Append(Database):
    """A table that grows and changes, read in windows by its cursor; rows come late, and bad."""

    name = "append and merge"
    steps = ("first load", "new, changed and late rows", "with a torn state")
    names = ("lines", "stores")

    def bring(self, step: int) -> None:
        if step == 0:
            self.declare(cursor="updated_at", lag="2 days", window=40)
            self.put("lines", *((i, 1 if i % 50 else -1, day(i // 9)) for i in range(90)))
            self.put("stores", (1, 1, None), (2, 1, None), (3, -1, None))
            return
        begin = 100 * step
        new = [(begin + i, -1 if i == 7 else i, day(10 * step + i // 9)) for i in range(35)]
        changed = [(i, 1000 * step + i, day(10 * step)) for i in range(1, 11)]
        late = [(begin + 50 + i, i, day(10 * step - 1)) for i in range(5)]
        self.put("lines", *new, *changed, *late)
        self.put("stores", (1, 10 * step, None))
        self.known["lines"].cursor = new[-1][2]
        if step == 2:
            with duckdb.connect(str(self.project.warehouse)) as con:
                con.execute(
                    "update raw_shop._dlt_pipeline_state set state = left(state, 40) where version "
                    "= (select max(version) from raw_shop._dlt_pipeline_state)"
                )

    def put(self, name: str, *made: tuple[Any, ...]) -> None:
        super().put(name, *made)
        if name == "lines":
            self.known[name].cursor = max(row[2] for row in made if row[1] >= 0)


class Replace(Database):
    """A table that is read whole each time."""

    name = "replace"
    steps = ("first load", "another snapshot", "the same again")

    def bring(self, step: int) -> None:
        if step == 0:
            self.declare(write_disposition="replace")
        if step < 2:
            made = [(i, i + step, day(i)) for i in range(60 + 2 * step)]
            self.put("lines", *made, (900 + step, -1, None))


class Letters(Database):
    """Dead letters: replayed once their rule is mended, discarded, and more rows after that."""

    name = "dead letters"
    steps = ("load", "replay", "discard", "load again")
    first = 1

    def bring(self, step: int) -> None:
        if step == 0:
            self.declare(cursor="updated_at")
            bad = [(100 + i, -1, day(3)) for i in range(4)] + [(200, -50, day(3))]
            self.put("lines", *((i, i, day(i // 9)) for i in range(40)), *bad)
            self.known["lines"].cursor = day(39 // 9)
        known = self.known["lines"]
        if step == 1:
            self.declare(rule="amount >= -10", cursor="updated_at")
            known.rows += [(100 + i, -1, day(3)) for i in range(4)]
            known.fates["replayed"] = 4
        if step == 2:
            known.fates["discarded"] = 1
        if step == 3:
            self.put("lines", *((300 + i, i, day(8)) for i in range(20)))
            known.cursor = day(8)

    def command(self, step: int) -> list[str]:
        root = str(self.project.root)
        return [["load", root], ["replay", root], ["discard", root, "not needed"], ["load", root]][
            step
        ]


class Deletes(Database):
    """A table whose keys are compared: rows are gone, were missed, and come back."""

    name = "deletes"
    steps = ("first load", "rows gone, missed and new", "rows that come back, others gone")
    first = 1

    def put(self, name: str, *made: tuple[Any, ...]) -> None:
        """Insert rows and know them, with the mark that a tombstone has."""
        known = self.known.setdefault(name, Known((*LINES, "_deleted")))
        self.insert(name, *made)
        known.rows += [(*row, None) for row in made if row[1] >= 0]
        known.dead[NEGATIVE] += sum(row[1] < 0 for row in made)
        known.dead += Counter()
        known.cursor = max(row[2] for row in known.rows)

    def bring(self, step: int) -> None:
        if step == 0:
            self.declare(
                cursor="updated_at", deletes="compare", compare_every="0 days", max_deleted=0.3
            )
            self.put("lines", *((i, 1 if i % 20 else -1, day(i // 9)) for i in range(90)))
        if step == 1:
            self._delete("id between 1 and 9")
            self.put("lines", *((200 + i, i, day(0)) for i in range(5)))
            self.put("lines", *((100 + i, i, day(20)) for i in range(30)))
        if step == 2:
            back = [(1, 1, day(0)), (2, 7, day(0)), (3, 8, day(21))]
            self.put("lines", *back)
            self._delete("id between 50 and 58 or id = 200")

    def _delete(self, where: str) -> None:
        known = self.known["lines"]
        with closing(sqlite3.connect(self.path / "shop.sqlite")) as con, con:
            gone = con.execute(f"delete from lines where {where} returning *").fetchall()
        known.rows += [(*row, True) for row in gone]


class Backfill(Database):
    """Rows that the watermark has passed are read again: those of the stretch, and no others."""

    name = "backfill"
    steps = ("first load", "missed rows, backfilled", "load again")
    first = 1
    pieces = 4

    def bring(self, step: int) -> None:
        if step == 0:
            self.declare(cursor="updated_at", window=1000)
            self.put("lines", *((i, i, day(i // 3)) for i in range(90)))
        if step == 1:
            missed = [(200 + i, -1 if i == 4 else i, day(i)) for i in range(24)]
            inside = [row for row in missed if 3 <= row[0] - 200 < 20]
            # nothing is missing in one piece
            inside = [row for row in inside if not 7 <= row[0] - 200 < 11]
            outside = [row for row in missed if not 3 <= row[0] - 200 < 20]
            self.insert("lines", *outside)
            self.put("lines", *inside)
        if step == 2:
            self.put("lines", *((300 + i, i, day(40)) for i in range(20)))
        self.known["lines"].cursor = day(40 if step == 2 else 29)

    def command(self, step: int) -> list[str]:
        stretch = ["backfill", str(self.project.root), day(3), day(20), "4d"]
        return stretch if step == 1 else super().command(step)

    def check(self, step: int) -> int:
        with duckdb.connect(str(self.project.warehouse), read_only=True) as con:
            state = settled(con, "shop")
        loads = (1, 1 + self.pieces, 2 + self.pieces)[step]
        assert state["load_number"] == loads, f"{state['load_number']} loads, not {loads}"
        begun = state["tables"]["lines"].get("backfill")
        assert not begun, f"a backfill that has ended is kept as one that has not: {begun}"
        return super().check(step)
