"""Delivery to the tills' database: SQLite, or PostgreSQL when there is a URL of one.

The database remembers the seed and the day it was delivered up to, in the same transaction as
the rows. So a delivery that was cut off never happened, and one that is not what the clock says
is made afresh.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from sample import dataset, versions
from sample.errors import TablesNotOursError, TillsUnreachableError
from sample.versions import TILLS, Table

_SIGNATURE = "Millrace sample, seed {seed}, delivered until {day}"


def _ddl(table: Table, prefix: str = "") -> str:
    columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
    return f"create table {prefix}{table.name} ({columns}, primary key ({table.key_list}))"


def _index(table: Table) -> str:
    return f"create index {table.name}_updated_at on {table.name} (updated_at)"


def _exchange(table: Table, rows: str, keys: str) -> tuple[str, str]:
    """The two statements that put the touched rows in the place of the old ones."""
    return (
        f"delete from {table.name} "
        f"where ({table.key_list}) in (select {table.key_list} from {keys})",
        f"insert into {table.name} ({table.column_list}) select {table.column_list} from {rows}",
    )


def _rows(table: Table, after: date, day: date, loose: bool) -> str:
    touched = versions.touched(table, after, day, loose)
    return f"""select {table.column_list} from {touched}
        where arrives_on <= date '{day}' and (leaves_on is null or leaves_on > date '{day}')"""


def _keys(table: Table, after: date, day: date, loose: bool) -> str:
    return f"select distinct {table.key_list} from {versions.touched(table, after, day, loose)}"


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
        fresh = self._path.with_name(self._path.name + ".tmp")
        fresh.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(fresh)) as db:
            for table in TILLS:
                db.execute(_ddl(table))
        with self._attached(fresh):
            for table in TILLS:
                self._con.execute(
                    f"insert into till.{table.name} select {table.column_list} "
                    f"from {versions.state(table, day)} order by {table.key_list}"
                )
        with contextlib.closing(sqlite3.connect(fresh)) as db:
            for table in TILLS:
                db.execute(_index(table))
            self._sign(db, day)
            db.commit()
        fresh.replace(self._path)

    def advance(self, after: date, day: date) -> None:
        """Bring what comes, changes or goes later than `after`, up to the end of `day`."""
        parcel = self._path.with_name(self._path.name + ".parcel")
        parcel.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(parcel)) as db:
            for table in TILLS:
                db.execute(_ddl(table))
                kinds = ", ".join(f"{name} {table.columns[name]}" for name in table.key)
                db.execute(f"create table {table.name}_keys ({kinds})")
        with self._attached(parcel):
            for table in TILLS:
                rows, keys = _rows(table, after, day, True), _keys(table, after, day, True)
                self._con.execute(f"insert into till.{table.name} {rows}")
                self._con.execute(f"insert into till.{table.name}_keys {keys}")
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            db.execute("attach ? as parcel", (str(parcel),))
            db.execute("begin immediate")
            for table in TILLS:
                for statement in _exchange(
                    table, f"parcel.{table.name}", f"parcel.{table.name}_keys"
                ):
                    db.execute(statement)
            self._sign(db, day)
            db.execute("commit")
        parcel.unlink()

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


class PostgresTills:
    """The tills in a PostgreSQL database, in schema public.

    Args:
        con: a DuckDB connection with the plan (`versions.create`).
        url: postgresql://...; it is never shown.
        seed: the seed of the plan.

    Raises (every method):
        TillsUnreachableError: the database does not answer or refuses.
        TablesNotOursError: it holds tables of these names that the sample did not make.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, url: str, seed: int) -> None:
        self._con, self._url, self._seed = con, url, seed

    def delivered_until(self) -> date | None:
        """The day of the last whole delivery, None where there is none of this seed."""
        with self._transaction():
            comment = self._comments().get("transactions") or ""
        pattern = _SIGNATURE.format(seed=self._seed, day=r"(\d{4}-\d\d-\d\d)")
        found = re.fullmatch(pattern, comment)
        return date.fromisoformat(found[1]) if found else None

    def start(self, day: date) -> None:
        """Make the tables afresh with everything up to `day`, in one transaction."""
        with self._transaction():
            self._refuse_foreign_tables()
            for table in TILLS:
                self._run(f"drop table if exists public.{table.name}")
                self._run(_ddl(table, "public."))
                self._con.execute(
                    f"insert into till.public.{table.name} select {table.column_list} "
                    f"from {versions.state(table, day, loose_types=False)}"
                )
                self._run(_index(table))
            self._sign(day)

    def advance(self, after: date, day: date) -> None:
        """Bring what comes, changes or goes later than `after`, up to the end of `day`."""
        with self._transaction():
            self._refuse_foreign_tables()
            for table in TILLS:
                rows, keys = f"{table.name}_parcel", f"{table.name}_parcel_keys"
                self._run(f"create table public.{rows} (like public.{table.name})")
                self._run(
                    f"create table public.{keys} as "
                    f"select {table.key_list} from public.{table.name} limit 0"
                )
                self._con.execute(
                    f"insert into till.public.{rows} {_rows(table, after, day, False)}"
                )
                self._con.execute(
                    f"insert into till.public.{keys} {_keys(table, after, day, False)}"
                )
                for statement in _exchange(table, rows, keys):
                    self._run(statement)
                self._run(f"drop table public.{rows}, public.{keys}")
            self._sign(day)

    def _comments(self) -> dict[str, str | None]:
        """The comment of each of our tables that exists."""
        names = ", ".join(f"'{table.name}'" for table in TILLS)
        found = self._con.execute(
            "select * from postgres_query('till', ?)",
            [
                "select relname::text, obj_description(oid, 'pg_class')::text from pg_class "
                f"where relnamespace = 'public'::regnamespace and relname in ({names})"
            ],
        ).fetchall()
        return dict(found)

    def _refuse_foreign_tables(self) -> None:
        ours = _SIGNATURE.split(",")[0]
        foreign = [
            name for name, text in self._comments().items() if not (text or "").startswith(ours)
        ]
        if foreign:
            raise TablesNotOursError(sorted(foreign))

    def _sign(self, day: date) -> None:
        text = _SIGNATURE.format(seed=self._seed, day=day)
        for table in TILLS:
            self._run(f"comment on table public.{table.name} is '{text}'")

    def _run(self, statement: str) -> None:
        self._con.execute(
            "call postgres_execute('till', ?)", [f"set search_path to public; {statement}"]
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        dataset.extension(self._con, "postgres_scanner")
        where = urlsplit(self._url)
        place = f"{where.hostname or 'localhost'}:{where.port or 5432}{where.path}"
        try:
            url = self._url.replace("'", "''")
            self._con.execute(f"attach '{url}' as till (type postgres, schema 'public')")
            try:
                self._con.execute("begin")
                yield
                self._con.execute("commit")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self._con.execute("rollback")
                raise
            finally:
                self._con.execute("detach till")
        except duckdb.Error as error:
            raise TillsUnreachableError(place, _reason(error, self._url)) from None


def _reason(error: duckdb.Error, url: str) -> str:
    """The first line of DuckDB's message, without the URL and what it holds."""
    line = str(error).strip().splitlines()[0].replace(url, "the URL")
    password = urlsplit(url).password
    return line.replace(password, "***") if password else line
