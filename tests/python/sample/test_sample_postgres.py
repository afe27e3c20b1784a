"""Tills in PostgreSQL hold what tills in SQLite hold, but for what its types refuse."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb
import pytest
from services import postgres

from sample import Retailer, dataset
from sample.errors import TablesNotOursError, TillsUnreachableError
from sample.oracle import Oracle
from sample.versions import TILLS

FIRST, LAST = date(2017, 1, 4), date(2017, 1, 9)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.fixture
def con(url: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        dataset.extension(found, "postgres_scanner")
        found.execute(f"attach '{url}' as pg (type postgres)")
        yield found


def _content(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[object, ...]]:
    con.execute("call pg_clear_cache()")
    return con.sql(f"select columns(*)::varchar from pg.public.{table} order by all").fetchall()


def test_postgres_holds_what_sqlite_holds(
    url: str, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    in_postgres = Retailer(tmp_path / "postgres", pos_url=url)
    in_postgres.start(FIRST)
    for days in (1, 4):
        in_postgres.advance(days)
    in_sqlite = tmp_path / "sqlite"
    Retailer(in_sqlite).start(LAST)
    dataset.extension(con, "sqlite_scanner")
    con.execute("set sqlite_all_varchar = true")
    con.execute(f"attach '{in_sqlite / 'till.sqlite'}' as lite (type sqlite)")
    for table in TILLS:
        typed = ", ".join(
            f"{name}::{kind}::varchar as {name}" for name, kind in table.columns.items()
        )
        good = "where quantity not like '%x'" if "quantity" in table.columns else ""
        wanted = con.sql(f"select {typed} from lite.{table.name} {good} order by all").fetchall()
        found = _content(con, table.name)
        assert found == wanted
        assert len(found) > 700
    refused = con.sql("select count(*) from lite.transactions where quantity like '%x'").fetchall()
    assert refused[0][0] > 0
    fates = Oracle(7, [LAST], loose_types=False).fates("pos.transactions")
    assert fates.aggregate("count(*)").fetchall() == [(len(_content(con, "transactions")),)]
    assert not (tmp_path / "postgres/till.sqlite").exists()


def test_keys_and_indexes_are_there(
    url: str, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    Retailer(tmp_path, pos_url=url).start(FIRST)
    indexes = con.execute(
        "select * from postgres_query('pg', ?)",
        ["select indexdef from pg_indexes where tablename = 'transactions' order by 1"],
    ).fetchall()
    assert [text.rpartition("(")[2] for (text,) in indexes] == [
        "updated_at)",
        "basket_id, product_id)",
    ]


def test_an_emptied_database_is_filled_again(
    url: str, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    retailer = Retailer(tmp_path, pos_url=url)
    retailer.start(FIRST)
    for table in TILLS:
        con.execute(f"drop table pg.public.{table.name}")
    retailer.advance(1)
    assert len(_content(con, "households")) == 801


def test_tables_of_others_are_left_alone(
    url: str, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    con.execute("drop table if exists pg.public.households")
    con.execute("create table pg.public.households (theirs integer)")
    try:
        with pytest.raises(TablesNotOursError, match=r"households.*unset MILLRACE_POS_URL"):
            Retailer(tmp_path, pos_url=url).start(FIRST)
        assert con.sql("select * from pg.public.households").columns == ["theirs"]
        assert Retailer(tmp_path).clock() is None
    finally:
        con.execute("drop table pg.public.households")


def test_a_database_that_is_down_is_named_without_its_secret(tmp_path: Path) -> None:
    url = "postgresql://till:hush%20hush@127.0.0.1:9/tills"
    with pytest.raises(TillsUnreachableError, match=r"127.0.0.1:9/tills") as caught:
        Retailer(tmp_path, pos_url=url).start(FIRST)
    assert "hush" not in str(caught.value)
    assert Retailer(tmp_path).clock() is None


def test_a_till_that_is_no_database_is_made_afresh(tmp_path: Path) -> None:
    (tmp_path / "till.sqlite").write_text("no database")
    Retailer(tmp_path).start(date(2017, 1, 1))
    (tmp_path / "till.sqlite").write_text("no database")
    Retailer(tmp_path).advance(1)
    with closing(sqlite3.connect(tmp_path / "till.sqlite")) as db:
        assert db.execute("select count(*) from households").fetchone() == (801,)
