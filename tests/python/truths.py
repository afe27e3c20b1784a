"""Every mart told again in other words, from the rows that the oracle says staging must hold."""

from __future__ import annotations

import duckdb

from sample.oracle import TABLES, Oracle

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
"""Mart to the SQL of its rows, over one table `<source>_<table>` for each that the oracle knows."""


def tell(con: duckdb.DuckDBPyConnection, oracle: Oracle, tables: tuple[str, ...] = TABLES) -> None:
    """Make the table `<source>_<table>` of the oracle's truth in `con`, for each of the tables."""
    for table in tables:
        name = table.replace(".", "_")
        con.register("told", oracle.truth(table).to_arrow_table())
        con.execute(f"create or replace table {name} as from told")
        con.unregister("told")


def differing(con: duckdb.DuckDBPyConnection, truth: str, found: str) -> list[tuple[object, ...]]:
    """Some rows of the SQL `truth` that are not in the SQL `found`, and the other way round."""
    columns = ", ".join(con.sql(truth).columns)
    return con.execute(
        f"""with truth as ({truth}), found as (select {columns} from ({found}))
        (select 'truth', * from (from truth except all from found) limit 3)
        union all (select 'found', * from (from found except all from truth) limit 3)"""
    ).fetchall()
