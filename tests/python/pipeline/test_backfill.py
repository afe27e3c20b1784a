"""`millrace backfill` in a home of its own: what was missed reaches the marts, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from homes import Home

pytestmark = pytest.mark.xdist_group("thin")
SCHEMAS = ("raw_pos", "staging", "marts")
JANUARY = ("pos.transactions", "--from", "2017-01-01", "--to", "2017-02-01")
LATE = """
insert into transactions
select household_id, store_id, basket_id + 1000000000000, product_id, quantity, sales_value,
    retail_disc, coupon_disc, coupon_match_disc, week, transaction_timestamp, updated_at
from transactions where updated_at < '2017-01-02' and quantity > 0 and sales_value > 0
    and basket_id is not null and household_id is not null limit 40
"""


def _tables(home: Home) -> dict[str, tuple[int, str]]:
    """Every table with rows of the tills' own, and the marts."""
    found = home.tables(*SCHEMAS)
    return {name: rows for name, rows in found.items() if "._" not in name}


def _sold(home: Home) -> tuple[int, int]:
    """Lines and cents, as readers see them."""
    ((lines, cents),) = home.published(
        "select count(*), cast(sum(sales_amount) * 100 as bigint) from fct_basket_lines"
    )
    return lines, cents


def test_what_was_missed_reaches_the_marts(home: Home) -> None:
    before, sold = _tables(home), _sold(home)
    done = home.millrace("backfill", *JANUARY, "--chunk", "14d")
    assert (done.code, done.out) == (0, ""), done.text
    assert "backfill: 0 rows were new" in done.text
    assert _tables(home) == before
    assert home.query("select command, status, exit_code from millrace.runs")[-1] == (
        "backfill pos.transactions --from 2017-01-01 --to 2017-02-01", "success", 0,
    )  # fmt: skip

    with closing(sqlite3.connect(home.path / "sample_data" / "till.sqlite")) as tills, tills:
        tills.execute(LATE)
        ((cents,),) = tills.execute(
            "select cast(round(sum(sales_value) * 100) as integer) from transactions "
            "where basket_id > 1000000000000"
        ).fetchall()
    assert home.millrace("load", "pos").code == 0
    assert _tables(home) == before  # far below the lag
    done = home.millrace("backfill", *JANUARY)
    assert "backfill: 40 rows were new" in done.text
    done = home.millrace("run", "--quick")
    assert done.code == 0, done.text
    assert _sold(home) == (sold[0] + 40, sold[1] + cents)


def test_a_wrong_word_is_told(home: Home) -> None:
    done = home.millrace("backfill", "pos.transaction", *JANUARY[1:])
    assert done.code == 2
    assert "did you mean 'pos.transactions'?" in done.text
    assert "Traceback" not in done.text
