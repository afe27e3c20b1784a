"""No money is lost: the marts hold what the tills hold, to the cent, and every mart is the truth.

Two opinions that know nothing of the pipeline: the till's own database, read here and now, and the
oracle, from whose rows each mart is told again in other words.
"""

from __future__ import annotations

import duckdb
import pytest
from homes import January
from truths import MARTS, differing, tell

from sample import dataset

pytestmark = pytest.mark.xdist_group("january")

TOTALS = """
    count(*) as lines, count(distinct basket_id) as baskets,
    count(distinct household_id) as households, sum(sales_value)::decimal(18, 2) as sales,
    sum(quantity)::bigint as quantity"""


@pytest.fixture(scope="module")
def told(january: January) -> duckdb.DuckDBPyConnection:
    """The readers' snapshot beside the truth: one view `<source>_<table>` for each table."""
    con = duckdb.connect()
    con.execute(f"attach '{january.home.snapshot}' as published (read_only)")
    tell(con, january.oracle)
    return con


@pytest.mark.parametrize("mart", MARTS)
def test_every_mart_is_the_oracles_truth(told: duckdb.DuckDBPyConnection, mart: str) -> None:
    assert differing(told, MARTS[mart], f"from published.main.{mart}") == []
    rows = told.execute(f"select count(*) from published.main.{mart}").fetchall()[0][0]
    assert rows >= 3


def test_marts_left_out_here_hold_nothing_of_the_sources(january: January) -> None:
    there = {row[0] for row in january.home.published("select table_name from duckdb_tables()")}
    assert there - MARTS.keys() == {"dim_dates", "display_locations", "mailer_locations"}


def test_totals_per_day_and_store_are_those_of_the_tills(january: January) -> None:
    con = duckdb.connect()
    dataset.extension(con, "sqlite_scanner")
    con.execute("set sqlite_all_varchar = true")
    con.execute(
        f"attach '{january.home.path / 'sample_data' / 'till.sqlite'}' as till (type sqlite)"
    )
    for name, rows in {
        "truth": january.oracle.truth("pos.transactions"),
        "dead": january.oracle.fates("pos.transactions").filter("fate = 'dead'"),
    }.items():
        con.register(f"{name}_rows", rows.to_arrow_table())
        con.execute(f"create table {name} as from {name}_rows")
    con.execute(
        """
        create table stands as
        select household_id::bigint as household_id, store_id::bigint as store_id,
            basket_id::bigint as basket_id, product_id::bigint as product_id, quantity,
            sales_value::decimal(10, 2) as sales_value, week, transaction_timestamp::timestamp
                as transaction_timestamp, updated_at::timestamp as updated_at
        from till.transactions;
        create table good as
        select * replace (quantity::integer as quantity) from stands as s
        where not exists (from dead as d where d.basket_id = s.basket_id
            and d.product_id = s.product_id and d.updated_at is not distinct from s.updated_at);
        -- a line whose newest version is bad stays as its last good version said
        insert into good select household_id, store_id, basket_id, product_id, quantity,
            sales_value, week, transaction_timestamp, updated_at
        from truth anti join good using (basket_id, product_id);
        """
    )
    con.execute(f"attach '{january.home.snapshot}' as published (read_only)")
    differ = con.execute(
        f"""
        with till as (
            select store_id, transaction_timestamp::date as day, {TOTALS} from good group by all),
        mart as (
            select store_id, sold_on as day, line_count as lines, basket_count as baskets,
                household_count as households, sales_amount as sales, quantity
            from published.main.fct_daily_store_sales)
        (from till except all from mart) union all (from mart except all from till)"""
    ).fetchall()
    assert differ == []
    sold = con.execute(f"select {TOTALS} from good").fetchall()
    for mart in ("fct_basket_lines", "fct_baskets", "product_performance", "household_value"):
        lines = "count(*)" if mart == "fct_basket_lines" else "sum(line_count)"
        found = con.execute(
            f"select {lines}, sum(sales_amount), sum(quantity) from published.main.{mart}"
        ).fetchall()
        assert found == [(sold[0][0], sold[0][3], sold[0][4])], mart
    days, lines = con.execute(
        "select count(distinct transaction_timestamp::date), count(*) from good"
    ).fetchall()[0]
    assert days == 23
    assert lines > 80_000


def test_the_world_is_made_once_for_all_workers(request: pytest.FixtureRequest) -> None:
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@january"), "this pytest and this xdist do not fit"
