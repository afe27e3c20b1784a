"""Whole runs on a shop of one table: each point of a run is met here, where a run takes seconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from homes import Home
from streams import bare_project

from tests.crash.client import Client
from tests.crash.home_runs import Runs, Step

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
    Step("run, with points too many", advance=1),
    Step("thorough run again", words=("run",), advance=1),
    Step("run, a test fewer in the project", untested=True),
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
_TEST = ", data_tests: [unique]"
_NEWEST = "select line_id, amount, updated_at from {}fct_lines order by all"


_MODELS = {
    "staging/_shop__sources.yml": _SOURCES,
    "staging/stg_shop__lines.sql": _STAGING,
    "marts/fct_lines.sql": _MART,
    "marts/fct_lines.yml": _YAML,
}


class Shop(Runs):
    """A home that takes the steps of `SHOP`; what it must hold is known row by row.

    Args:
        folder: its own.
        way: the steps.
        edits: of the project, as `project_copy` has them: a safety that is switched off.
    """

    def __init__(
        self,
        folder: Path,
        way: tuple[Step, ...] = SHOP,
        edits: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(folder, "a small shop", way)
        # with the installed packages, so that no run installs any
        self._project = bare_project(
            folder / "project", "shop", "lines", _MODELS, stand_ins=False, edits=edits
        )
        self._versions: list[Row] = []
        self._days, self._bad = 0, 0
        self._known: list[tuple[list[Row], int, bool]] = []
        """For each step the versions in raw, the dead letters, whether a load is unfinished."""

    @property
    def home(self) -> Home:
        """The home."""
        env = {"SHOP_URL": f"sqlite:///{self.path / 'shop.sqlite'}", "MILLRACE_KEEP_RUNS": "1"}
        return Home(self.path, self._project, env)

    def restore(self, step: int) -> None:
        super().restore(step)
        self._declare(step)

    def _declare(self, step: int) -> None:
        """The mart with its test, or without where the project has lost it."""
        mart, lost = self._project / "models" / "marts" / "fct_lines.yml", self.way[step].untested
        mart.write_text(_YAML.replace(_TEST, "") if lost else _YAML)

    def change(self, step: int, client: Client) -> None:
        self._declare(step)
        now = self.way[step]
        self.path.mkdir(parents=True, exist_ok=True)
        if now.advance or not step:
            self._sell()
        if now.killed_load:
            before = list(self._versions), self._bad
            self._sell()
            self.load_killed(step, client)
            self._known.append((*before, True))
        else:
            self._known.append((list(self._versions), self._bad, False))
        if now.stray:
            with duckdb.connect(str(self.home.marts)) as con:
                con.execute("create table stray as select 1 as id")
            (self.home.snapshot.parent / ".marts.duckdb.partial-1").write_bytes(b"half")
        if now.back_to:
            self._known[step] = self._known[self.target(step)]

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

    def seen(self) -> list[Row]:
        return self.home.published(_NEWEST.format(""))

    def cwd(self, step: int) -> Path:
        return self._project

    def check(self, step: int) -> int:
        versions, bad, unfinished = self._known[self.target(step)]
        home, words = self.home, self.way[step].words[0]
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
        published = self.check_readers(step)
        if words in ("run", "rewind"):
            assert published == sorted(newest.values()), "what is published is not the newest"
        return len(versions) + len(newest)
