"""Scenarios of ingestion alone: what raw must hold is known from what was put at the source."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from dlt.common.versioned_state import decompress_state
from projects import Project

from tests.crash.client import Client
from tests.crash.scenario import Scenario

Row = tuple[Any, ...]


@dataclass
class Known:
    """What one raw table must hold after a step.

    Attributes:
        rows: every accepted version, as text, columns in the declaration's order.
        dead: how many dead letters there are of each set of rules.
        cursor: where the state must stand; None where the table has no cursor.
        fates: how many dead letters were closed in each way.
    """

    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    dead: Counter[str] = field(default_factory=Counter)
    cursor: str | None = None
    fates: Counter[str] = field(default_factory=Counter)

    def copy(self) -> "Known":
        """What holds now; later steps add to it."""
        return Known(
            self.columns, list(self.rows), Counter(self.dead), self.cursor, Counter(self.fates)
        )


class Store(Scenario):
    """One source `shop` in a project below the world. Override `bring`; see `store_scenarios`.

    Attributes:
        first: the first step that it is killed in; those before are an ordinary first load.
    """

    first = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.known: dict[str, Known] = {}
        self.files = 0
        self._truths: list[tuple[dict[str, Known], int]] = []

    @property
    def project(self) -> Project:
        """The project as it is now."""
        return Project(self.path / "project")

    def bring(self, step: int) -> None:
        """Put the step's rows at the source, and say in `known` what must come of them."""
        raise NotImplementedError

    def change(self, step: int, client: Client) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.bring(step)
        self._truths.append(({name: k.copy() for name, k in self.known.items()}, self.files))

    def command(self, step: int) -> list[str]:
        return ["load", str(self.project.root)]

    def env(self) -> Mapping[str, str]:
        return {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1"}

    def scratch(self) -> Path:
        return self.project.root / "scratch"

    def check(self, step: int) -> int:
        self.project.check_books("shop")
        known, files = self._truths[step]
        with duckdb.connect(str(self.project.warehouse), read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            state = settled(con, "shop")
            count = sum(_same(con, name, table, state) for name, table in known.items())
            found = con.execute("select count(*) from raw_shop._files").fetchone()
            assert found == (files,), f"{found} files in the book, not {files}"
        return count


def settled(con: duckdb.DuckDBPyConnection, source: str) -> dict[str, Any]:
    """The state that counts, once the loads are seen to be finished, numbered and whole.

    Raises:
        AssertionError: a load is there twice, is missing or did not finish, or is not the state's.
    """
    raw = f"raw_{source}"
    (finished, numbers, top, unfinished, twice) = con.execute(
        f"""select count(*), count(distinct number), coalesce(max(number), 0),
            (select count(*) from {raw}._loads where _dlt_load_id not in
                (select load_id from {raw}._dlt_loads where status = 0)),
            (select count(*) - count(distinct load_id) from {raw}._dlt_loads)
        from (select distinct load_number as number, _dlt_load_id from {raw}._loads)"""
    ).fetchall()[0]
    assert finished == numbers == top, f"{finished} loads are numbered up to {top}"
    assert not unfinished, f"{unfinished} lines of the book are of loads that did not finish"
    assert not twice, "a load has two finished entries"
    rows = con.execute(
        f"""select state from {raw}._dlt_pipeline_state join {raw}._dlt_loads
        on load_id = _dlt_load_id where status = 0 order by version desc limit 1"""
    ).fetchall()
    state: dict[str, Any] = decompress_state(rows[0][0])["sources"][source]
    assert state["load_number"] == top, f"the state is of load {state['load_number']}, not {top}"
    return state


def _same(con: duckdb.DuckDBPyConnection, name: str, known: Known, state: Mapping[str, Any]) -> int:
    """Raw holds just what is known of the table; how many rows that is."""
    columns = ", ".join(known.columns)
    raw = f"select {columns} from raw_shop.{name}"
    con.execute(f"create or replace temp table known as {raw} limit 0")
    if known.rows:
        marks = ", ".join("?" * len(known.columns))
        con.executemany(f"insert into known values ({marks})", known.rows)
    one = "select count(*), count(distinct r), max(r::varchar) from ({}) as r"
    found = con.execute(one.format(raw)).fetchall()[0]
    wanted = con.execute(one.format("from known")).fetchall()[0]
    told = "rows, different ones, the greatest"
    assert found == wanted, f"raw.{name}, {told}: {found}, not {wanted}"
    for more, fewer in (("raw", "known"), ("known", "raw")):
        sides = {"raw": f"({raw})", "known": "known"}
        odd = con.execute(f"from {sides[more]} except all from {sides[fewer]} limit 3").fetchall()
        assert not odd, f"only in {more} of {name}: {odd}"
    dead = Counter(
        row[0]
        for row in con.execute(
            f"select broken_rules from raw_shop._dead_letters where table_name = '{name}'"
        ).fetchall()
    )
    assert dead == known.dead, f"dead letters of {name}: {dead}, not {known.dead}"
    fates = Counter(
        row[0]
        for row in con.execute(
            "select fate from raw_shop._dead_letter_fates join raw_shop._dead_letters "
            f"using (dead_letter_id) where table_name = '{name}'"
        ).fetchall()
    )
    assert fates == known.fates, f"fates of {name}: {fates}, not {known.fates}"
    cursor = state["tables"].get(name, {}).get("cursor")
    assert cursor == known.cursor, f"the state of {name} is at {cursor}, not {known.cursor}"
    return int(found[0]) + sum(dead.values())


def rules(*names: str) -> str:
    """Broken rules as a dead letter has them."""
    return json.dumps(list(names), separators=(",", ":"))
