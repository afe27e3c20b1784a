"""A warehouse and a published snapshot as some weeks of runs leave them, for the report's tests.

All numbers follow from the seed; the totals tell what the start page must show.
"""

import json
import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

NOW = datetime(2017, 11, 24, 6, 4, 10)
HOSTILE = '<script>document.title = "owned"</script><img src=x onerror="alert(1)">'

_TABLES = {  # (source, table): (rows of the first load, rows of a later one, dead per 10 000)
    ("loyalty", "campaign_targets"): (5_120, 24, 0),
    ("loyalty", "campaigns"): (24, 1, 0),
    ("loyalty", "redemptions"): (1_790, 9, 30),
    ("pos", "households"): (801, 6, 0),
    ("pos", "products"): (92_331, 140, 2),
    ("pos", "transactions"): (1_254_118, 4_210, 9),
    ("promo", "coupons"): (116_204, 310, 12),
    ("promo", "promotions"): (18_211_940, 402_114, 0),
}
_RULES = {
    "transactions": ["type:quantity", "check:sales_value", "required:store_id"],
    "products": ["accepted_values:brand"],
    "coupons": ["unparsable"],
    "redemptions": ["required:household_id"],
}
_LOADS = """create table {0}._loads (load_number bigint, table_name varchar, rows_fetched bigint,
    rows_reread bigint, rows_read bigint, rows_accepted bigint, rows_dead bigint, bytes bigint,
    seconds double, cursor_from varchar, cursor_to varchar, run_id varchar, extracted_at timestamp,
    _dlt_load_id varchar, _dlt_id varchar);
create table {0}._dlt_loads (load_id varchar, schema_name varchar, status bigint,
    inserted_at timestamp);
create table {0}._dead_letters (dead_letter_id varchar, table_name varchar, broken_rules varchar,
    payload varchar, _load_number bigint, _extracted_at timestamp, _source varchar);
create table {0}._dead_letter_fates (dead_letter_id varchar, fate varchar, reason varchar,
    _load_number bigint, _extracted_at timestamp);"""
_JOURNAL = """create schema millrace;
create table millrace.runs (run_id varchar, command varchar, target varchar, started_at timestamp,
    finished_at timestamp, status varchar, exit_code integer);
create table millrace.steps (run_id varchar, step varchar, started_at timestamp,
    finished_at timestamp, status varchar, detail varchar);
create table millrace.node_results (run_id varchar, unique_id varchar, resource_type varchar,
    node_name varchar, status varchar, execution_seconds double, failures bigint, message varchar,
    finished_at timestamp);"""
_STEPS = {"load": 0.34, "freshness": 0.03, "build": 0.46, "publish": 0.03, "report": 0.14}


@dataclass
class Totals:
    """What the pretend warehouse adds up to, in rows; `open_letters` have no fate yet."""

    read: int = 0
    dead: int = 0
    transactions: int = 0
    open_letters: int = 0
    tests_passed: int = 0


def make(home: Path, *, runs: int = 36, failing: bool = False) -> tuple[Path, Path, Totals]:
    """(warehouse, published folder, totals) below `home`; `failing`: a test fails at last."""
    chance, totals = random.Random(7), Totals()
    warehouse, published = home / "millrace_dev.duckdb", home / "published"
    with duckdb.connect(warehouse) as connection:
        connection.execute("begin")
        connection.execute(_JOURNAL)
        for source in sorted({source for source, _ in _TABLES}):
            connection.execute(f"create schema raw_{source};" + _LOADS.format(f"raw_{source}"))
        for number in range(1, runs + 1):
            at = NOW - timedelta(days=runs - number, seconds=chance.randint(0, 2400))
            bad = number == 17 or (failing and number == runs)
            run_id = f"{at:%Y%m%dT%H%M%S}-{chance.randrange(16**4):04x}"
            _run(connection, chance, run_id, at, number, runs, bad)
            for (source, table), row in _TABLES.items():
                _load(connection, chance, totals, run_id, at, number, source, table, row)
        # A load that did not finish never happened.
        connection.execute(
            "insert into raw_pos._loads select * replace ('nowhere' as _dlt_load_id,"
            " 999999999 as rows_read) from raw_pos._loads limit 1"
        )
        _results(connection, run_id, at, failing)
        connection.execute("commit")
        totals.tests_passed = 211 - failing
    _snapshot(published)
    return warehouse, published, totals


def _run(
    connection: duckdb.DuckDBPyConnection,
    chance: random.Random,
    run_id: str,
    at: datetime,
    number: int,
    runs: int,
    bad: bool,
) -> None:
    seconds = 64.0 if number == 1 else chance.uniform(9, 15) + number / 12
    status = "failed" if bad else "success"
    connection.execute(
        "insert into millrace.runs values (?, 'run', 'dev', ?, ?, ?, ?)",
        [run_id, at, at + timedelta(seconds=seconds), status, int(bad)],
    )
    begun = at
    for step, share in _STEPS.items():
        ended = begun + timedelta(seconds=seconds * share * chance.uniform(0.9, 1.1))
        skipped = bad and step == "publish"
        state = "failed" if bad and step == "build" else "skipped" if skipped else "success"
        detail = {
            "load": "8 tables, 407 016 rows",
            "build": "31 models, 212 tests",
            "publish": "12 marts, 148 MB",
        }.get(step, "")
        connection.execute(
            "insert into millrace.steps values (?, ?, ?, ?, ?, ?)",
            [run_id, step, begun, begun if skipped else ended, state, detail],
        )
        begun = ended


