"""Lines that two sources tell of, in whatever order: the live ones are each there once.

The scans come late, again, corrected, deleted; the till database tells of most of them, days after
or before, by its own loads. After every build, of both sources or of one alone, the live lines are
what plain Python makes of the rows of raw. More seeds: MILLRACE_TEST_SEEDS=30 (the default is 1).
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from copies import PROJECT
from dbt_here import Dbt, seeds
from scan_worlds import FIRST, LOADS, Key, Raw, Row, Truth, thrown
from test_windows import HERE, edited

OURS = ("macros", "tests/generic", "models/intermediate/scanner", "models/marts/scanner/live")
VIEW = "models/marts/scanner/live/live_basket_lines.sql"
TAIL = "models/marts/scanner/live/scan_tail.sql"
STAGED = """
    1 as week_number,
    1 as quantity,
    0 as retail_discount_amount,
    cast(null as decimal(10, 2)) as coupon_discount_amount,
    0 as coupon_match_discount_amount,
    _load_number,
"""
POS = """
sources:
  - name: pos
    schema: raw_pos
    tables: [{name: transactions}]
"""
STAGED_POS = """{{ config(unique_key=['basket_id', 'product_id']) }}

with source as (
    {{ newest_versions(
        source('pos', 'transactions'), key=['basket_id', 'product_id'],
        staged=this if is_incremental() else none,
    ) }}
)

select basket_id, product_id, household_id, store_id, sales_amount, sold_at, STAGED
    _superseded_count
from source
"""

Live = dict[Key, tuple[Decimal, bool]]
"""Line to its amount, and whether it is settled."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the scans, with staged lines of the till database and Millrace's models."""
    folder = tmp_path_factory.mktemp("live") / "project"
    shutil.copytree(HERE, folder)
    for part in OURS:
        shutil.copytree(PROJECT / part, folder / part)
    (folder / "models/intermediate/scanner/int_scans__versions.yml").unlink()
    (folder / "models/marts/scanner/live/_live__marts.yml").unlink()  # its columns are the sample's
    (folder / "dbt_project.yml").write_text(
        (folder / "dbt_project.yml").read_text().replace("{enforced: true}", "{enforced: false}")
    )
    staged = folder / "models/staging/scanner/stg_scanner__scans.sql"
    staged.write_text(staged.read_text().replace("    _load_number,\n", STAGED))
    (folder / "models/staging/pos").mkdir()
    (folder / "models/staging/pos/_pos__sources.yml").write_text(POS)
    (folder / "models/staging/pos/stg_pos__transactions.sql").write_text(
        STAGED_POS.replace("STAGED", STAGED)
    )
    facts = "models/marts/fct_basket_lines.sql"
    shutil.copy2(PROJECT / facts, folder / facts)
    return folder


class Till:
    """The till database's raw schema, load by load: key and amount of what it tells."""

    def __init__(self, warehouse: Path, rows: list[Row], dice: random.Random) -> None:
        self._warehouse, self.told = warehouse, dict[Key, Decimal]()
        self.loads: list[dict[Key, Decimal]] = [{} for _ in range(LOADS)]
        for key in sorted({row.key for row in rows}):
            begun = min(row.load for row in rows if row.key == key)
            if dice.random() < 0.8:
                number = min(max(begun + dice.randint(-2, 8), 1), LOADS)
                self.loads[number - 1][key] = Decimal(dice.randint(1, 9))
                if dice.random() < 0.2:  # corrected
                    self.loads[min(number + 3, LOADS) - 1][key] = Decimal(dice.randint(10, 99))
        for n in range(20):  # the topic never tells of these
            self.loads[dice.randrange(LOADS)][1000 + n, 1] = Decimal(1)
        with duckdb.connect(str(warehouse)) as con:
            con.execute("""
                create schema raw_pos;
                create table raw_pos._loads
                    (load_number bigint, table_name varchar, _dlt_load_id varchar);
                create table raw_pos._dlt_loads (load_id varchar, status bigint);
                create table raw_pos.transactions (
                    basket_id bigint, product_id bigint, household_id bigint, store_id bigint,
                    sales_amount decimal(10, 2), sold_at timestamp, _load_number bigint,
                    _source varchar, _replayed_from bigint);
            """)

    def deliver(self, number: int) -> None:
        """Brings a load."""
        rows = self.loads[number - 1]
        self.told |= rows
        with duckdb.connect(str(self._warehouse)) as con:
            con.execute(f"insert into raw_pos._loads values ({number}, 'transactions', '{number}')")
            con.execute(f"insert into raw_pos._dlt_loads values ('{number}', 0)")
            for key, amount in rows.items():
                con.execute(
                    "insert into raw_pos.transactions values (?, ?, 1, 1, ?, ?, ?, 'till', null)",
                    [*key, amount, FIRST, number],
                )


