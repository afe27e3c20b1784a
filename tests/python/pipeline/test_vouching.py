"""What is published was tested as it stands: after edits, plain dbt, kills and losses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from copies import project_copy
from homes import Home

pytestmark = pytest.mark.xdist_group("vouching")

QUICK = ("run", "--quick-report")
DEEP = "every_cent_of_raw_is_in_the_marts"


def _tested(home: Home, test: str) -> int:
    """How often the test has run."""
    return int(
        home.query(f"select count(*) from millrace.node_results where node_name = '{test}'")[0][0]
    )


def test_an_edited_model_is_built_anew_and_published(home: Home, tmp_path: Path) -> None:
    """Rows that are there already get the new logic too."""
    path = "macros/basket_lines"
    project = project_copy(tmp_path / "project", few_tests=True)
    for file in project.rglob("*"):
        if file.is_file() and file.suffix in (".sql", ".yml"):
            file.write_text(file.read_text().replace("nothing_sold", "nothing_at_all"))
    assert "nothing_at_all" in (project / f"{path}.sql").read_text()
    reasons = "select distinct zero_quantity_reason from fct_basket_lines order by all"
    assert ("nothing_sold",) in home.published(reasons)
    edited = Home(home.path, project, home.env)
    done = edited.millrace(*QUICK)
    assert done.code == 0, done.text
    assert ("nothing_at_all",) in home.published(reasons)
    assert ("nothing_sold",) not in home.published(reasons)


def test_what_plain_dbt_built_is_published_by_the_next_run(home: Home) -> None:
    before = home.snapshot.stat().st_ino
    done = home.dbt("run", "--select", "dim_stores")
    assert done.code == 0, done.text
    refused = home.millrace("publish")
    assert refused.code == 4
    assert "something wrote to the marts" in refused.text
    tested = _tested(home, DEEP)
    assert home.millrace(*QUICK).code == 0
    assert _tested(home, DEEP) == tested + 1
    assert home.snapshot.stat().st_ino != before
    again = home.millrace(*QUICK)
    assert "nothing new" in again.text


def test_what_a_kill_left_in_the_log_is_not_published(home: Home) -> None:
    """A commit that was never checkpointed does not touch the file, only the log beside it."""
    mtime = home.marts.stat().st_mtime_ns
    code = (
        "import duckdb, os, sys\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "con.execute('delete from dim_stores')\n"
        "os._exit(9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(home.marts)], check=False)
    assert killed.returncode == 9
    assert home.marts.stat().st_mtime_ns == mtime
    assert home.millrace("publish").code == 4
    assert home.published("select count(*) from dim_stores") != [(0,)]
    assert home.millrace(*QUICK).code == 0
    assert home.published("select count(*) from dim_stores") != [(0,)]


def test_a_thorough_run_does_what_quick_ones_left_out(home: Home) -> None:
    docs = home.path / "published" / "site" / "docs.html"
    home.advance(1)
    before, written = _tested(home, DEEP), docs.stat().st_mtime_ns
    assert home.millrace(*QUICK).code == 0
    assert (_tested(home, DEEP), docs.stat().st_mtime_ns) == (before, written)
    done = home.millrace("run")
    assert done.code == 0, done.text
    assert _tested(home, DEEP) == before + 1
    assert docs.stat().st_mtime_ns > written
    assert "nothing new" in home.millrace("run").text


def test_a_source_that_fell_silent_is_told_though_nothing_is_new(home: Home) -> None:
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("update raw_promo._loads set extracted_at = extracted_at - interval 30 day")
    done = home.millrace("run")
    assert done.code == 3, done.text
    assert "stale beyond error_after" in done.text
    assert "promotions" in done.text
    assert "build: " not in done.text


def test_a_freshness_that_cannot_be_asked_is_a_failure(home: Home, tmp_path: Path) -> None:
    project = project_copy(
        tmp_path / "project",
        {"macros/last_finished_load.sql": ("book.extracted_at", "book.no_such_column")},
        few_tests=True,
    )
    done = Home(home.path, project, home.env).millrace(*QUICK)
    assert done.code == 1, done.text
    assert "dbt source freshness" in done.text
    assert "publish: " in done.text, "it holds nothing up"


def test_a_mart_that_left_the_project_leaves_the_readers(home: Home, tmp_path: Path) -> None:
    project = project_copy(tmp_path / "project", few_tests=True)
    for suffix in (".sql", ".yml"):
        (project / f"models/marts/household_value{suffix}").unlink()
    for path in (project / "analyses").iterdir():
        if "ref('household_value')" in path.read_text():
            path.unlink()
    assert ("household_value",) in home.published("select table_name from duckdb_tables()")
    done = Home(home.path, project, home.env).millrace(*QUICK)
    assert done.code == 0, done.text
    assert "household_value is gone" in done.text
    assert ("household_value",) not in home.published("select table_name from duckdb_tables()")


def test_marts_that_outlived_their_warehouse(home: Home) -> None:
    """Load numbers begin anew; what the facts have seen of the old ones means nothing."""
    home.warehouse.unlink()
    shutil.rmtree(home.path / ".millrace", ignore_errors=True)
    home.advance(1)
    done = home.millrace(*QUICK)
    assert done.code == 0, done.text
    assert home.published("select count(*) from fct_basket_lines") == home.query(
        "select count(*) from staging.stg_pos__transactions"
    )


@pytest.mark.parametrize("sign", ["Running with dbt", " START "])
def test_ctrl_c_amid_dbt_publishes_nothing(home: Home, tmp_path: Path, sign: str) -> None:
    """While dbt reads the project, and while it builds: dbt itself takes the signal for its own."""
    project = project_copy(tmp_path / "project", few_tests=True)
    log = home.path / "logs" / "dbt.log"
    before = home.snapshot.stat().st_ino
    home.advance(1)
    log.write_text("")
    process = Home(home.path, project, home.env).begin(*QUICK)
    try:
        _until(lambda: sign in log.read_text() or process.poll() is not None)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert home.snapshot.stat().st_ino == before
    last = "select exit_code from millrace.runs order by started_at desc limit 1"
    assert home.query(last) == [(130,)]
    assert home.millrace(*QUICK).code == 0
    assert home.snapshot.stat().st_ino != before


def _until(there: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again: a log in another process tells nobody that it grew."""
    ends = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_loop_is_thorough_once_in_a_day(home: Home) -> None:
    """Also when nothing is new, and when what it finds is wrong."""
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("update millrace.marks set marked_at = marked_at - interval 2 day")
        con.execute("update millrace.runs set started_at = started_at - interval 2 day")
        con.execute("update millrace.steps set started_at = started_at - interval 2 day")
        con.execute("update raw_promo._loads set extracted_at = extracted_at - interval 30 day")
    process = home.begin("run", "--every", "1s")
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "tick took" in line:
                break
        time.sleep(8)  # some ticks of a second more, in which nothing may be told again
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert "stale" not in rest, "once is enough"
    asked = (
        "select count(distinct run_id) from millrace.node_results where resource_type = 'source'"
    )
    assert home.query(asked) == [(2,)], "by the first run of all, and by one tick"


