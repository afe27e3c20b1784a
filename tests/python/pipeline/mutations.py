"""One row dropped, doubled or altered in a table, thrown by a seed, and what the ledger says."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from homes import Home

from ops.publish import release

KINDS = ("drop", "double", "alter")
_OTHER = {
    "BOOLEAN": "not coalesce({0}, false)",
    "DATE": "coalesce({0}, date '2017-01-01') + 1",
    "TIMESTAMP": "coalesce({0}, timestamp '2017-01-01') + interval 1 second",
    "VARCHAR": "coalesce({0}, '') || 'x'",
    "BIGINT": "coalesce({0}, 0) + 1",
    "INTEGER": "coalesce({0}, 0) + 1",
    "DECIMAL": "coalesce({0}, 0) + 0.01",
}
"""SQL of another value of each type."""


@dataclass(frozen=True)
class Mutation:
    """What was done to one row.

    Attributes:
        table: the table, with its schema.
        kind: one of KINDS.
        column: the column that was altered; '' otherwise.
        row: the row's values before.
    """

    table: str
    kind: str
    column: str
    row: dict[str, Any]

    @property
    def name(self) -> str:
        """The table without its schema."""
        return self.table.rpartition(".")[2]

    def named(self, key: str) -> str:
        """The row's value in a key column as the ledger says it."""
        return f"{key} {self.row[key]}"


def mutate(
    con: duckdb.DuckDBPyConnection, table: str, kind: str, dice: random.Random, which: str = "true"
) -> Mutation:
    """Do it to a row that the dice choose of those `which`; they choose the column to alter too."""
    rows = f"from {table} where {which}"
    (count,) = con.execute(f"select count(*) {rows}").fetchall()[0]
    (rowid,) = con.execute(
        f"select rowid {rows} order by rowid limit 1 offset {dice.randrange(count)}"
    ).fetchall()[0]
    found = con.execute(f"select * from {table} where rowid = {rowid}")
    columns = [description[0] for description in found.description or []]
    row = dict(zip(columns, found.fetchall()[0], strict=True))
    column = dice.choice(columns) if kind == "alter" else ""
    if kind == "drop":
        con.execute(f"delete from {table} where rowid = {rowid}")
    elif kind == "double":
        con.execute(f"insert into {table} select * from {table} where rowid = {rowid}")
    else:
        (kept,) = con.execute(f"select typeof({column}) from {table} limit 1").fetchall()[0]
        other = _OTHER[kept.partition("(")[0]].format(column)
        con.execute(f"update {table} set {column} = {other} where rowid = {rowid}")
    return Mutation(table, kind, column, row)


def mutate_file(path: Path, kind: str, dice: random.Random) -> Mutation:
    """Do it to a row of a Parquet file."""
    with duckdb.connect() as con:
        con.execute(f"create table rows as from '{path}'")
        done = mutate(con, "rows", kind, dice)
        con.execute(f"copy rows to '{path}' (format parquet)")
    return done


@contextmanager
def opened(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The home's warehouse with the marts attached, to be written to."""
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute(f"attach '{home.marts}' as marts")
        yield con


@dataclass(frozen=True)
class Told:
    """A row that a failing test gave; `test` is its name in dbt."""

    test: str
    table: str
    load: int | None
    difference: str


class Ledger:
    """The ledger's models and tests alone, in this process, on a home's warehouse."""

    def __init__(self, home: Home) -> None:
        from dbt.cli.main import dbtRunner

        os.environ |= {"MILLRACE_HOME": str(home.path)}
        self._home = home
        self._places = [
            *("--project-dir", str(home.project), "--profiles-dir", str(home.project)),
            *("--target-path", str(home.path / "target"), "--log-path", str(home.path / "logs")),
            *("--target", "dev", "--quiet"),
        ]
        parsed = dbtRunner().invoke(["parse", *self._places])
        assert parsed.success, parsed.exception
        self._dbt = dbtRunner(manifest=parsed.result)

    def differences(self) -> list[Told]:
        """Every difference that the ledger finds in all rows; none where all is well."""
        kinds = ("staged_from", "carried_over", "versions_of", "one_version_at_a_time")
        tests = ["the_books_balance", "every_accepted_row_is_staged"]
        self._invoke("run", "ops_load_ledger", "ops_row_ledger")
        tests += [f"test_name:{kind}" for kind in kinds]
        results = self._invoke("test", *tests)
        assert len(results) > 18
        failed = [(r.node.name, r.node.compiled_code) for r in results if r.status == "fail"]
        told = []
        with opened(self._home) as con:
            for name, sql in failed:
                said = "table_name, load_number, difference"
                if "difference" not in sql:
                    said = f"'{name}', null, 'dbt_valid_to'"
                rows = con.execute(f"select {said} from ({sql}\n)").fetchall()
                told += [Told(name, *row) for row in rows]
        return told

    def _invoke(self, command: str, *select: str) -> list[Any]:
        try:
            answer = self._dbt.invoke([command, "--select", *select, *self._places])
        finally:
            release()
        assert answer.exception is None, answer.exception
        wrong = [r for r in answer.result if r.status not in ("pass", "fail", "success")]
        assert not wrong, [(r.node.name, r.message) for r in wrong]
        return list(answer.result)
