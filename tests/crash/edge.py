"""PostgreSQL with a transaction that is open while its table is read, and commits afterwards."""

from pathlib import Path
from typing import Any

import psycopg
from projects import source, table

from tests.crash.stores import Known, Store

COLUMNS = {"id": "bigint", "amount": "integer", "moment": "bigint"}


class Edge(Store):
    """The late rows have lower cursors than those that were read before their commit."""

    name = "rows that are committed late"
    steps = ("load beside an open transaction", "load after its commit", "load again")
    switches = ("patience",)
    url = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._open: psycopg.Connection[Any] | None = None

    def bring(self, step: int) -> None:
        if step == 0:
            made = table("lines", COLUMNS, cursor="moment", primary_key="id", window=40)
            self.project.declare(source("shop", made, kind="sql", url=self.url))
            self.known["lines"] = Known(tuple(COLUMNS))
        known = self.known["lines"]
        known.rows += _rows(step)
        if step == 1:
            known.rows += _late()
        # the edge stays below what is open
        known.cursor = str(max(row[2] for row in known.rows))
        self._put(step)

    def restore(self, step: int) -> None:
        """The database too."""
        super().restore(step)
        self._put(step)

    def close(self) -> None:
        """End the transaction that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _put(self, step: int) -> None:
        self.close()
        with psycopg.connect(self.url, autocommit=True) as con:
            con.execute("drop table if exists lines")
            con.execute("create table lines (id bigint primary key, amount int, moment bigint)")
            committed = [row for each in range(step + 1) for row in _rows(each)]
            _insert(con, committed + (_late() if step else []))
        if not step:
            self._open = psycopg.connect(self.url)
            _insert(self._open, _late())


def _rows(step: int) -> list[tuple[int, int, int]]:
    return [(100 * step + i, i, 1000 * step + 2 * i + 1) for i in range(60)]


def _late() -> list[tuple[int, int, int]]:
    """Rows with cursors that were drawn amid those of the first step."""
    return [(500 + i, i, 80 + 2 * i) for i in range(10)]


def _insert(con: psycopg.Connection[Any], rows: list[tuple[int, int, int]]) -> None:
    with con.cursor() as cursor:
        cursor.executemany("insert into lines values (%s, %s, %s)", rows)