def test_pages_that_a_first_quick_run_left_out(home: Home) -> None:
    site = home.path / "published" / "site"
    for page in ("docs.html", "quality.html"):
        (site / page).unlink()
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("delete from millrace.marks where name = 'pages'")
    done = home.millrace("run")
    assert done.code == 0, done.text
    assert {path.name for path in site.iterdir()} == {"index.html", "docs.html", "quality.html"}
    assert "build: " not in done.text
    assert "nothing new" in home.millrace("run").text


def test_a_doubled_row_is_seen_by_the_quick_test_too(settled: Home, tmp_path: Path) -> None:
    home = settled.copied(tmp_path / "home")
    test = ("test", "--select", "test_name:newest_rows_are_unique")
    assert home.dbt(*test).code == 0
    for newest in ("max", "min"):  # a new load brings a row of the newest basket, and of the oldest
        with duckdb.connect(str(home.marts)) as con:
            con.execute("create or replace table kept as from fct_basket_lines")
            con.execute(
                "insert into fct_basket_lines by name select * replace "
                "((select max(_load_number) + 1 from kept) as _load_number) from kept "
                f"where basket_id = (select {newest}(basket_id) from kept) limit 1"
            )
        done = home.dbt(*test)
        assert done.code == 1, done.text
        assert "Got 1 result" in done.text
        with duckdb.connect(str(home.marts)) as con:
            con.execute("create or replace table fct_basket_lines as from kept")
            con.execute("drop table kept")