BUILDS = {
    "both": ("staging", "intermediate", "marts"),
    "scanner": ("stg_scanner__scans+", "int_scans__versions+"),
    "pos": ("stg_pos__transactions+",),
}
"""What is built after new loads of a source, as `millrace run` and `millrace stream` do."""

REPLAYED = (900, 1)
"""A line whose tombstone is read again: what counts of it then came before."""


def replayed() -> list[Row]:
    """Of two versions the older one counts, until the tombstone between them comes to be known."""
    first = Row(REPLAYED, 1, 1, Decimal(1), FIRST, FIRST + timedelta(days=9), 2)
    later = replace(first, amount=Decimal(2), updated_at=FIRST, load=6)
    gone = replace(first, updated_at=None, load=11, replayed_from=4, deleted=True, bare=True)
    return [first, later, gone]


class Runs:
    """A world that both sources deliver in random steps, with dbt after each."""

    def __init__(self, dbt: Dbt, seed: int) -> None:
        self._dbt, self._dice = dbt, random.Random(seed)
        dbt.marts.unlink(missing_ok=True)
        self._rows, special = thrown(seed), replayed()
        self._raw = Raw(dbt.warehouse, [*self._rows, *special])
        self._till = Till(dbt.warehouse, self._rows, self._dice)
        self._scans = self._tills = 0
        self._built = False
        self._settled: dict[Key, Decimal] = {}
        self._alive: dict[Key, Decimal] = {}
        self.done = Counter[str]()

    def live(self) -> None:
        """All loads of both; at times one source alone is delivered, or built."""
        while self._scans < LOADS or self._tills < LOADS:
            for _ in range(self._dice.choice([0, 1, 2, 4])):
                if self._scans < LOADS:
                    self._scans += 1
                    self._raw.deliver(self._scans)
            for _ in range(self._dice.choice([0, 0, 2, 5])):
                if self._tills < LOADS:
                    self._tills += 1
                    self._till.deliver(self._tills)
            self._build(self._dice.choice(["both", "both", "scanner", "pos"]))
        self._build("both")

    def _build(self, which: str) -> None:
        """Run dbt over what comes from these sources, and look at every live line."""
        if not self._built:
            which = "both"
        self._built = True
        self._dbt.run(only=BUILDS[which])
        if which != "pos":
            rows = [row for row in self._rows if row.load <= self._scans]
            self._alive = {row.key: row.amount for row in Truth(rows).live}
            if self._scans >= 2:
                self._alive[REPLAYED] = Decimal(1 if self._scans < 11 else 2)
        if which != "scanner":
            self._settled = dict(self._till.told)
        wanted = {
            **{key: (amount, False) for key, amount in self._alive.items()},
            **{key: (amount, True) for key, amount in self._settled.items()},
        }
        with duckdb.connect(str(self._dbt.marts)) as con:
            found = con.execute(
                "select basket_id, product_id, sales_amount, is_settled from live_basket_lines"
            ).fetchall()
        live = {(basket, product): (amount, settled) for basket, product, amount, settled in found}
        assert len(found) == len(live), "a line is there twice"
        assert live == wanted, "other lines are live"
        self.done["unsettled"] += sum(not settled for _, settled in live.values())
        self.done["of both"] += len(self._settled.keys() & self._alive.keys())
        self.done[which] += 1


@pytest.fixture(scope="module")
def dbt(home: Path, project: Path) -> Dbt:
    return Dbt(home, project, fewest=6)


@pytest.mark.parametrize("seed", seeds(1))
def test_each_line_is_live_once_and_the_tail_is_what_a_full_refresh_makes(
    dbt: Dbt, seed: int
) -> None:
    runs = Runs(dbt, seed)
    runs.live()
    assert runs.done["unsettled"] > 100
    assert runs.done["of both"] > 100
    before = dbt.tables()
    dbt.run("--full-refresh")
    assert dbt.tables() == before
    with duckdb.connect(str(dbt.marts)) as con:
        left = con.execute(
            "select count(*), count(*) filter (_load_number < newest and (is_deleted or settled)) "
            "from (select *, max(_load_number) over () as newest, exists (select 1 "
            "from fct_basket_lines f where f.basket_id = t.basket_id and "
            "f.product_id = t.product_id) as settled from scan_tail t)"
        ).fetchall()
    assert left[0][1] == 0 < left[0][0]


BROKEN = {
    "what is settled is not left out": (
        VIEW, "and not exists", "and true or not exists", "a line is there twice"
    ),
    "what is new is told by what is staged": (
        TAIL, "from versions\n", "from {{ ref('stg_scanner__scans') }}\n",
        "other lines are live"
    ),
}  # fmt: skip
"""Fault to a file, its words, others, and what is seen."""


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_seen(home: Path, project: Path, fault: str) -> None:
    path, right, wrong, seen = BROKEN[fault]
    with edited(project, {path: (right, wrong)}), pytest.raises(AssertionError, match=seen):
        Runs(Dbt(home, project, fewest=6), seed=0).live()
