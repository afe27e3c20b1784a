"""What `millrace run` does and tells when all is well, when nothing is new, and when it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import duckdb
import pytest
from copies import project_copy
from homes import PROJECT, SETTLED_ON, Done, Home

from ops.lock import place, run_lock

pytestmark = pytest.mark.xdist_group("runs")

QUICK = ("run", "--quick-report")
STAND_INS = (
    "dbt packages: our stand-ins; Elementary's trained anomaly tests are off "
    "(`millrace deps` gets the real ones where there is a way to the hub) "
)
"""What is told first where the real dbt packages are not to be had."""


def inode(home: Home) -> int:
    return home.snapshot.stat().st_ino


def no_trace(done: Done) -> bool:
    return "Traceback" not in done.text and "fault of Millrace" not in done.text


def test_every_line_of_the_json_log_carries_the_run(settled: Home) -> None:
    lines = [json.loads(line) for line in (settled.path / "said.jsonl").read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {
        row[0] for row in settled.query("select run_id from millrace.runs")
    }
    steps = [line["step"] for line in lines if line["event"] == "step"]
    assert steps == ["load", "freshness", "build", "publish", "report"]
    assert all({"at", "text"} <= line.keys() for line in lines)


def test_a_run_writes_the_three_pages(settled: Home) -> None:
    pages = {page.name: page.stat().st_size for page in (settled.path / "published/site").iterdir()}
    assert pages.keys() == {"index.html", "docs.html", "quality.html"}
    assert min(pages.values()) > 10_000


def test_again_with_nothing_new(home: Home) -> None:
    before = inode(home)
    marts = home.marts.stat().st_mtime_ns
    done = home.millrace("run")
    told = done.text.removeprefix(STAND_INS)
    assert (done.code, told) == (0, "nothing new; nothing to build")
    assert inode(home) == before
    assert home.marts.stat().st_mtime_ns == marts
    runs = home.query("select run_id from millrace.runs")
    assert len(runs) == 1
    assert home.query("select distinct run_id from millrace.node_results") == runs


def test_a_failing_test_keeps_the_former_snapshot(home: Home, tmp_path: Path) -> None:
    """And no row of the edit that failed outlives it, though the edit is taken back."""
    facts = "macros/basket_lines.sql"
    edit = ("        store_id,\n", "        -store_id as store_id,\n")
    project = project_copy(tmp_path / "project", {facts: edit}, few_tests=True)
    there = Home(home.path, project, home.env)
    before, marts = inode(home), home.tables("published")
    there.advance(1)

    failed = there.millrace(*QUICK)
    assert failed.code == 4, failed.text
    assert "every_cent_of_raw_is_in_the_marts" in failed.text
    assert "readers keep the former snapshot" in failed.text
    assert no_trace(failed)
    edited = "select max(store_id) < 0 from marts.fct_basket_lines"
    assert home.query(edited) == [(True,)]
    asked = there.millrace("publish")
    assert asked.code == 4
    assert "did not pass all its tests" in asked.text
    assert (inode(home), home.tables("published")) == (before, marts)

    shutil.copy(PROJECT / facts, project / facts)
    mended = there.millrace(*QUICK)
    assert mended.code == 0, mended.text
    assert inode(home) != before
    assert home.tables("published") == home.tables("marts") != marts
    assert home.published("select min(store_id) > 0 from fct_basket_lines") == [(True,)]


def test_a_source_that_is_down_does_not_stop_the_others(home: Home) -> None:
    before = inode(home)
    home.advance(1)
    down = Home(home.path, home.project, {**home.env, "MILLRACE_LOYALTY_URL": "http://127.0.0.1:9"})
    begun = time.monotonic()
    done = down.millrace(*QUICK)
    assert done.code == 3, done.text
    for table in ("campaigns", "campaign_targets", "redemptions"):
        assert f"loyalty.{table}: the source does not answer" in done.text
    assert no_trace(done)
    assert "pos.transactions load 2" in done.text
    assert inode(home) != before
    assert time.monotonic() - begun < 120

    idle = inode(home)
    nodes = "select count(*) from millrace.node_results where resource_type = 'model'"
    built = home.query(nodes)
    again = down.millrace(*QUICK)
    assert again.code == 3, "it is still down"
    assert (inode(home), home.query(nodes)) == (idle, built), "and nothing is new"
    assert home.millrace(*QUICK).code == 0


def test_a_build_that_was_not_published_is_published_by_the_next_run(home: Home) -> None:
    before = inode(home)
    home.advance(1)
    assert home.millrace("load").code == 0
    assert home.millrace("build").code == 0
    assert inode(home) == before
    done = home.millrace(*QUICK)
    assert done.code == 0
    assert "publish: " in done.text
    assert "build: " not in done.text
    assert inode(home) != before


def test_a_second_run_is_told_who_is_at_work(home: Home, tmp_path: Path) -> None:
    """Also one with another home and the same warehouse, and when the scratch folder is gone."""
    elsewhere = Home(tmp_path / "home", env={"MILLRACE_WAREHOUSE": str(home.warehouse)})
    with run_lock(home.warehouse, "run"):
        shutil.rmtree(home.path / ".millrace")
        done = home.millrace("run")
        assert elsewhere.millrace("load").code == 5
        status = home.millrace("status")
        as_json = home.millrace("load", "--log-json")
    for answer in (done, status):
        assert f"process {os.getpid()} on" in answer.text
        assert f"since {time.strftime('%Y-%m-%dT', time.gmtime())}" in answer.text
    assert (done.code, as_json.code, status.code) == (5, 5, 0)
    said = json.loads(as_json.err)
    assert said["event"] == "held"
    assert said["run_id"]


def test_a_run_that_loses_its_lock_amid_the_build_publishes_nothing(home: Home) -> None:
    before = inode(home)
    log = home.warehouse.with_name(f"{home.warehouse.name}.build")
    home.advance(1)
    process = home.begin(*QUICK)
    while not (log.exists() and b'{"node"' in log.read_bytes()):
        assert process.poll() is None
        time.sleep(0.01)
    place(home.warehouse).unlink()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 5, said
    assert "was taken away from this run" in said
    assert inode(home) == before
    last = "select status from millrace.runs order by started_at desc limit 1"
    assert home.query(last) == [("running",)], "it wrote nothing more"


def test_a_warehouse_that_someone_has_open_is_told(home: Home) -> None:
    with duckdb.connect(str(home.warehouse)):
        done = home.millrace("run")
    assert done.code == 5
    assert f"PID {os.getpid()}" in done.text
    assert no_trace(done)


def test_the_json_lines_of_a_crash_carry_the_run(home: Home) -> None:
    site = home.path / "published" / "site"
    shutil.rmtree(site)
    site.write_text("in the way")
    home.advance(1)
    done = home.millrace(*QUICK, "--log-json")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert (done.code, lines[-1]["event"]) == (1, "unforeseen")
    ((run_id,),) = home.query("select max_by(run_id, started_at) from millrace.runs")
    assert {line["run_id"] for line in lines} == {run_id}


def test_a_wrong_declaration(home: Home, tmp_path: Path) -> None:
    path = "models/staging/pos/_pos__sources.yml"
    project = project_copy(
        tmp_path / "project", {path: ("primary_key: [product_id]", "primary_kye: [product_id]")}
    )
    line = next(
        number
        for number, text in enumerate((project / path).read_text().splitlines(), 1)
        if "primary_kye" in text
    )
    for words in (QUICK, ("load",), ("status",), ("dead-letters", "list")):
        done = Home(home.path, project, home.env).millrace(*words)
        assert done.code == 6, (words, done.text)
        assert f"{path}:{line}: " in done.text
        assert done.text.count("primary_key") == 1, "it is told once"
        assert no_trace(done)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--evry", "5s"), "--every"),
        (("run", "--every", "soon"), "5s, 10m or 1h"),
        (("run", "--target", "moon"), "dev, ci, staging, prod"),
        (("load", "pos.prodcts"), "did you mean 'products'"),
        (("load", "till"), "no source 'till'"),
        (("dead-letters", "replay", "poss"), "pos"),
        (("sample", "start", "--until", "yesterday"), "2017-01-20"),
        (("nonsense",), "nonsense"),
    ],
)
def test_a_wrong_call(settled: Home, words: tuple[str, ...], says: str) -> None:
    done = settled.millrace(*words)
    assert done.code == 2, done.text
    assert says in done.text
    assert no_trace(done)


@pytest.mark.parametrize("words", [["--help"], ["load", "--help"], ["status"]])
def test_a_command_that_only_looks_does_not_import_dlt(settled: Home, words: list[str]) -> None:
    code = (
        "import sys\n"
        "from ops.cli import main\n"
        "try: main()\n"
        "except SystemExit as ended: print('ended with', ended.code, 'dlt' in sys.modules)"
    )
    done = settled.call(sys.executable, "-c", code, *words)
    assert done.out.rstrip().endswith("ended with 0 False"), done.text


def test_outside_of_a_project(tmp_path: Path) -> None:
    done = Home(tmp_path / "home", project=tmp_path).millrace("run")
    assert done.code == 2
    assert "there is no dbt_project.yml" in done.text
    assert no_trace(done)


def test_before_there_is_anything(tmp_path: Path) -> None:
    empty = Home(tmp_path / "home")
    for words, code, says in (
        (("report",), 1, "nothing to report on yet. Run: millrace run"),
        (("publish",), 4, "there are no marts yet. Run: millrace build"),
        (("status",), 0, "no run is going on"),
        (("dead-letters", "list"), 0, "no open dead letters"),
        (("run",), 6, "MILLRACE_POS_URL is not set"),
    ):
        done = empty.millrace(*words)
        assert done.code == code, done.text
        assert says in done.text
        assert no_trace(done)


def test_the_first_run_where_no_source_is_known(few_tests: Path, tmp_path: Path) -> None:
    empty = Home(tmp_path / "home", few_tests)
    for words in (("run",), ("run", "--quick")):
        done = empty.millrace(*words)
        assert done.code == 6, done.text
        for name in ("MILLRACE_POS_URL", "MILLRACE_PROMO_PATH", "MILLRACE_LOYALTY_URL"):
            assert f"{name} is not set To mend it: millrace sample start" in done.text
        assert "nothing to report" not in done.text
        assert "build: " not in done.text
    assert not empty.marts.exists()
    assert not empty.snapshot.exists()
    assert empty.query("select distinct step from millrace.steps") == [("load",)]

    began = empty.start(SETTLED_ON, thin=True)
    mended = began.millrace(*QUICK)
    assert mended.code == 0, mended.text
    assert began.snapshot.exists()


def test_a_variable_of_ones_own_is_not_the_samples(tmp_path: Path) -> None:
    path = "models/staging/pos/_pos__sources.yml"
    project = project_copy(tmp_path / "project", {path: ("MILLRACE_POS_URL", "SHOP_URL")})
    done = Home(tmp_path / "home", project).start(SETTLED_ON).millrace("load", "pos")
    assert done.code == 6
    assert "SHOP_URL is not set To mend it: export SHOP_URL=…" in done.text


def test_single_steps(home: Home) -> None:
    before = inode(home)
    home.advance(1)
    loaded = home.millrace("load", "pos.transactions", "pos.products")
    assert loaded.code == 0
    assert "pos.transactions load 2" in loaded.text
    assert "promo" not in loaded.text
    assert "pos.transactions: load 2 waits for a build" in home.millrace("status").text
    part = home.millrace("build", "--select", "stg_pos__products", "--log-json")
    assert part.code == 0, part.text
    assert "build: 1 models built" in part.text
    assert "waits for a build" in home.millrace("status").text, "a part is not the whole"
    assert home.millrace("build").code == 0
    assert "every finished load is built" in home.millrace("status").text
    published = home.millrace("publish")
    assert published.code == 0, published.text
    assert inode(home) != before
    assert home.published(
        "select count(*) from fct_basket_lines where sold_on >= '2017-01-04'"
    )[0][0] > 100  # fmt: skip


def test_a_loop_takes_what_comes_and_ends_when_told(home: Home) -> None:
    before = inode(home)
    process = home.begin("run", "--every", "1s")
    try:
        assert process.stderr is not None
        home.advance(1)
        for line in process.stderr:
            if "tick took" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "stopped" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
    assert inode(home) != before


def test_packages_are_installed_where_they_are_missing(home: Home, tmp_path: Path) -> None:
    project = project_copy(tmp_path / "project", few_tests=True)
    (project / "dbt_packages").unlink()
    home.advance(1)
    done = Home(home.path, project, home.env).millrace(*QUICK)
    assert done.code == 0, done.text
    assert (project / "dbt_packages" / "dbt_utils").is_dir()
    assert not (PROJECT / "dbt_packages").is_symlink()
