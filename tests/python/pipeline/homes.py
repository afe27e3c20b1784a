"""Scratch homes in which the real `millrace` and `dbt` run, as processes of their own.

home = Home(tmp_path / "home")
home.start(date(2017, 1, 10))
assert home.millrace("run", "--quick-report").code == 0
assert home.published("select count(*) from fct_baskets") == [(141,)]
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from copies import PROJECT, thin_drop
from forked import OURS, Forks
from parses import Parse

from sample import Retailer
from sample.oracle import Oracle

BIN = Path(sys.executable).parent
FORKS = Forks()
LOAD_COLUMNS = "^_|^_.*load_number$"
"""Columns that say by which load a row came; two worlds may differ in them and be the same."""

SETTLED_ON = date(2017, 1, 3)
"""The day of the home `settled`."""

THIN_WEEK = 5_000
"""Rows of a week's promotions in a thin drop."""


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it said, in one line's width of blanks."""
        return " ".join(f"{self.out}\n{self.err}".split())


@dataclass(frozen=True)
class Home:
    """A MILLRACE_HOME and the project whose code runs on it.

    Args:
        path: the home; made when it is not there.
        project: the folder that commands are called in.
        env: variables on top of the environment, which is ours without its MILLRACE_ and DBT_.
        named: whether commands are told the home; without, it is the project's folder.
    """

    path: Path
    project: Path = PROJECT
    env: Mapping[str, str] = field(default_factory=dict)
    named: bool = True

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def warehouse(self) -> Path:
        return self.path / "warehouse" / "millrace_dev.duckdb"

    @property
    def marts(self) -> Path:
        return self.path / "warehouse" / "marts_dev.duckdb"

    @property
    def snapshot(self) -> Path:
        return self.path / "published" / "marts.duckdb"

    def environment(self) -> dict[str, str]:
        """What a command of this home finds in its environment."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(OURS)
            and name != "PYTHONDONTWRITEBYTECODE"  # or each command compiles all of ours anew
        }
        named = {"MILLRACE_HOME": str(self.path)} if self.named else {}
        return {**kept, "PATH": f"{BIN}:{kept['PATH']}", **named, **self.env}

    def begin(self, *words: str, into: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start `millrace` with these words in a process group of its own."""
        for parse in self.parses():
            parse.hand_on()
        return subprocess.Popen(
            [str(BIN / "millrace"), *words],
            cwd=self.project,
            env=self.environment(),
            stdout=into,
            stderr=into,
            text=True,
            start_new_session=True,
        )

    def millrace(self, *words: str, timeout: float = 300) -> Done:
        """Run `millrace` with these words, in a process that has imported it already."""
        if "PYTHONPATH" in self.env:  # a fork has imported what it says before it is asked
            return self.call(str(BIN / "millrace"), *words, timeout=timeout)
        with self._handed_on():
            return Done(*FORKS.run(words, self.project, self.environment(), timeout))

    def dbt(self, *words: str) -> Done:
        """Run dbt as someone at the root would, with no setting but MILLRACE_HOME."""
        return self.call(str(BIN / "dbt"), *words)

    def call(self, *command: str, timeout: float = 300) -> Done:
        """Run a command in the project's folder; it may not ask anything."""
        with self._handed_on():
            done = subprocess.run(
                command,
                cwd=self.project,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def _handed_on(self) -> Iterator[None]:
        parses = self.parses()
        for parse in parses:
            parse.hand_on()
        yield
        for parse in parses:
            parse.remember()

    def parses(self) -> list[Parse]:
        """What dbt knows of the project, and of that in Elementary's command line."""
        if not self.named:
            return []
        env, artifacts = self.environment(), self.path / "target"
        return [
            Parse(self.project, artifacts, env),
            Parse(self.project, artifacts / "edr", env, "elementary"),
        ]

    def start(self, until: date, thin: bool = False) -> Home:
        """Let the retailer open on a day; with a `thin` drop for a world that is quick to load."""
        self._retailer().start(until)
        return self._thinned() if thin else self

    def advance(self, days: int) -> None:
        """Let days pass."""
        self._retailer().advance(days)
        if "MILLRACE_PROMO_PATH" in self.env:
            self._thinned()

    def _retailer(self) -> Retailer:
        brokers = self.env.get("MILLRACE_SCANNER_BROKERS")
        return Retailer(self.path / "sample_data", brokers=brokers)

    def _thinned(self) -> Home:
        """Beside the drop, one with some rows of each promotion file and all else as it is."""
        drop, thin = self.path / "sample_data" / "drop", self.path / "sample_data" / "thin"
        thin_drop(drop, thin, f"limit {THIN_WEEK}")
        return replace(self, env={**self.env, "MILLRACE_PROMO_PATH": str(thin)})

    def copied(self, path: Path, **changes: Any) -> Home:
        """The same home elsewhere, with all that was done in it."""
        shutil.copytree(self.path, path)
        env = {name: v.replace(str(self.path), str(path)) for name, v in self.env.items()}
        copy = replace(self, path=path, env=env, **changes)
        for parse in copy.parses():
            parse.forget()
        return copy

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows from the warehouse, with the marts attached as dbt does."""
        with duckdb.connect(str(self.warehouse), read_only=True) as con:
            if self.marts.exists():
                con.execute(f"attach '{self.marts}' as marts (read_only)")
            return con.execute(sql).fetchall()

    def published(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows from the readers' snapshot."""
        with duckdb.connect(str(self.snapshot), read_only=True) as con:
            return con.execute(sql).fetchall()

    def tables(self, *schemas: str) -> dict[str, tuple[int, str]]:
        """Rows of every table and a sum of their hashes, load columns aside, by name.

        Args:
            schemas: schemas of the warehouse, or `marts` or `published`.
        """
        found: dict[str, tuple[int, str]] = {}
        with duckdb.connect() as con:
            con.execute(f"attach '{self.warehouse}' as warehouse (read_only)")
            con.execute(f"attach '{self.marts}' as marts (read_only)")
            if self.snapshot.exists():
                con.execute(f"attach '{self.snapshot}' as published (read_only)")
            for database, schema, table in con.execute(
                "select database_name, schema_name, table_name from duckdb_tables() "
                "where (database_name = 'warehouse' and schema_name = any($1)) "
                "or database_name = any($1)",
                [list(schemas)],
            ).fetchall():
                where = f"{database}.{schema}.{table}"
                row = con.execute(
                    f"""select count(*), sum(md5_number_lower(r::varchar)::hugeint)::varchar
                    from (select columns(c -> not regexp_matches(c, '{LOAD_COLUMNS}'))
                        from {where}) as r"""
                ).fetchall()[0]
                found[f"{schema}.{table}" if database == "warehouse" else table] = row
        return found


@dataclass(frozen=True)
class January:
    """The retailer's first weeks in two runs, and what must have come of them."""

    home: Home
    oracle: Oracle
    loads: tuple[date, ...]


def kill(process: subprocess.Popen[str]) -> bool:
    """SIGKILL to a process and its children; whether it was still at work."""
    at_work = process.poll() is None
    if at_work:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work
