"""The sample, loaded over several days: raw and the dead letters are what its oracle says, exactly.

The oracle knows every row's fate from the plan alone; it looks at nothing that was delivered. The
tills are a SQLite file, then a PostgreSQL database, whose types hold no text in a number.
"""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
from services import postgres

import sample
from ingest.declaration import Table, load_sources
from ingest.load import Loader
from sample.oracle import TABLES, Oracle

pytestmark = pytest.mark.xdist_group("sample_loaded")

PROJECT = Path(__file__).parents[3]
SEED = 11
DAYS = [date(2017, 1, 12), date(2017, 1, 13), date(2017, 1, 16), date(2017, 1, 24)]
FILES = ("promo.promotions", "promo.coupons")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tills(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of the tills; None where they are the sample's own SQLite file."""
    if request.param == "sqlite":
        yield None
        return
    with postgres() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_POS_URL", url)
        yield url


@pytest.fixture(scope="module")
def loaded(
    tills: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse after a load at the end of each of the days; run ids are the days."""
    home = tmp_path_factory.mktemp("retailer")
    warehouse = home / "warehouse.duckdb"
    sources = load_sources(PROJECT)
    retailer = sample.Retailer(home / "sample_data", SEED, pos_url=tills)
    loaders: list[Loader] = []
    for day in DAYS:
        clock = retailer.clock()
        if clock is None:
            retailer.start(day)
        else:
            retailer.advance((day - clock).days)
        with sample.services(home / "sample_data"):
            env = dict(os.environ)
            if day != DAYS[2]:  # at the third the process goes on, else it begins anew
                loaders = [Loader(s, warehouse, home / "scratch" / s.name, env) for s in sources]
            for loader in loaders:
                loader.env = env
                assert not loader.load(str(day)).errors
                assert not loader.load("again").loads
    with duckdb.connect(str(warehouse)) as con:
        yield con


@pytest.fixture(scope="module")
def oracle(tills: str | None) -> Oracle:
    return Oracle(SEED, DAYS, loose_types=tills is None)


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return {table.label: table for source in load_sources(PROJECT) for table in source.tables}


@pytest.mark.parametrize("name", TABLES)
def test_every_row_met_its_fate(
    loaded: duckdb.DuckDBPyConnection, oracle: Oracle, tables: dict[str, Table], name: str
) -> None:
    schema, _, table = name.partition(".")
    columns = {column.name: column.data_type for column in tables[name].columns}
    fates = oracle.fates(name)
    loaded.register("fates", fates.to_arrow_table())
    runs = f"(select load_number, table_name, run_id from raw_{schema}._loads)"

    listed = ", ".join(columns)
    accepted = (
        f"select {listed}, run_id from raw_{schema}.{table} join {runs} "
        f"on load_number = _load_number and table_name = '{table}'"
    )
    typed = ", ".join(f"try_cast({c} as {kind}) as {c}" for c, kind in columns.items())
    wanted = f"select {typed}, first_load::varchar as run_id from fates where fate <> 'dead'"
    _same(loaded, accepted, wanted)

    parsed = "case when broken_rules not like '%unparsable%' then payload end"
    found = ", ".join(
        f"try_cast({parsed} ->> '{c}' as {kind}) as {c}" for c, kind in columns.items()
    )
    rules = "list_sort(broken_rules::varchar[])::varchar"
    expected_rules = "list_sort(rule::varchar[])::varchar"
    dead = (
        f"select {found}, {rules} as rules, run_id from raw_{schema}._dead_letters join {runs} "
        f"using (table_name) where load_number = _load_number and table_name = '{table}'"
    )
    torn = "null" if name != "promo.coupons" else "rule like '%unparsable%'"
    typed = ", ".join(
        f"case when not coalesce({torn}, false) then try_cast({c} as {kind}) end as {c}"
        for c, kind in columns.items()
    )
    wanted = (
        f"select {typed}, {expected_rules} as rules, first_load::varchar as run_id "
        "from fates where fate = 'dead'"
    )
    _same(loaded, dead, wanted)
    if name not in ("pos.households", "loyalty.campaign_targets"):
        assert loaded.execute(f"select count(*) from ({accepted})").fetchone() != (0,)


@pytest.mark.parametrize("name", FILES)
def test_every_row_of_a_file_says_where_it_came_from(
    loaded: duckdb.DuckDBPyConnection, oracle: Oracle, name: str
) -> None:
    schema, _, table = name.partition(".")
    loaded.register("fates", oracle.fates(name).to_arrow_table())
    got = (
        f"select _source from raw_{schema}.{table} union all select _source "
        f"from raw_{schema}._dead_letters where table_name = '{table}'"
    )
    if name == "promo.coupons":
        _same(loaded, got, "select file || ':' || (line + 1) as _source from fates")
    else:
        _same(
            loaded,
            f"select split_part(_source, ':', 1) as file, count(*), count(distinct _source) "
            f"from ({got}) group by 1",
            "select file, count(*), count(*) from fates group by 1",
        )
    count = loaded.execute(
        f"select count(*) filter (repeats is null), count(repeats) from raw_{schema}._files "
        f"where table_name = '{table}'"
    ).fetchone()
    files = oracle.files(name)
    assert count == (files.distinct, files.resent)


def test_unparsable_lines_are_kept_as_they_stood(
    loaded: duckdb.DuckDBPyConnection, oracle: Oracle
) -> None:
    loaded.register("fates", oracle.fates("promo.coupons").to_arrow_table())
    _same(
        loaded,
        "select payload from raw_promo._dead_letters where broken_rules = '[\"unparsable\"]'",
        "select text from fates where rule = '[\"unparsable\"]'",
    )


def test_the_books_balance(loaded: duckdb.DuckDBPyConnection) -> None:
    for schema in ("raw_pos", "raw_promo", "raw_loyalty"):
        wrong = loaded.execute(
            f"select * from {schema}._loads where rows_fetched <> rows_reread + rows_read "
            "or rows_read <> rows_accepted + rows_dead"
        ).fetchall()
        assert not wrong


def _same(con: duckdb.DuckDBPyConnection, got: str, wanted: str) -> None:
    """Both queries give the same rows, each as often."""
    missing = con.execute(f"from ({wanted}) except all from ({got}) limit 5").fetchall()
    beyond = con.execute(f"from ({got}) except all from ({wanted}) limit 5").fetchall()
    assert (missing, beyond) == ([], [])
