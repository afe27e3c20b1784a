"""A project with one source, its warehouse, and what a load left there; all of it real."""

import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import yaml

from ingest.checksum import row_hash
from ingest.declaration import Source, load_sources
from ingest.load import Loader, SourceResult

Row = tuple[Any, ...]


def table(name: str, columns: dict[str, Any], **ingest: Any) -> dict[str, Any]:
    """A table's node. A column is its type, or a mapping with `data_type` and rules."""
    nodes = []
    for column, what in columns.items():
        rules = {"data_type": what} if isinstance(what, str) else dict(what)
        data_type = rules.pop("data_type", "varchar")
        nodes.append({"name": column, "data_type": data_type, "config": {"meta": rules}})
    return {"name": name, "config": {"meta": {"ingest": ingest}}, "columns": nodes}


def source(name: str, *tables: dict[str, Any], **ingest: Any) -> dict[str, Any]:
    """A source's node."""
    return {
        "name": name,
        "schema": f"raw_{name}",
        "config": {"meta": {"ingest": ingest}},
        "tables": list(tables),
    }


@dataclass
class Project:
    """A project below `root` that declares one source.

    Attributes:
        root: a folder of its own.
        env: the variables that `env:NAME` finds.
        lines: what the loaders told.
    """

    root: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    lines: list[str] = field(default_factory=list)
    _process: Loader | None = None

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse" / "raw.duckdb"

    def declare(self, node: dict[str, Any]) -> Source:
        """Write the declaration in place of the former one, and read it."""
        path = self.root / "models" / "_s__sources.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"sources": [node]}, sort_keys=False, allow_unicode=True))
        (declared,) = load_sources(self.root)
        return declared

    def loader(self, declared: Source | None = None) -> Loader:
        """A loader as a process that has just begun has it."""
        chosen = declared or load_sources(self.root)[0]
        scratch = self.root / "scratch" / chosen.name
        return Loader(chosen, self.warehouse, scratch, self.env, self.lines.append)

    def load(self, node: dict[str, Any] | None = None, *, afresh: bool = False) -> SourceResult:
        """Load, in the process that loaded last.

        Args:
            node: a new declaration.
            afresh: in a new process.
        """
        if node or afresh or self._process is None:
            self._process = self.loader(self.declare(node) if node else None)
        return self._process.load("run")

    def sql(self, text: str) -> list[Row]:
        """The rows of a query over the warehouse."""
        with duckdb.connect(str(self.warehouse)) as con:
            con.execute("set TimeZone = 'UTC'")
            return con.execute(text).fetchall()

    def raw(self, name: str, columns: str = "*") -> list[Row]:
        """Rows of `source.table` in raw, sorted; without the load's own columns when all."""
        what = columns
        if columns == "*":
            what = "* exclude (_load_number, _extracted_at, _source, _replayed_from)"
        return self.sql(f"select {what} from raw_{name} order by all")

    def dead(self, name: str) -> list[tuple[tuple[str, ...], Any, str]]:
        """Dead letters of `source.table`: rules, payload (parsed where it is JSON), origin."""
        schema, _, only = name.partition(".")
        rows = self.sql(
            f"select broken_rules, payload, _source from raw_{schema}._dead_letters "
            f"where table_name = '{only}' order by _source, payload"
        )
        return [(tuple(json.loads(rules)), _parsed(text), origin) for rules, text, origin in rows]

    def book(self, schema: str) -> list[dict[str, Any]]:
        """The book of finished loads, oldest first."""
        names = "load_number table_name rows_fetched rows_reread rows_read rows_accepted rows_dead"
        rows = self.sql(
            f"select {', '.join(names.split())} from raw_{schema}._loads join "
            f"raw_{schema}._dlt_loads on load_id = _dlt_load_id where status = 0 order by 1, 2"
        )
        return [dict(zip(names.split(), row, strict=True)) for row in rows]

    def check_books(self, schema: str) -> None:
        """Every finished load balances, is numbered once, and raw holds just what it says."""
        book = self.book(schema)
        for entry in book:
            assert entry["rows_fetched"] == entry["rows_reread"] + entry["rows_read"], entry
            assert entry["rows_read"] == entry["rows_accepted"] + entry["rows_dead"], entry
        numbers = Counter((entry["load_number"], entry["table_name"]) for entry in book)
        assert set(numbers.values()) <= {1}
        loads = self.sql(
            "select load_number, count(distinct _dlt_load_id) "
            f"from raw_{schema}._loads group by all having count(distinct _dlt_load_id) > 1"
        )
        assert not loads
        said = {(e["load_number"], e["table_name"]): e["rows_accepted"] for e in book}
        dead = {(e["load_number"], e["table_name"]): e["rows_dead"] for e in book}
        for name in {entry["table_name"] for entry in book}:
            held = self.sql(
                f"select _load_number, '{name}', count(*) from raw_{schema}.{name} group by all"
            )
            assert {(n, t): c for n, t, c in held} == {
                key: count for key, count in said.items() if key[1] == name and count
            }
        kept = self.sql(
            "select _load_number, table_name, count(*), count(distinct dead_letter_id) "
            f"from raw_{schema}._dead_letters group by all"
        )
        assert {(n, t): c for n, t, c, _ in kept} == {k: c for k, c in dead.items() if c}
        assert all(count == ids for _, _, count, ids in kept)
        assert self.sums_in_raw(schema) == self.sums_in_book(schema)

    def sums_in_book(self, schema: str) -> dict[tuple[int, str, str], int]:
        """(load, table, `rows` or `dead`) to the checksum in the book, where it is not 0."""
        rows = self.sql(f"select load_number, table_name, checksum, dead_checksum {_in(schema)}")
        found = {}
        for number, name, accepted, dead in rows:
            for what, text in (("rows", accepted), ("dead", dead)):
                version, _, total = text.partition(":")
                assert version == f"v{duckdb.__version__}"
                found[number, name, what] = int(total)
        return {key: total for key, total in found.items() if total}

    def sums_in_raw(self, schema: str) -> dict[tuple[int, str, str], int]:
        """The same of the rows that raw holds."""
        found = {}
        tables = {name for (name,) in self.sql(f"select distinct table_name {_in(schema)}")}
        for table in (*tables, "_dead_letters"):
            columns = {
                name: kind
                for name, kind, *_ in self.sql(f"describe raw_{schema}.{table}")
                if name not in ("_dlt_id", "_dlt_load_id")
            }
            name, what = ("table_name", "dead") if table[0] == "_" else (f"'{table}'", "rows")
            for number, of, total in self.sql(
                f"select _load_number, {name}, sum({row_hash(columns)}::hugeint) "
                f"from raw_{schema}.{table} group by all"
            ):
                found[number, of, what] = int(total)
        return found


def _in(schema: str) -> str:
    return (
        f"from raw_{schema}._loads join raw_{schema}._dlt_loads on load_id = _dlt_load_id "
        "where status = 0"
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Shop:
    """A SQLite database with the table `lines`."""

    def __init__(self, project: Project, folder: Path, columns: str = "id, amount, updated_at"):
        self.path = folder / "shop.sqlite"
        project.env["DB"] = f"sqlite:///{self.path}"
        self.run(f"create table lines ({columns})")

    def run(self, sql: str, *rows: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.path)) as con, con:
            if rows:
                con.executemany(sql, rows)
            else:
                con.execute(sql)

    def put(self, *rows: tuple[Any, ...]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        self.run(f"insert into lines values ({marks})", *rows)
