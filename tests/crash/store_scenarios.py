"""The sources: databases with a cursor and without, a drop, a bucket, an API, and dead letters."""

import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from projects import source, table
from test_ingest_faults import served

from tests.crash.stores import Known, Store, rules

AMOUNT = {"data_type": "integer", "check": "amount >= 0"}
LINES = {"id": "bigint", "amount": AMOUNT, "updated_at": "timestamp"}
NEGATIVE = rules("check:amount")


class Database(Store):
    """A SQLite file with the table `lines` and others alike."""

    names: tuple[str, ...] = ("lines",)

    def put(self, name: str, *made: tuple[Any, ...]) -> None:
        """Insert rows, or put them in place of those of the same id, and know them."""
        known = self.known.setdefault(name, Known(tuple(LINES)))
        with closing(sqlite3.connect(self.path / "shop.sqlite")) as con, con:
            con.execute(f"create table if not exists {name} (id primary key, amount, updated_at)")
            con.executemany(f"insert or replace into {name} values (?, ?, ?)", made)
        good = [row for row in made if row[1] >= 0]
        known.rows += good
        known.dead[NEGATIVE] += len(made) - len(good)
        known.dead += Counter()  # without those that are none

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
            # the bad row of the first snapshot is read again, and known
            self.put("lines", *made, (900 + step, -1, None))


class Letters(Database):
    """Dead letters: replayed once their rule is mended, discarded, and more rows after that."""

    name = "dead letters"
    steps = ("load", "replay", "discard", "load again")

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


class Files(Store):
    """A drop: text, packed text, Parquet, lines of JSON; torn lines; a file that comes twice."""

    name = "files"
    steps = ("first files", "more files, one under another name")

    def bring(self, step: int) -> None:
        drop = self.path / "drop"
        if step == 0:
            drop.mkdir()
            columns = {"id": "bigint", "amount": "integer"}
            made = [
                table(name, columns, files=pattern, primary_key=["id"], window=30, max_dead=1)
                for name, pattern in (("lines", "*.csv*"), ("facts", "*.parquet"),
                                      ("events", "*.jsonl"))
            ]  # fmt: skip
            self.known = {name: Known(tuple(columns)) for name in ("lines", "facts", "events")}
            self.project.declare(source("shop", *made, kind="files", path=self.place(drop)))
        for number in range(4 * step, 4 * step + 4):
            self._file(drop, number)
        if step:
            (drop / "again.csv").write_bytes((drop / "0.csv").read_bytes())
            self.files += 1

    def place(self, drop: Path) -> str:
        """Where the declaration says that it is."""
        return str(drop)

    def _file(self, drop: Path, number: int) -> None:
        made = [(number * 15 + i, i) for i in range(15)]
        lines = ["id,amount", *(f"{i},{amount}" for i, amount in made)]
        if number % 4 == 3:  # a column is missing, or a quote
            lines.insert(5, f"{9000 + number}" + (',"1' if number > 4 else ""))
            self.known["lines"].dead[rules("unparsable")] += 1
        text = "\n".join(lines) + "\n"
        if number % 4 == 1:
            (drop / f"{number}.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            (drop / f"{number}.csv").write_text(text)
        if number % 2 == 0:
            columns = {"id": [row[0] for row in made], "amount": [row[1] for row in made]}
            pq.write_table(pa.table(columns), drop / f"{number}.parquet")
            events = "\n".join(json.dumps({"id": i, "amount": a}) for i, a in made)
            (drop / f"{number}.jsonl").write_text(f"{events}\n7\n" if number == 2 else events)
            if number == 2:
                self.known["events"].dead[rules("unparsable")] += 1
            self.known["facts"].rows += made
            self.known["events"].rows += made
            self.files += 2
        self.known["lines"].rows += made
        self.files += 1


class Bucket(Files):
    """The same files as objects of a store."""

    name = "objects of a store"

    def place(self, drop: Path) -> str:
        return f"file://{drop}"


class Rest(Store):
    """An API that gives its items page by page; its address lives as long as the scenario."""

    name = "REST"
    steps = ("first pages", "new and changed items")
    url = ""

    def bring(self, step: int) -> None:
        columns = {"id": "bigint", "amount": AMOUNT, "updated_at": "timestamp"}
        kept = self.path / "items.json"
        if step == 0:
            endpoint = {"path": "items", "data_selector": "items"}
            ingest = {"primary_key": "id", "cursor": "updated_at", "lag": "1 day", "max_dead": 1}
            made = table("items", columns, endpoint=endpoint, **ingest)
            client = {
                "base_url": self.url,
                "paginator": {"type": "json_link", "next_url_path": "next"},
            }
            self.project.declare(source("shop", made, kind="rest", client=client))
            self.known["items"] = Known(tuple(columns))
            items = []
        else:
            items = json.loads(kept.read_text())
        new = [[100 * step + i, -1 if i == 5 else i, day(5 * step + i // 5)] for i in range(25)]
        changed = [[i, 500 + i, day(5 * step)] for i in (1, 2, 3)] if step else []
        ids = {row[0] for row in changed}
        kept.write_text(json.dumps([r for r in items if r[0] not in ids] + new + changed))
        known = self.known["items"]
        known.rows += [tuple(row) for row in new + changed if row[1] >= 0]
        known.dead[NEGATIVE] += 1
        known.cursor = new[-1][2]

    def answer(self, path: str, count: int) -> tuple[int, Any]:
        """A page of the items as they are now."""
        page = int(path.partition("page=")[2][:2] or 0)
        items = json.loads((self.path / "items.json").read_text())
        part = [dict(zip(LINES, row, strict=True)) for row in items[page * 10 : page * 10 + 10]]
        more = f"/items?page={page + 1}" if page * 10 + 10 < len(items) else None
        return 200, {"items": part, "next": more}


STORES: dict[str, type[Store]] = {
    kind.__name__.lower(): kind for kind in (Append, Replace, Files, Bucket, Rest, Letters)
}
"""Every scenario of ingestion alone, by a short name. One more is a class and its name here."""


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Store]:
    """A scenario with its source up."""
    store = STORES[name](folder)
    if isinstance(store, Rest):
        with served(store.answer) as url:
            store.url = url
            yield store
    else:
        yield store
