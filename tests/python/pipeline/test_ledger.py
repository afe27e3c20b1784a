"""The row ledger: a row dropped, doubled or altered at any stage is caught in the same run.

The slice of every day throws rows of each kind at each stage of a small home. The full proof on the
sample's year, 1.47 million lines, is `make ledger-proof`: it sets MILLRACE_TEST_MUTATIONS=100.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from copies import PROJECT
from homes import Done, Home
from mutations import KINDS, Ledger, Mutation, Told, mutate, opened

pytestmark = pytest.mark.xdist_group("runs")

FULL = int(os.environ.get("MILLRACE_TEST_MUTATIONS", "0"))
WIDE = ("product_id", "store_id", "week_number")
STAGES = {
    "raw": {"raw_pos.transactions": ("pos.transactions",), "raw_promo.coupons": ("promo.coupons",)},
    "dead letters": {"raw_pos._dead_letters": ("pos.transactions", "pos.products")},
    "staging": {
        "staging.stg_pos__transactions": ("basket_id", "product_id"),
        "staging.stg_pos__products": ("product_id",),
        "staging.stg_promo__promotions": WIDE,
    },
    "fact": {
        "marts.main.fct_basket_lines": ("basket_id", "product_id"),
        "marts.main.fct_promotions": WIDE,
        "marts.main.fct_coupon_redemptions": ("household_id", "coupon_upc"),
        "marts.main.dim_households": ("household_id",),
    },
    "snapshot": {
        "snapshots.products_history": ("product_id",),
        "snapshots.households_history": ("household_id",),
    },
}
"""Stage to tables; of raw as the ledger names it, of the others the columns that name a row."""

KNOWN = {"marts.main.dim_households": "is_described"}
"""Members that nothing told of are held by the relationships tests of the facts."""


def is_told(mutation: Mutation, by: tuple[str, ...], told: list[Told]) -> bool:
    """Whether a difference names the table, and the load or the row."""
    if mutation.table.startswith("raw"):
        return any(
            row.table in by
            and row.load == mutation.row["_load_number"]
            and "raw holds" in row.difference
            for row in told
        )
    names = [mutation.named(key) for key in by]
    own = mutation.table.partition(".")[2].replace("stg_", "").replace("__", ".")
    return any(
        (row.table == mutation.name and all(name in row.difference for name in names))
        # how many versions were passed over is not in raw; the sums say it
        or (mutation.column.endswith("_count") and row.table == own)
        or (mutation.column == "dbt_valid_to" and mutation.name in row.test)
        for row in told
    )


def thrown(home: Home, ledger: Ledger, kind: str, seed: int) -> tuple[int, list[Mutation]]:
    """Change a row of each table, ask the ledger, put all back; how many, and those not told."""
    files, done = (home.warehouse, home.marts), []
    for file in files:
        shutil.copy2(file, f"{file}.kept")
    dice = random.Random(f"{kind} {seed}")
    with opened(home) as con:
        for tables in STAGES.values():
            for table, by in tables.items():
                which = KNOWN.get(table, "true")
                done.append((mutate(con, table, kind, dice, which), by))
    told = ledger.differences()
    for file in files:
        Path(f"{file}.kept").replace(file)
    return len(done), [mutation for mutation, by in done if not is_told(mutation, by, told)]


CACHE_IN_USE = """
import collections, sys, threading, time
from dbt.adapters.base.impl import BaseAdapter
from dbt.adapters.cache import RelationsCache
from dbt.cli.main import dbtRunner
add, list_relations = RelationsCache.add, BaseAdapter.list_relations
asked, begun = collections.Counter(), collections.defaultdict(threading.Event)
def add_slowly(self, relation):
    add(self, relation)
    begun[relation.schema].set()
    time.sleep(0.02)
def list_after_the_first(self, database, schema):
    asked[schema] += 1
    if asked[schema] > 1 and schema.startswith("raw"):
        begun[schema].wait(2)
    return list_relations(self, database, schema)
