"""Delivery to the tills' database in PostgreSQL, in one transaction a delivery."""

import contextlib
import re
from collections.abc import Iterator
from datetime import date
from urllib.parse import unquote, urlsplit

import duckdb

from sample import dataset, versions
from sample.errors import TablesNotOursError, TillsUnreachableError
from sample.tills import ddl, exchange, index
from sample.versions import TILLS

_SIGNATURE = "Millrace sample, seed {seed}, delivered until {day}"


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
                self._run(ddl(table, "public."))
                self._con.execute(
                    f"insert into till.public.{table.name} select {table.column_list} "
                    f"from {versions.state(table, day, loose_types=False)}"
                )
                self._run(index(table))
            self._sign(day)

    def advance(self, after: date, day: date) -> None:
        """Bring what comes, changes or goes later than `after`, up to the end of `day`."""
        with self._transaction():
            self._refuse_foreign_tables()
            for table in TILLS:
                rows, keys = f"{table.name}_parcel", f"{table.name}_parcel_keys"
                new_rows = versions.new_rows(table, after, day, loose_types=False)
                touched = versions.touched_keys(table, after, day, loose_types=False)
                self._run(f"create table public.{rows} (like public.{table.name})")
                self._run(
                    f"create table public.{keys} as "
                    f"select {table.key_list} from public.{table.name} limit 0"
                )
                self._con.execute(f"insert into till.public.{rows} {new_rows}")
                self._con.execute(f"insert into till.public.{keys} {touched}")
                for statement in exchange(table, rows, keys):
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
    password = urlsplit(url).password or ""
    for secret in filter(None, (password, unquote(password))):
        line = line.replace(secret, "***")
    return line
