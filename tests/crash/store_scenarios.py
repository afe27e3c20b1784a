"""The sources: a drop, a bucket and an API here, databases in `databases`; and all by name."""

import gzip
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from projects import source, table
from services import kafka, postgres
from test_ingest_faults import served

from tests.crash.databases import (
    AMOUNT,
    LINES,
    NEGATIVE,
    Append,
    Backfill,
    Deletes,
    Letters,
    Replace,
    day,
)
from tests.crash.edge import Edge
from tests.crash.stores import Known, Store, rules
from tests.crash.topics import Landings, Topics


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
    own = ("ingest.readers.",)

    def place(self, drop: Path) -> str:
        return f"file://{drop}"


class Rest(Store):
    """An API that gives its items page by page; its address lives as long as the scenario."""

    name = "REST"
    steps = ("first pages", "new and changed items", "missed items, backfilled")
    url = ""

    def bring(self, step: int) -> None:
        columns = {"id": "bigint", "amount": AMOUNT, "updated_at": "timestamp"}
        kept = self.path / "items.json"
        if step == 0:
            endpoint = {"path": "items", "data_selector": "items"}
            ingest = {"primary_key": "id", "cursor": "updated_at", "lag": "1 day", "max_dead": 1,
                      "window": 10}  # fmt: skip
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
        if step == 2:
            missed = [[300 + i, i, day(i)] for i in range(5)]
            kept.write_text(json.dumps(items + missed))
            self.known["items"].rows += [tuple(row) for row in missed[1:4]]
            return
        new = [[100 * step + i, -1 if i == 5 else i, day(5 * step + i // 5)] for i in range(25)]
        changed = [[i, 500 + i, day(5 * step)] for i in (1, 2, 3)] if step else []
        ids = {row[0] for row in changed}
        kept.write_text(json.dumps([r for r in items if r[0] not in ids] + new + changed))
        known = self.known["items"]
        known.rows += [tuple(row) for row in new + changed if row[1] >= 0]
        known.dead[NEGATIVE] += 1
        known.cursor = new[-1][2]

    def command(self, step: int) -> list[str]:
        stretch = ["backfill", str(self.project.root), day(1), day(4)]
        return stretch if step == 2 else super().command(step)

    def answer(self, path: str, count: int) -> tuple[int, Any]:
        """A page of the items as they are now."""
        page = int(path.partition("page=")[2][:2] or 0)
        items = json.loads((self.path / "items.json").read_text())
        part = [dict(zip(LINES, row, strict=True)) for row in items[page * 10 : page * 10 + 10]]
        more = f"/items?page={page + 1}" if page * 10 + 10 < len(items) else None
        return 200, {"items": part, "next": more}


_KINDS: tuple[type[Store], ...] = (
    *(Append, Replace, Deletes, Backfill, Files, Bucket, Rest, Letters, Edge, Topics, Landings),
)
STORES = {kind.__name__.lower(): kind for kind in _KINDS}
"""Every scenario of ingestion alone, by a short name. One more is a class and its name here."""


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Store]:
    """A scenario with its source up."""
    store = STORES[name](folder)
    if isinstance(store, Topics):
        with kafka() as store.broker:
            yield store
    elif isinstance(store, Rest):
        with served(store.answer) as url:
            store.url = url
            yield store
    elif isinstance(store, Edge):
        with postgres() as url, closing(store):
            store.url = url
            yield store
    else:
        yield store
