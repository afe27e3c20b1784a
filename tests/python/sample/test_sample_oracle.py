"""The oracle is right: against what was delivered, judged by the declaration, and at year's end."""

import gzip
import hashlib
import json
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
import rules
import worlds

from sample import Retailer, api, dataset, promo, versions
from sample.oracle import TABLES, Files, Oracle
from sample.tills import SqliteTills
from sample.versions import API, TILLS

SEED = 11
LOADS = [date(2017, 1, 16), *(date(2017, 1, 30) + timedelta(days=n) for n in (0, 1, 2, 5, 8))]
YEAR_END = date(2018, 1, 31)

SOURCE_OF = {
    "pos.transactions": "transactions",
    "pos.products": "products",
    "pos.households": "demographics",
    "loyalty.campaigns": "campaign_descriptions",
    "loyalty.campaign_targets": "campaigns",
    "loyalty.redemptions": "coupon_redemptions",
    "promo.promotions": "promotions",
    "promo.coupons": "coupons",
}

EVERY_RULE = {
    "pos.transactions": {
        '["check:quantity"]',
        '["check:quantity","check:sales_value"]',
        '["check:week"]',
        '["required:household_id"]',
        '["required:sales_value"]',
        '["required:store_id","required:transaction_timestamp"]',
        '["type:quantity"]',
    },
    "pos.products": {'["accepted_values:brand"]'},
    "pos.households": set(),
    "loyalty.campaigns": {'["accepted_values:campaign_type"]'},
    "loyalty.campaign_targets": set(),
    "loyalty.redemptions": {'["required:household_id"]', '["type:redemption_date"]'},
    "promo.promotions": {'["check:week"]', '["required:store_id"]'},
    "promo.coupons": {'["type:product_id"]', '["unparsable"]'},
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Every row that six loads saw, all columns text: one table each, and the day it was first."""
    home = tmp_path_factory.mktemp("loaded")
    con = duckdb.connect()
    dataset.extension(con, "sqlite_scanner")
    con.execute("set sqlite_all_varchar = true")
    for table in (*TILLS, *API):
        columns = ", ".join(f"{name} varchar" for name in table.columns)
        con.execute(f"create table all_{table.name} ({columns}, load date)")
    retailer = Retailer(home, seed=SEED)
    for load in LOADS:
        before = retailer.clock()
        if before is None:
            retailer.start(load)
        else:
            retailer.advance((load - before).days)
        con.execute(f"attach '{home / 'till.sqlite'}' as till (type sqlite)")
        for table in TILLS:
            con.execute(f"insert into all_{table.name} select *, ? from till.{table.name}", [load])
        con.execute("detach till")
        with api.serve(home) as base:
            for table in API:
                _fetch(con, base, table.name, list(table.columns), home, load)
    for table in (*TILLS, *API):
        con.execute(
            f"create table {table.name} as "
            f"select {table.column_list}, min(load) as load from all_{table.name} group by all"
        )
    _read_drop(con, home / "drop")
    return con


def _fetch(
    con: duckdb.DuckDBPyConnection, base: str, name: str, columns: list[str], to: Path, load: date
) -> None:
    answer = to / "answer.json"
    answer.write_text(json.dumps(worlds.items(base, f"/{name}")))
    as_text = "{" + ", ".join(f"{column}: 'varchar'" for column in columns) + "}"
    con.execute(
        f"insert into all_{name} select *, ? from read_json('{answer}', columns = {as_text})",
        [load],
    )


def _read_drop(con: duckdb.DuckDBPyConnection, drop: Path) -> None:
    """Each distinct file once, the lines of the coupons as they stand."""
    found: dict[str, Path] = {}
    for path in sorted(drop.rglob("*.*"), key=lambda path: len(path.name)):
        found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
    weeks = [str(path) for path in found.values() if path.suffix == ".parquet"]
    con.execute(
        "create table promotions as select columns(*)::varchar, null::varchar as display_name "
        f"from read_parquet({weeks})"
    )
    con.execute("create table lines (text varchar)")
    for path in found.values():
        if path.name.endswith(".csv.gz"):
            lines = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
            con.execute("insert into lines select unnest(?)", [lines])


@pytest.mark.parametrize("table", [name for name in TABLES if name != "promo.coupons"])
def test_fates_are_those_of_the_delivered_rows(seen: duckdb.DuckDBPyConnection, table: str) -> None:
    declared = rules.declared(table)
    name, key = table.partition(".")[2], ", ".join(declared.key)
    newest = "updated_at::timestamp desc nulls last," if "updated_at" in declared.types else ""
    load = "load" if newest else "date '2017-01-01'"
    typed = ", ".join(
        f"coalesce(try_cast({column} as {kind})::varchar, {column}) as {column}"
        for column, kind in declared.types.items()
    )
    seen.execute(
        f"""create or replace temp table delivered as
        with judged as (select *, {declared.broken()} as rule from {name}),
        ranked as (
            select *, row_number() over (
                partition by {key}, rule is null order by {newest} {load} desc) as place
            from judged
        )
        select {typed}, case when rule is not null then 'dead' when place > 1 then 'superseded'
            else 'accepted' end as fate, rule
        from ranked"""
    )
    as_text = ", ".join(f"{column}::varchar as {column}" for column in declared.types)
    oracle = Oracle(SEED, LOADS)
    seen.register("known", oracle.fates(table).project(f"{as_text}, fate, rule").to_arrow_table())
    digests = [
        seen.execute(f"select count(*), sum(hash({side})::hugeint) from {side}").fetchall()
        for side in ("delivered", "known")
    ]
    differing: list[tuple[object, ...]] = []
    if digests[0] != digests[1]:
        differing = seen.execute(
            """(select 'delivered', * from (from delivered except all from known) limit 3)
            union all (select 'known', * from (from known except all from delivered) limit 3)"""
        ).fetchall()
    assert differing == []
    assert digests[0] == digests[1]
    assert digests[0][0][0] > 0


def test_fates_of_the_coupons_lines(seen: duckdb.DuckDBPyConnection) -> None:
    declared = rules.declared("promo.coupons")
    fields = ", ".join(
        f"string_split(text, ',')[{place}] as {name}"
        for place, name in enumerate(declared.types, start=1)
    )
    judged = seen.execute(
        f"""select text, case when len(string_split(text, ',')) <> {len(declared.types)}
                then '["unparsable"]' else {declared.broken()} end as rule
        from (select text, {fields} from lines) order by all"""
    ).fetchall()
    oracle = Oracle(SEED, LOADS)
    known = oracle.fates("promo.coupons")
    assert known.project("text, rule").order("all").fetchall() == judged
    assert known.filter("rule is not null").aggregate("count(*)").fetchall() == [(4,)]
    assert oracle.files("promo.coupons") == Files(distinct=2, resent=1)
    assert oracle.files("promo.promotions") == Files(distinct=7, resent=1)


def test_a_year_of_loads_meets_every_fault_and_every_fate() -> None:
    loads = [date(2017, 1, 1) + timedelta(days=n) for n in range(0, 396, 2)]
    oracle = Oracle(7, loads)
    for table in TABLES:
        found = dict(
            oracle.fates(table).filter("fate = 'dead'").aggregate("rule, count(*)").fetchall()
        )
        assert set(found) == EVERY_RULE[table], table
    for table in ("pos.transactions", "pos.products", "pos.households", "loyalty.campaigns"):
        older = oracle.fates(table).filter("fate = 'superseded'").aggregate("count(*)").fetchall()
        assert older[0][0] > 0, table


def test_a_newer_bad_version_leaves_the_older_good_one() -> None:
    oracle = Oracle(7, [date(2017, 5, 1) + timedelta(days=n) for n in range(30)])
    oracle.truth("pos.transactions").create_view("truth")
    kept = oracle.fates("pos.transactions").query(
        "fates",
        """select count(*) from fates join truth using (basket_id, product_id)
        where fates.fate = 'dead' and fates.updated_at > truth.updated_at""",
    )
    assert kept.fetchall()[0][0] > 0


@pytest.mark.parametrize("table", TABLES)
def test_the_years_truth_is_the_data_set(table: str) -> None:
    oracle = Oracle(7, [date(2017, 6, 30), YEAR_END])
    con = dataset.connect(7)
    columns = [
        name
        for name in rules.declared(table).types
        if name not in ("updated_at", "display_name", "copy_number")
    ]
    digest = f"count(*), sum(hash({', '.join(columns)})::hugeint)"
    truth = oracle.truth(table)
    assert (
        truth.types
        == con.sql(
            "select " + ", ".join(f"null::{kind}" for kind in rules.declared(table).types.values())
        ).types
    )
    of_truth = truth.project(", ".join(columns)).aggregate(digest).fetchall()
    of_source = con.sql(f"select {digest} from source.{SOURCE_OF[table]}").fetchall()
    assert of_truth == of_source


def test_the_tills_of_a_whole_year_hold_the_totals_of_the_data_set(tmp_path: Path) -> None:
    con = dataset.connect(7)
    versions.create(con)
    SqliteTills(con, tmp_path / "till.sqlite", 7).start(YEAR_END)
    con.execute(f"attach '{tmp_path / 'till.sqlite'}' as till (type sqlite)")
    # all that is still bad at the year's end lacks its household or its number
    con.execute(
        """create table sold as
        select store_id::bigint as store_id, transaction_timestamp::timestamp::date as day,
            sales_value::decimal(10, 2) as sales_value, try_cast(quantity as integer) as quantity
        from till.transactions
        where household_id is not null and try_cast(quantity as integer) >= 0"""
    )
    totals = "count(*), sum(sales_value), sum(quantity)"
    differing = con.execute(
        f"""(select store_id, transaction_timestamp::date as day, {totals}
            from source.transactions group by all)
        except (select store_id, day, {totals} from sold group by all)"""
    ).fetchall()
    assert differing == []
    sold = con.execute(f"select {totals} from sold").fetchall()
    assert sold == con.execute(f"select {totals} from source.transactions").fetchall()
    assert sold[0][0] == 1_469_307


@pytest.mark.parametrize(("week", "named", "bad"), [(26, False, 0), (27, True, 2), (53, True, 0)])
def test_promotions_have_names_from_week_27_on(week: int, named: bool, bad: int) -> None:
    con = dataset.connect(7)
    rows = con.sql(promo.promotions(week))
    assert rows.columns == list(promo.PROMOTIONS)[: None if named else -1]
    counted = rows.aggregate("count(*), count(columns(*))").fetchall()[0]
    lines = con.sql(f"select count(*) from source.promotions where week = {week}").fetchall()[0][0]
    assert counted[0] == lines + bad
    assert set(counted[1:]) <= {lines + bad, lines + bad // 2}