RelationsCache.add = add_slowly
BaseAdapter.list_relations = list_after_the_first
sys.exit(not dbtRunner().invoke(sys.argv[1:]).success)
"""
"""dbt, in which whoever asks second for a schema sees the cache of it half filled."""


@pytest.fixture
def home(settled: Home, tmp_path: Path) -> Home:
    """One whose project has all its tests: they are what is tested here."""
    return settled.copied(tmp_path / "home")


@pytest.fixture(scope="module")
def ledger(settled: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Ledger]:
    """A copy of the settled home, and the ledger over it; a test puts back what it changed."""
    home = settled.copied(tmp_path_factory.mktemp("ledger") / "home")
    return home, Ledger(home)


def test_later_days_raise_no_false_alarm(home: Home) -> None:
    """All tests of the YAML, in builds upon builds: of the new loads alone, and of all rows."""
    for words in (("run", "--quick-report"), ("run",)):
        home.advance(1)
        done = home.millrace(*words)
        assert done.code == 0, done.text
        ((told,),) = home.query(
            "select list(distinct regexp_extract(node_name, '_is_what_.*')) "
            "from millrace.node_results where status = 'pass' "
            "and run_id = (select max(run_id) from millrace.node_results)"
        )
        assert {"_is_what_is_staged", "_is_what_raw_holds"} <= set(told)


def test_the_ledger_tells_of_nothing_where_all_is_well(ledger: tuple[Home, Ledger]) -> None:
    assert ledger[1].differences() == []


def test_a_cache_that_is_being_filled_hides_no_source(settled: Home, home: Home) -> None:
    models = ("ops_loads", "ops_dead_letters")
    done = home.call(sys.executable, "-c", CACHE_IN_USE, "run", "--select", *models)
    assert done.code == 0, done.text
    for model in models:
        rows = f"from ops.{model} order by all"
        assert home.query(rows) == settled.query(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_changed_at_any_stage_is_told(ledger: tuple[Home, Ledger], kind: str) -> None:
    count, missed = thrown(*ledger, kind, seed=0)
    assert (count, missed) == (12, [])


@pytest.mark.skipif(not FULL, reason="set MILLRACE_TEST_MUTATIONS=100: make ledger-proof")
def test_a_hundred_mutations_in_a_million_rows(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").start(date(2017, 12, 31), thin=True)
    done = home.millrace("run", "--quick", timeout=1800)
    assert done.code == 0, done.text
    lines = home.query("select count(*) from staging.stg_pos__transactions")[0][0]
    assert lines > 1_000_000
    checks, total, missed = Ledger(home), 0, []
    for seed in range(-(-FULL // (12 * len(KINDS)))):
        for kind in KINDS:
            count, unseen = thrown(home, checks, kind, seed + 1)
            total, missed = total + count, missed + unseen
    alarms = [row for _ in range(FULL) for row in checks.differences()]
    print(f"{total - len(missed)} of {total} mutations told; {len(alarms)} false alarms")
    assert total >= FULL
    assert (missed, alarms) == ([], [])


def mutated(home: Home, *stages: str) -> Done:
    """The real `millrace run`, quick, with rows changed behind its back."""
    helpers = PROJECT / "tests" / "python"
    # the project first: `helpers` has a folder `sample` too
    paths = os.pathsep.join([str(PROJECT), str(helpers)])
    there = replace(home, env={**home.env, "PYTHONPATH": paths})
    script = str(helpers / "pipeline" / "mutated_run.py")
    return there.call(sys.executable, script, *stages, "--", "run", "--quick")


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (
            ("parquet=drop", "dead=alter", "stg_pos__transactions=alter"),
            (
                "pos.transactions, load 2: ",
                " rows were accepted, raw holds ",
                " dead letters raw holds some with other values",
                "stg_pos__transactions, load 2: ",
            ),
        ),
        (
            ("raw=alter", "products_history=alter", "fct_basket_lines=double"),
            (
                "accepted rows raw holds some with other values",
                "products_history, ",
                "fct_basket_lines, load 2: there is a row too many of basket_id ",
            ),
        ),
    ],
)
def test_the_same_run_stops_before_it_publishes(
    home: Home, stages: tuple[str, ...], said: tuple[str, ...]
) -> None:
    home.advance(1)
    with closing(sqlite3.connect(home.path / "sample_data" / "till.sqlite")) as tills, tills:
        # a change for the snapshot to take
        tills.execute(
            "update products set package_size = '3 OZ', updated_at = '2017-01-04 09:00:00' "
            "where product_id = (select min(product_id) from products)"
        )
    before = home.snapshot.stat().st_ino
    done = mutated(home, *stages)
    assert done.code == 4, done.text
    for words in said:
        assert words in done.text
    assert home.snapshot.stat().st_ino == before
