"""With the clock past the year's end every line of the data set is in the marts, to the cent.

1.47 million lines, 20.9 million promotions: 2 to 6 minutes and 6 GB of disk, so it runs only when
asked for:

    MILLRACE_TEST_YEAR=1 pytest tests/python/pipeline/test_year.py -s
"""

from __future__ import annotations

import os
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from homes import Home

from sample import dataset

pytestmark = pytest.mark.skipif(
    not os.environ.get("MILLRACE_TEST_YEAR"),
    reason="takes 2 to 6 minutes; run with MILLRACE_TEST_YEAR=1 pytest "
    "tests/python/pipeline/test_year.py",
)

FIRST, LAST = date(2017, 12, 10), date(2018, 1, 31)

SAME = {
    "fct_daily_store_sales": (
        """select store_id, sold_on, line_count, basket_count, household_count, sales_amount,
            quantity, retail_discount_amount from published.main.fct_daily_store_sales""",
        """select store_id, transaction_timestamp::date, count(*), count(distinct basket_id),
            count(distinct household_id), sum(sales_value), sum(quantity)::bigint,
            sum(retail_disc) from lines group by all""",
    ),
    "fct_basket_lines": (
        """select basket_id, product_id, household_id, store_id, week_number, quantity,
            sales_amount, sold_at from published.main.fct_basket_lines""",
        """select basket_id, product_id, household_id, store_id, week::integer,
            quantity::integer, sales_value, transaction_timestamp from lines""",
    ),
    "household_value": (
        "select household_id, sum(line_count)::bigint, sum(sales_amount) "
        "from published.main.household_value group by all",
        "select household_id, count(*), sum(sales_value) from lines group by all",
    ),
    "product_performance": (
        """select product_id, week_number, line_count, sales_amount, promoted_sales_amount
            from published.main.product_performance""",
        """select product_id, week::integer, count(*), sum(sales_value),
            ifnull(sum(sales_value) filter (promoted), 0)
        from (select lines.*, p.product_id is not null as promoted from lines
            left join (select distinct product_id, store_id, week from source.promotions) as p
            using (product_id, store_id, week)) group by all""",
    ),
    "fct_promotions": (
        """select product_id, store_id, week_number, display_code, mailer_code
            from published.main.fct_promotions""",
        """select product_id, store_id, week::integer, display_location, mailer_location
            from source.promotions""",
    ),
    "fct_coupon_redemptions": (
        """select household_id, coupon_upc, campaign_id, redeemed_on
            from published.main.fct_coupon_redemptions""",
        """select household_id, coupon_upc, campaign_id, redemption_date::date
            from source.coupon_redemptions""",
    ),
}


def test_a_whole_year_in_two_runs_is_the_data_set(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").start(FIRST)
    took = []
    for day in (FIRST, LAST):
        if day != FIRST:
            home.advance((LAST - FIRST) // timedelta(days=1))
        begun = time.monotonic()
        done = home.millrace("run", "--quick-report", timeout=3600)
        took.append(time.monotonic() - begun)
        assert done.code == 0, done.text
        print(f"\n{day}: {took[-1]:.0f} s\n{done.err}")
    con = dataset.connect(7)
    con.execute(f"attach '{home.snapshot}' as published (read_only)")
    con.execute(
        """create temp view lines as select * replace (
            sales_value::decimal(18, 2) as sales_value, retail_disc::decimal(18, 2) as retail_disc)
        from source.transactions"""
    )
    for mart, (ours, theirs) in SAME.items():
        assert same(con, ours, theirs), mart
    counts = con.execute(
        """select (select count(*) from published.main.fct_basket_lines),
            (select count(*) from published.main.fct_promotions),
            (select sum(sales_amount) from published.main.fct_basket_lines)"""
    ).fetchall()[0]
    print(f"lines, promotions, sales: {counts}")
    assert counts[0] == 1_469_307
    assert counts[1] == 20_940_529


def same(con: duckdb.DuckDBPyConnection, ours: str, theirs: str) -> bool:
    """Whether two queries give the same rows, in any order."""
    sums = []
    for query in (ours, theirs):
        rows = con.sql(query)
        texts = ", ".join(
            f"coalesce(({place}::{kind})::varchar, '~')"
            for place, kind in zip(
                (f"c{n}" for n in range(len(rows.columns))), con.sql(ours).types, strict=True
            )
        )
        names = ", ".join(f"c{n}" for n in range(len(rows.columns)))
        sums.append(
            con.execute(
                f"""select count(*), sum(hash(concat_ws('|', {texts}))::hugeint)
                from ({query}) as t({names})"""
            ).fetchall()
        )
    return sums[0] == sums[1]
