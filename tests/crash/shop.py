"""Whole runs on a shop of one table: each point of a run is met here, where a run takes seconds."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from copies import PROJECT
from homes import Home
from streams import bare_project

from ops.history import History
from tests.crash.client import Client
from tests.crash.engine import WrongError
from tests.crash.retailer import Step
from tests.crash.scenario import Scenario

Row = tuple[Any, ...]
OPENED = datetime(2017, 1, 1)
SHOP = (
    Step("first run"),
    Step("run, a day later", advance=1),
    Step("thorough run, all pages", words=("run",)),
    Step("run, nothing new"),
    Step("run, a stray table in the marts", stray=True),
    Step("load alone", words=("load",), advance=1),
    Step("build beside an unfinished load", words=("build",), killed_load=1),
    Step("run after that"),
    Step("status", words=("status",)),
    Step("rewind", words=("rewind",), back_to="thorough run, all pages"),
    Step("forward again", words=("rewind", "--to", "latest"), back_to="run after that"),
    Step("thorough run, with a point too many", words=("run",), advance=1),
)

_SOURCES = """sources:
  - name: shop
    schema: raw_shop
    config: {meta: {ingest: {kind: sql, url: "env:SHOP_URL"}}}
    tables:
      - name: lines
        config:
          meta:
            ingest: {primary_key: [line_id], cursor: updated_at, lag: 2 days, max_dead: 1}
        columns:
          - {name: line_id, data_type: bigint, config: {meta: {required: true}}}
          - {name: amount, data_type: integer, config: {meta: {check: "amount >= 0"}}}
          - {name: updated_at, data_type: timestamp}
"""
_STAGING = """{{ config(unique_key=['line_id']) }}

