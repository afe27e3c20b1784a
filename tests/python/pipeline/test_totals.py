"""No money is lost: the marts hold what the tills hold, to the cent, and every mart is the truth.

Two opinions that know nothing of the pipeline: the till's own database, read here and now, and the
oracle, from whose rows each mart is told again in other words.
"""

from __future__ import annotations

import duckdb
import pytest
from homes import January

from sample import dataset
from sample.oracle import TABLES

pytestmark = pytest.mark.xdist_group("january")

TOTALS = """
    count(*) as lines, count(distinct basket_id) as baskets,
    count(distinct household_id) as households, sum(sales_value)::decimal(18, 2) as sales,
    sum(quantity)::bigint as quantity"""

MARTS = {
    "fct_basket_lines": """
        select basket_id, product_id, household_id, store_id, week as week_number, quantity,
            sales_value as sales_amount, ifnull(retail_disc, 0) as retail_discount_amount,
            ifnull(coupon_disc, 0) as coupon_discount_amount,
            ifnull(coupon_match_disc, 0) as coupon_match_discount_amount,
            transaction_timestamp as sold_at, transaction_timestamp::date as sold_on
        from pos_transactions""",
    "fct_baskets": """
        select basket_id, any_value(household_id) as household_id, any_value(store_id) as store_id,
            count(*) as line_count, sum(quantity)::bigint as quantity,
            sum(sales_value)::decimal(18, 2) as sales_amount,
            min(transaction_timestamp) as sold_at
        from pos_transactions group by basket_id""",
    "fct_daily_store_sales": """
        select store_id, transaction_timestamp::date as sold_on,
            count(distinct basket_id) as basket_count,
            count(distinct household_id) as household_count, count(*) as line_count,
            sum(quantity)::bigint as quantity, sum(sales_value)::decimal(18, 2) as sales_amount,
            sum(ifnull(retail_disc, 0))::decimal(18, 2) as retail_discount_amount
        from pos_transactions group by all""",
    "household_value": """
        select household_id, date_trunc('month', transaction_timestamp)::date as month_started_on,
            count(distinct basket_id) as basket_count, count(distinct store_id) as store_count,
            count(distinct product_id) as product_count, count(*) as line_count,
            sum(sales_value)::decimal(18, 2) as sales_amount,
            max(transaction_timestamp)::date as last_sold_on
        from pos_transactions group by all""",
    "product_performance": """
        select product_id, week as week_number, ifnull(department, 'Unknown') as department,
            count(*) as line_count, sum(quantity)::bigint as quantity,
            sum(sales_value)::decimal(18, 2) as sales_amount,
            count(distinct store_id) as store_count,
            count(distinct if(promoted, store_id, null)) as promoted_store_count,
            ifnull(sum(sales_value) filter (promoted), 0)::decimal(18, 2)
                as promoted_sales_amount
        from (
            select t.*, department, (t.product_id, store_id, week) in
                (select (product_id, store_id, week) from promo_promotions) as promoted
            from pos_transactions as t left join pos_products using (product_id)
        ) group by all""",
    "fct_promotions": """
        select product_id, store_id, week as week_number, display_location as display_code,
            mailer_location as mailer_code, display_name, display_location != '0' as is_on_display,
            mailer_location != '0' as is_in_mailer
        from promo_promotions""",
    "fct_coupon_redemptions": """
        select household_id, coupon_upc, campaign_id, redemption_date as redeemed_on,
            (select count(distinct c.product_id) from promo_coupons as c
                where c.coupon_upc = r.coupon_upc and c.campaign_id = r.campaign_id)
                as product_count,
            exists (from loyalty_campaign_targets as t where t.household_id = r.household_id
                and t.campaign_id = r.campaign_id) as is_household_targeted,
            exists (from loyalty_campaigns as c where c.campaign_id = r.campaign_id
                and r.redemption_date between start_date and end_date) as is_within_campaign
        from loyalty_redemptions as r""",
    "dim_campaigns": """
        with ids as (select campaign_id from loyalty_campaigns union
            select campaign_id from loyalty_campaign_targets union
            select campaign_id from loyalty_redemptions union
            select campaign_id from promo_coupons)
        select campaign_id, campaign_type, start_date as started_on, end_date as ended_on,
            (select count(*) from loyalty_campaign_targets as t
                where t.campaign_id = ids.campaign_id) as household_count,
            (select count(distinct coupon_upc) from promo_coupons as c
                where c.campaign_id = ids.campaign_id) as coupon_count,
            campaign_id in (select campaign_id from loyalty_campaigns) as is_known
        from ids left join loyalty_campaigns using (campaign_id)""",
    "dim_products": """
        select product_id, manufacturer_id, ifnull(department, 'Unknown') as department,
            ifnull(brand, 'Unknown') as brand, package_size, updated_at
        from (select product_id from pos_transactions union select product_id from pos_products
            union select product_id from promo_promotions
            union select product_id from promo_coupons)
        left join pos_products using (product_id)""",
    "dim_households": """
        select household_id, age is not null or household_id in
                (select household_id from pos_households) as is_described,
            ifnull(income, 'Unknown') as income_range, updated_at
        from (select household_id from pos_transactions union
            select household_id from pos_households union
            select household_id from loyalty_campaign_targets union
            select household_id from loyalty_redemptions)
        left join pos_households using (household_id)""",
    "dim_stores": """
        select store_id, bool_or(sold) as has_sales, bool_or(not sold) as has_promotions,
            min(day) as first_sale_on, max(day) as last_sale_on
        from (select store_id, true as sold, transaction_timestamp::date as day
                from pos_transactions
            union all select distinct store_id, false, null::date from promo_promotions)
        group by store_id""",
}


@pytest.fixture(scope="module")
def told(january: January) -> duckdb.DuckDBPyConnection:
    """The readers' snapshot beside the truth: one view `<source>_<table>` for each table."""
    con = duckdb.connect()
    con.execute(f"attach '{january.home.snapshot}' as published (read_only)")
    for table in TABLES:
        rows = january.oracle.truth(table).to_arrow_table()
        con.register(f"arrow_{table.replace('.', '_')}", rows)
        con.execute(
            f"create table {table.replace('.', '_')} as from arrow_{table.replace('.', '_')}"
        )
    return con


@pytest.mark.parametrize("mart", MARTS)
def test_every_mart_is_the_oracles_truth(told: duckdb.DuckDBPyConnection, mart: str) -> None:
    truth = told.sql(MARTS[mart])
    columns = ", ".join(truth.columns)
    truth.create_view("truth", replace=True)
    assert told.execute(
        f"""(select 'truth', * from (from truth except all
            select {columns} from published.main.{mart}) limit 3)
        union all (select 'mart', * from (select {columns} from published.main.{mart}
            except all from truth) limit 3)"""
    ).fetchall() == []  # fmt: skip
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
