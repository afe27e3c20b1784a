"""Elementary's anomaly tests see the sample's days: quiet when all is well, loud at planted faults.

Only with the real package; the stand-in's tests skip themselves.
"""

from __future__ import annotations

import os
import shutil
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest
from copies import project_copy
from homes import Home
from planted import have_real_packages, user_cache

from ops import packages
from sample import Retailer

pytestmark = pytest.mark.xdist_group("anomalies")

# Some days old; after the busiest weekend of the quarter; some weeks on, with a busy Sunday.
DATES = (date(2017, 1, 5), date(2017, 2, 6), date(2017, 3, 14))
ROWS = "fct_basket_lines_has_its_usual_rows_a_day"
GAPS = "fct_basket_lines_has_no_unusual_gap"
AMOUNTS = "fct_baskets_sales_amount_is_as_usual"
DAY = "'2017-03-11'"


def said(home: Home) -> dict[str, str]:
    """What the latest run of each of the tests came to."""
    found = home.query(
        "select node_name, max_by(status, finished_at) from millrace.node_results "
        f"where node_name in ('{ROWS}', '{GAPS}', '{AMOUNTS}') group by all"
    )
    return dict(found)


@pytest.fixture(scope="module")
def retailer(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the real packages, on the first of the dates."""
    if not have_real_packages():
        pytest.skip("the real dbt packages are not in the user's cache: run `millrace deps` online")
    folder = tmp_path_factory.mktemp("anomalies")
    project = project_copy(folder / "project")
    (project / "dbt_packages").unlink()
    assert packages.install(project, source="cache", cache=user_cache()).origin == "cache"
    return Home(folder / "home", project).start(DATES[0], thin=True)


@pytest.fixture(scope="module")
def quiet(retailer: Home) -> list[dict[str, str]]:
    """What the tests said on each of the dates; the home is at the last one then."""
    told = []
    for day in DATES:
        clock = Retailer(retailer.path / "sample_data").clock()
        assert clock is not None
        if clock < day:
            retailer.advance((day - clock).days)
        done = retailer.millrace("run")
        assert done.code == 0, done.text
        told.append(said(retailer))
    return told


def test_the_sample_is_without_alarm(quiet: list[dict[str, str]]) -> None:
    assert quiet == [dict.fromkeys((ROWS, GAPS, AMOUNTS), "pass")] * len(DATES)


def test_they_saw_the_days_of_the_sample(retailer: Home, quiet: list[dict[str, str]]) -> None:
    for metric in ("row_count", "freshness", "null_count"):
        seen = retailer.query(f"""
            select count(distinct bucket_start), min(bucket_start)::date, max(bucket_start)::date
            from elementary.data_monitoring_metrics
            where metric_name = '{metric}' and (metric_value > 0 or metric_name = 'null_count')
        """)
        assert seen[0][0] >= 60, metric
        assert seen[0][1:] == (date(2017, 1, 1), date(2017, 3, 13)), metric
    averages = retailer.query("""
        select min(metric_value), max(metric_value) from elementary.data_monitoring_metrics
        where metric_name = 'average'
    """)
    assert 15 < averages[0][0] < averages[0][1] < 60


AGAIN = """
from ops.build import DbtSteps
from ops.dbt import Dbt
from ops.journal import Journal
from ops.log import Log
from ops.settings import load

settings = load()
steps = DbtSteps(settings, Log(), Journal(settings.warehouse), Dbt(settings))
for turn in range(3):
    steps.anomalies(f"turn {turn}")
"""


def test_they_may_run_again_in_one_process(retailer: Home, quiet: list[dict[str, str]]) -> None:
    """What dbt leaves open of one run does not hinder the next."""
    done = retailer.call(sys.executable, "-c", AGAIN)
    assert done.code == 0, done.text
    turns = retailer.query(
        "select count(distinct run_id) from millrace.node_results where run_id like 'turn%'"
    )
    assert turns == [(3,)]


ABSENT = f"""
    delete from fct_basket_lines where sold_on = {DAY};
    alter table fct_baskets alter column sales_amount drop not null;
    update fct_baskets set sales_amount = null where sold_on = {DAY};
"""
TOO_MUCH = f"""
    insert into fct_basket_lines
    select lines.* replace (basket_id + n * 1000000000000 as basket_id)
    from fct_basket_lines as lines, range(1, 5) as more(n) where sold_on = {DAY};
    update fct_baskets set sales_amount = sales_amount * 5 where sold_on = {DAY};
"""


FAULTS = {
    "no rows and nulls": (ABSENT, {ROWS, GAPS, AMOUNTS}),
    "five times the rows and the amounts": (TOO_MUCH, {ROWS, AMOUNTS}),
}
# each takes half a minute: the first alone, all by MILLRACE_TEST_SEEDS
TRIED = list(FAULTS)[: None if os.environ.get("MILLRACE_TEST_SEEDS") else 1]


@pytest.mark.parametrize(("fault", "warned"), [FAULTS[name] for name in TRIED], ids=TRIED)
def test_a_planted_fault_is_found(
    retailer: Home, quiet: list[dict[str, str]], fault: str, warned: set[str], tmp_path: Path
) -> None:
    warehouse = retailer.warehouse.parent
    shutil.copytree(warehouse, tmp_path / "kept")
    try:
        with duckdb.connect(str(retailer.marts)) as con:
            con.execute(fault)
        done = retailer.millrace("report")
        assert done.code == 0, "they warn, and hold nothing up"
        found = said(retailer)
    finally:
        shutil.rmtree(warehouse)
        shutil.move(tmp_path / "kept", warehouse)
    assert set(found.values()) <= {"pass", "warn"}
    assert {name for name, status in found.items() if status == "warn"} == warned
    assert "anomaly tests look back from 2017-03-14T23" in done.text