with source as (
    {{ newest_versions(
        source('shop', 'lines'),
        key=['line_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
    ) }}
)

select line_id, amount, updated_at, _load_number, _superseded_count, _repeated_count from source
"""
_MART = "select line_id, amount, updated_at, _load_number from {{ ref('stg_shop__lines') }}\n"
_YAML = """models:
  - name: fct_lines
    description: One row per line.
    columns:
      - {name: line_id, data_type: bigint, data_tests: [unique]}
      - {name: amount, data_type: integer}
      - {name: updated_at, data_type: timestamp}
      - {name: _load_number, data_type: bigint}
"""
_NEWEST = "select line_id, amount, updated_at from {}fct_lines order by all"


class Shop(Scenario):
    """A home that takes the steps of `SHOP`; what it must hold is known row by row.

    Args:
        folder: its own.
    """

    name = "a small shop"
    steps = tuple(step.name for step in SHOP)
    switches = ("lease",)
    in_a_row = 20  # a run goes on where it was killed, so a row costs one run and its starts

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._project = bare_project(folder / "project", "shop", "lines")
        # the installed packages, so that no run installs any
        shutil.rmtree(self._project / "dbt_packages")
        (self._project / "dbt_packages").symlink_to(PROJECT / "dbt_packages")
        for name, text in {
            "staging/_shop__sources.yml": _SOURCES,
            "staging/stg_shop__lines.sql": _STAGING,
            "marts/fct_lines.sql": _MART,
            "marts/fct_lines.yml": _YAML,
        }.items():
            (self._project / "models" / name).write_text(text)
        self._versions: list[Row] = []
        self._days, self._bad = 0, 0
        self._known: list[tuple[list[Row], int, bool]] = []
        """For each step the versions in raw, the dead letters, whether a load is unfinished."""
        self._published: list[list[Row]] = []
        self._points: list[str] = []

    @property
    def home(self) -> Home:
        """The home."""
        env = {"SHOP_URL": f"sqlite:///{self.path / 'shop.sqlite'}", "MILLRACE_KEEP_RUNS": "1"}
        return Home(self.path, self._project, env)

    def change(self, step: int, client: Client) -> None:
        now = SHOP[step]
        self.path.mkdir(parents=True, exist_ok=True)
        if now.advance or not step:
            self._sell()
        if now.killed_load:
            before = list(self._versions), self._bad
            self._sell()
            plan = {"point": "dlt: mark the load as finished (before)", "nth": 1, "action": "kill"}
            load, cwd = ["millrace", "load"], self.cwd(step)
            assert client.run(load, self.env(), cwd, self.scratch(), plan=plan).fired
            self._known.append((*before, True))
        else:
            self._known.append((list(self._versions), self._bad, False))
        if now.stray:
            with duckdb.connect(str(self.home.marts)) as con:
                con.execute("create table stray as select 1 as id")
            (self.home.snapshot.parent / ".marts.duckdb.partial-1").write_bytes(b"half")
        if now.back_to:
            self._known[step] = self._known[self.steps.index(now.back_to)]

    def _sell(self) -> None:
        """A day: new lines, changed ones, a late one, a bad one."""
        self._days += 1
        at, first = OPENED + timedelta(days=self._days), 100 * self._days
        made = [(first + n, n, at + timedelta(minutes=n)) for n in range(30)]
        made += [(n, 1000 * self._days + n, at) for n in range(100, 105) if self._days > 1]
        made.append((first + 50, 7, at - timedelta(days=1)))
        bad = (first + 60, -1, at)
        with closing(sqlite3.connect(self.path / "shop.sqlite")) as con, con:
            con.execute(
                "create table if not exists lines (line_id primary key, amount, updated_at)"
            )
            con.executemany(
                "insert or replace into lines values (?, ?, ?)",
                [(key, amount, str(moment)) for key, amount, moment in [*made, bad]],
            )
        self._versions += made
        self._bad += 1

    def command(self, step: int) -> list[str]:
        words = list(SHOP[step].words)
        if words == ["rewind"]:
            words += ["--to", self._points[self._whose(step)]]
        return ["millrace", *words]

    def _whose(self, step: int) -> int:
        """The step whose stand this one ends at."""
        return self.steps.index(SHOP[step].back_to) if SHOP[step].back_to else step

    def env(self) -> Mapping[str, str]:
        return self.home.environment()

    def cwd(self, step: int) -> Path:
        return self._project

    def scratch(self) -> Path:
        return self.path / ".millrace" / "dev"

    def between(self, step: int) -> None:
        """Readers see a whole snapshot, that of before or the new one, or none where none was."""
        if not self.home.snapshot.exists():
            assert not step, "the readers' snapshot is gone"
            return
        try:
            seen = self.home.published(_NEWEST.format(""))
        except duckdb.Error as error:
            raise WrongError(f"the readers' snapshot cannot be read: {error}") from None
        allowed = self._published[max(0, step - 1) : step + 1]
        assert seen in allowed, "readers see neither the former snapshot nor the new one"

    def check(self, step: int) -> int:
        versions, bad, unfinished = self._known[self._whose(step)]
        home, words = self.home, SHOP[step].words[0]
        if not unfinished:
            raw = "select line_id, amount, updated_at from raw_shop.lines order by all"
            assert home.query(raw) == sorted(versions), "raw is not what the shop has told"
            dead = "select count(*), count(distinct dead_letter_id) from raw_shop._dead_letters"
            assert home.query(dead) == [(bad, bad)], "dead letters are lost or twice there"
            book = (
                "select count(*) - count(distinct load_number), sum(rows_accepted), sum(rows_dead)"
                " from raw_shop._loads join raw_shop._dlt_loads on load_id = _dlt_load_id "
                "where status = 0"
            )
            assert home.query(book) == [(0, len(versions), bad)], "the books do not balance"
        newest = {row[0]: row for row in sorted(versions, key=lambda row: row[2])}
        if words != "load":
            marts = home.query(_NEWEST.format("marts."))
            assert marts == sorted(newest.values()), "the mart is not what the shop has told"
        published = home.published(_NEWEST.format(""))
        if len(self._published) == step:  # undisturbed; all others must come to the same
            self._published.append(published)
            points = History(self.path / "history" / "dev").points()
            self._points.append(points[-1].name if points else "")
        assert published == self._published[self._whose(step)], "what is published is another's"
        if words in ("run", "rewind"):
            assert published == sorted(newest.values()), "what is published is not the newest"
        left = [path.name for path in home.snapshot.parent.glob(".marts*")]
        assert not left or words not in ("run", "build"), f"a partial copy is left: {left}"
        return len(versions) + len(newest)
