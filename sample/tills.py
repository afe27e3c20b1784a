"""Delivery to the tills' database as a SQLite file.

The database remembers the seed and the day it was delivered up to, in the same transaction as
the rows. So a delivery that was cut off never happened, and one that is not what the clock says
is made afresh.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb

from sample import dataset, versions
from sample.versions import TILLS, Table


def ddl(table: Table, prefix: str = "") -> str:
    """The statement that makes the table."""
    columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
    return f"create table {prefix}{table.name} ({columns}, primary key ({table.key_list}))"


def index(table: Table) -> str:
    """The statement that makes its index on the cursor."""
    return f"create index {table.name}_updated_at on {table.name} (updated_at)"


def exchange(table: Table, rows: str, keys: str) -> tuple[str, str]:
    """The two statements that put the touched rows in the place of the old ones."""
    return (
        f"delete from {table.name} "
        f"where ({table.key_list}) in (select {table.key_list} from {keys})",
        f"insert into {table.name} ({table.column_list}) select {table.column_list} from {rows}",
    )


class SqliteTills:
    """The tills as a SQLite file.

    Args:
        con: a DuckDB connection with the plan (`versions.create`).
        path: the file.
        seed: the seed of the plan.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, path: Path, seed: int) -> None:
        self._con, self._path, self._seed = con, path, seed

    def delivered_until(self) -> date | None:
        """The day of the last whole delivery, None where there is none of this seed."""
        if not self._path.exists():
            return None
        with contextlib.closing(sqlite3.connect(self._path)) as db:
            try:
                seed = db.execute("pragma application_id").fetchone()[0]
                day = db.execute("pragma user_version").fetchone()[0]
            except sqlite3.DatabaseError:
                return None
        if seed != self._seed % 2**31 or not day:
            return None
        return date(day // 10000, day // 100 % 100, day % 100)

    def start(self, day: date) -> None:
        """Make the file afresh with everything up to `day`."""
        fresh = self._draft("tmp")
        with contextlib.closing(sqlite3.connect(fresh)) as db:
            for table in TILLS:
                db.execute(ddl(table))
        with self._attached(fresh):
            for table in TILLS:
                self._con.execute(
                    f"insert into till.{table.name} select {table.column_list} "
                    f"from {versions.state(table, day)} order by {table.key_list}"
                )
        with contextlib.closing(sqlite3.connect(fresh)) as db:
            for table in TILLS:
                db.execute(index(table))
            self._sign(db, day)
            db.commit()
        # the old file first: its journal, if a delivery was cut off, must not meet the new one
        self._path.unlink(missing_ok=True)
        self._path.with_name(self._path.name + "-journal").unlink(missing_ok=True)
        fresh.replace(self._path)

    def advance(self, after: date, day: date) -> None:
        """Bring what comes, changes or goes later than `after`, up to the end of `day`."""
        parcel = self._draft("parcel")
        with contextlib.closing(sqlite3.connect(parcel)) as db:
            for table in TILLS:
                db.execute(ddl(table))
                kinds = ", ".join(f"{name} {table.columns[name]}" for name in table.key)
                db.execute(f"create table {table.name}_keys ({kinds})")
        with self._attached(parcel):
            for table in TILLS:
                rows = versions.new_rows(table, after, day)
                keys = versions.touched_keys(table, after, day)
                self._con.execute(f"insert into till.{table.name} {rows}")
                self._con.execute(f"insert into till.{table.name}_keys {keys}")
        # a reader that is busy with the tills is waited for
        with contextlib.closing(sqlite3.connect(self._path, 60, isolation_level=None)) as db:
            db.execute("attach ? as parcel", (str(parcel),))
            db.execute("begin immediate")
            for table in TILLS:
                for statement in exchange(
                    table, f"parcel.{table.name}", f"parcel.{table.name}_keys"
                ):
                    db.execute(statement)
            self._sign(db, day)
            db.execute("commit")
        parcel.unlink()

    def _draft(self, ending: str) -> Path:
        """A free name beside the file; what a delivery that was cut off left there goes."""
        for left in self._path.parent.glob(self._path.name + ".*"):
            left.unlink()
        return self._path.with_name(f"{self._path.name}.{ending}")

    def _sign(self, db: sqlite3.Connection, day: date) -> None:
        db.execute(f"pragma application_id = {self._seed % 2**31}")
        db.execute(f"pragma user_version = {day:%Y%m%d}")

    @contextlib.contextmanager
    def _attached(self, path: Path) -> Iterator[None]:
        """`path` as database `till`, every column as text: SQLite's own affinity sorts them."""
        dataset.extension(self._con, "sqlite_scanner")
        self._con.execute("set sqlite_all_varchar = true")
        self._con.execute(
            f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as till (type sqlite)"
        )
        try:
            yield
        finally:
            self._con.execute("detach till")
