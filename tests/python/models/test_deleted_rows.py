"""Rows that die and return, from a real database to the marts: incremental equals full refresh.

A seed throws what happens at the source (new, late, changed, deleted and returning orders), when
its rows are read, when its keys are compared and when dbt runs. More seeds: MILLRACE_TEST_SEEDS=20
(the default is 1).
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from copies import PROJECT
from dbt_here import seeds

from ingest.declaration import load_sources
from ingest.load import Loader
from ops.publish import release

HERE = Path(__file__).parent / "shop_project"
PAIRS = {
    "stg_shop__orders": (
        "from truth",
        "select order_id, customer_id, ordered_on, amount, updated_at "
        "from staging.stg_shop__orders where not is_deleted",
    ),
    "fct_orders": (
        "select order_id, customer_id, ordered_on, amount from truth",
        "select order_id, customer_id, ordered_on, amount from marts.fct_orders",
    ),
    "fct_daily_orders": (
        "select ordered_on, count(*), sum(amount) from truth group by all",
        "select ordered_on, order_count, amount from marts.fct_daily_orders",
    ),
    "order_customers": (
        "select customer_id, count(*) from truth group by all",
        "from marts.order_customers",
    ),
}
"""Table to the SQL of what the shop's database says of it, and of what it holds."""
STEPS = 30
Tables = dict[str, list[tuple[Any, ...]]]


class ShopDbt:
    """The shop's project with Millrace's macros, and dbt in this process."""

    def __init__(self, folder: Path) -> None:
        self.project, self.warehouse = folder / "project", folder / "shop.duckdb"
        shutil.copytree(HERE, self.project)
        shutil.copytree(PROJECT / "macros", self.project / "macros")
        os.environ["SHOP_WAREHOUSE"] = str(self.warehouse)
        self._places = [
            *("--project-dir", str(self.project), "--profiles-dir", str(self.project)),
            *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs")),
            "--quiet",
        ]
        self._parse()

    def _parse(self) -> None:
        from dbt.cli.main import dbtRunner

        parsed = dbtRunner().invoke(["parse", *self._places])
        assert parsed.success, parsed.exception
        self._runner = dbtRunner(manifest=parsed.result)

    @contextmanager
    def edited(self, name: str, text: str, other: str) -> Iterator[None]:
        """The project with other words in one file."""
        before = (self.project / name).read_text()
        assert text in before, f"{name} no longer says {text!r}"
        (self.project / name).write_text(before.replace(text, other))
        try:
            self._parse()
            yield
        finally:
            (self.project / name).write_text(before)
        self._parse()

    def run(self, *command: str) -> list[str]:
        """`dbt run`, or another command; what its nodes say."""
        try:
            answer = self._runner.invoke([*(command or ("run",)), *self._places])
        finally:
            release()
        told = [f"{r.node.name}: {r.message}" for r in answer.result or ()]
        if not answer.success:
            raise RuntimeError(answer.exception or "; ".join(told))
        return told

    def tables(self) -> Tables:
        """The rows of staging and of the marts."""
        with duckdb.connect(str(self.warehouse)) as con:
            names = con.execute(
                "select schema_name || '.' || table_name, table_name from duckdb_tables() "
                "where schema_name in ('staging', 'marts')"
            ).fetchall()
            return {name: con.execute(f"from {at} order by all").fetchall() for at, name in names}