def _load(
    connection: duckdb.DuckDBPyConnection,
    chance: random.Random,
    totals: Totals,
    run_id: str,
    at: datetime,
    number: int,
    source: str,
    table: str,
    sizes: tuple[int, int, int],
) -> None:
    first, later, share = sizes
    if table == "promotions" and number > 1 and number % 7:
        return  # the drop is weekly
    rows = first if number == 1 else int(later * chance.uniform(0.5, 1.4))
    dead = sum(chance.random() < share / 10_000 for _ in range(min(rows, 6_000)))
    schema, load_id = f"raw_{source}", f"{at.timestamp()}.{source}"
    connection.execute(
        f"insert into {schema}._dlt_loads select ?, ?, 0, ? where ? not in"
        f" (select load_id from {schema}._dlt_loads)",
        [load_id, source, at, load_id],
    )
    connection.execute(
        f"insert into {schema}._loads values (?, ?, ?, 0, ?, ?, ?, ?, ?, null, null, ?, ?, ?, ?)",
        [
            number,
            table,
            rows,
            rows,
            rows - dead,
            dead,
            rows * 41,
            rows / 2e6,
            run_id,
            at + timedelta(seconds=2),
            load_id,
            f"{load_id}.{table}",
        ],
    )
    totals.read += rows
    totals.dead += dead
    totals.transactions += rows if table == "transactions" else 0
    for letter in range(dead):
        rules = chance.sample(_RULES[table], 1 + (len(_RULES[table]) > 1 and letter % 5 == 0))
        payload = {
            "basket_id": 31198570044 + letter,
            "store_id": None,
            "quantity": HOSTILE,
            "sales_value": "-1.29",
            "updated_at": f"{at:%Y-%m-%d %H:%M:%S}",
        }
        name = f"{table}-{number}-{letter}"
        connection.execute(
            f"insert into {schema}._dead_letters values (?, ?, ?, ?, ?, ?, ?)",
            [
                name,
                table,
                json.dumps(rules),
                json.dumps(payload),
                number,
                at,
                f"till.sqlite:{table}" if source == "pos" else f"{table}_{number:03}.csv.gz:118",
            ],
        )
        if chance.random() < 0.6:
            connection.execute(
                f"insert into {schema}._dead_letter_fates values (?, ?, ?, ?, ?)",
                [name, "replayed", "rule mended", number, at],
            )
        else:
            totals.open_letters += 1


def _results(connection: duckdb.DuckDBPyConnection, run_id: str, at: datetime, bad: bool) -> None:
    def add(
        kind: str, name: str, status: str, seconds: float, failures: int = 0, message: str = ""
    ) -> None:
        unique = f"{kind}.millrace.{name}"
        connection.execute(
            "insert into millrace.node_results values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [run_id, unique, kind, name, status, seconds, failures, message, at],
        )

    for number in range(210):
        add("test", f"not_null_stg_pos__column_{number}", "pass", 0.02)
    add(
        "test",
        "expect_daily_rows_between_fct_baskets",
        "warn",
        0.05,
        3,
        "Got 3 results, configured to warn if != 0",
    )
    add(
        "test",
        "totals_source_to_mart",
        "fail" if bad else "pass",
        0.41,
        2 if bad else 0,
        f"Got 2 results, configured to fail if != 0 {HOSTILE}" if bad else "",
    )
    for name, seconds in {
        "fct_promotions": 2.21,
        "fct_basket_lines": 0.94,
        "dim_products": 0.31,
        "stg_pos__transactions": 0.62,
        "fct_baskets": 0.28,
    }.items():
        add("model", name, "success", seconds)
    for source, table in _TABLES:
        add("source", f"{source}.{table}", "warn" if table == "campaigns" else "pass", 0.01)


def _snapshot(published: Path) -> None:
    published.mkdir(parents=True)
    with duckdb.connect(published / "marts.duckdb") as connection:
        connection.execute(
            "create table fct_daily_store_sales (sold_on date, store_id bigint,"
            " basket_count bigint, sales_amount decimal(18,2))"
        )
        connection.execute("select setseed(0.7)")
        connection.execute(
            "insert into fct_daily_store_sales select day::date, store, 40,"
            " (900 + 250 * random()) * (1 + day_number / 2400)"
            " * if(isodow(day) >= 6, 1.22, 1) from (select range as day_number,"
            " date '2017-01-01' + range::integer as day from range(326)), range(12) as s(store)"
        )
        for name, rows in {
            "dim_products": 92_471,
            "dim_households": 2_501,
            "dim_stores": 458,
            "dim_campaigns": 28,
            "dim_dates": 366,
            "fct_baskets": 141_020,
            "fct_basket_lines": 1_391_210,
            "fct_promotions": 2_114_000,
            "fct_coupon_redemptions": 2_085,
            "household_value": 22_810,
            "product_performance": 88_410,
        }.items():
            connection.execute(f"create table {name} as select range as id from range({rows})")
    then = (NOW - timedelta(minutes=23)).replace(tzinfo=UTC).timestamp()
    os.utime(published / "marts.duckdb", (then, then))