class Orders:
    """The shop's database, its loader and dbt; one step after another is thrown."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice, self.done = random.Random(seed), Counter[str]()
        self.dbt = ShopDbt(folder)
        self._path = folder / "shop.sqlite"
        self._clock, self._next = datetime(2017, 1, 1), 0
        self._gone: list[tuple[Any, ...]] = []  # compared since
        self._going: list[tuple[Any, ...]] = []
        self._run("create table orders (order_id integer primary key, customer_id, ordered_on, "
                  "amount, updated_at)")  # fmt: skip
        (source,) = load_sources(self.dbt.project)
        env = {"DB": f"sqlite:///{self._path}"}
        self._loader = Loader(source, self.dbt.warehouse, folder / "scratch", env)

    def live(self) -> None:
        """So many steps, then all is read, compared and built."""
        self.new(300)
        self.compare()
        self.dbt.run()
        steps = [self.new, self.late, self.change, self.delete, self.come_back, self.load,
                 self.compare, self.build]  # fmt: skip
        for _ in range(STEPS):
            self._clock += timedelta(minutes=self.dice.randint(1, 300))
            step = self.dice.choice(steps)
            step()
            self.done[step.__name__] += 1
        self.compare()
        self.build()

    def new(self, count: int = 7) -> None:
        self._put(self._made(count, timedelta(0)))

    def late(self) -> None:
        """Committed at last: some within the lag, some far behind it."""
        self._put(self._made(3, timedelta(minutes=self.dice.randint(1, 9000))))

    def change(self) -> None:
        for row in self._some(6):
            self._run("update orders set amount = amount + 1, ordered_on = ?, updated_at = ? "
                      "where order_id = ?", [(self._day(), str(self._clock), row[0])])  # fmt: skip

    def delete(self) -> None:
        rows = self._some(9)
        self._going += rows
        self._run("delete from orders where order_id = ?", [row[:1] for row in rows])

    def come_back(self) -> None:
        """As they were, changed, or as they were long ago."""
        self.dice.shuffle(self._gone)
        back, self._gone = self._gone[:5], self._gone[5:]
        then = str(self._clock - timedelta(days=30))
        forms = (
            lambda row: row,
            lambda row: (*row[:3], 77, str(self._clock)),
            lambda row: (*row[:3], 3, then),
            lambda row: (*row[:3], 5, None),
        )
        self._put([self.dice.choice(forms)(row) for row in back])
        self.done["returned"] += len(back)

    def load(self) -> None:
        assert not self._loader.load("run").errors

    def compare(self) -> None:
        """Read and compare now."""
        assert not self._loader.load("run", accept="deletes").errors
        self.done["gone"] += len(self._going)
        self._gone += self._going
        self._going = []

    def build(self) -> None:
        self.dbt.run()

    def wrong(self) -> list[str]:
        """Tables that do not say what the database says."""
        with closing(sqlite3.connect(self._path)) as con:
            truth = con.execute("select * from orders").fetchall()
        with duckdb.connect(str(self.dbt.warehouse)) as con:
            con.execute(
                "create temp table truth (order_id bigint, customer_id bigint, ordered_on date, "
                "amount decimal(10, 2), updated_at timestamp)"
            )
            con.executemany("insert into truth values (?, ?, ?, ?, ?)", truth)
            return [
                name
                for name, (told, found) in PAIRS.items()
                if con.execute(f"{told} order by all").fetchall()
                != con.execute(f"{found} order by all").fetchall()
            ]

    def books(self) -> list[tuple[Any, ...]]:
        """Rows that the book says raw accepted, and those that staging accounts for."""
        with duckdb.connect(str(self.dbt.warehouse)) as con:
            return con.execute(
                "select (select sum(rows_accepted) from raw_shop._loads), "
                "sum(1 + _superseded_count + _repeated_count) from staging.stg_shop__orders"
            ).fetchall()

    def _made(self, count: int, late: timedelta) -> list[tuple[Any, ...]]:
        first, self._next = self._next, self._next + count
        at = str(self._clock - late)
        return [
            (first + i, self.dice.randint(1, 40), self._day(), self.dice.randint(1, 99), at)
            for i in range(count)
        ]

    def _day(self) -> str:
        return str((self._clock - timedelta(days=self.dice.randint(0, 40))).date())

    def _some(self, count: int) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path)) as con:
            rows = con.execute("select * from orders order by order_id").fetchall()
        return self.dice.sample(rows, count)

    def _put(self, rows: list[tuple[Any, ...]]) -> None:
        self._run("insert into orders values (?, ?, ?, ?, ?)", rows)

    def _run(self, sql: str, rows: list[tuple[Any, ...]] | None = None) -> None:
        with closing(sqlite3.connect(self._path)) as con, con:
            if rows is None:
                con.execute(sql)
            else:
                con.executemany(sql, rows)


@pytest.fixture(scope="module", params=seeds(1))
def orders(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orders]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        patch.setenv("SHOP_WAREHOUSE", "")
        orders = Orders(tmp_path_factory.mktemp("shop"), request.param)
        orders.live()
        yield orders


def test_incremental_is_full_refresh_is_the_source(orders: Orders) -> None:
    incremental = orders.dbt.tables()
    assert orders.wrong() == []
    ((accepted, told),) = orders.books()
    assert accepted == told
    orders.dbt.run("run", "--full-refresh")
    assert orders.dbt.tables() == incremental
    assert len(incremental) == 4
    assert orders.done["gone"] >= 20
    assert orders.done["returned"] >= 5


def test_the_macro_ranks_tombstones(orders: Orders) -> None:
    assert len(orders.dbt.run("test", "--select", "test_type:unit")) == 2


def test_without_the_rank_of_tombstones_rows_stay_dead(orders: Orders) -> None:
    rank = "{% if deletes %}_deaths desc, _is_deleted,{% endif %}"
    with orders.dbt.edited("macros/newest_versions.sql", rank, ""):
        orders.dbt.run("run", "--full-refresh")
        assert "stg_shop__orders" in orders.wrong()
        with pytest.raises(RuntimeError, match="orders_whole"):
            orders.dbt.run("test", "--select", "test_type:unit")


def test_a_staging_model_that_knows_no_tombstones_is_refused(orders: Orders) -> None:
    model = "models/staging/shop/stg_shop__orders.sql"
    with (
        orders.dbt.edited(model, "deletes=true,", ""),
        pytest.raises(RuntimeError, match=r"shop\.orders is declared with `deletes: compare`"),
    ):
        orders.dbt.run()
