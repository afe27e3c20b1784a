"""The sample's scans from a real topic through `millrace run`, held against their oracle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import live_poller
import pytest
from copies import PROJECT, project_copy
from homes import Home
from services import kafka

from sample.scans import LINES
from sample.scans_oracle import ScansOracle

STREAMED = pytest.mark.xdist_group("kafka")

SEED = 7
# Has days with aborted transactions, the message of 5 MB, and all poison.
FIRST, STEPS, LAST = date(2017, 1, 6), (1, 2), date(2017, 1, 9)

# Every message of raw, accepted or dead, at its place among those of its partition.
SEEN = """
select
    part, row_number() over (partition by part order by _offset) - 1 as place, _key, sent_at, rule
from (
    select _partition as part, _offset, _key, _timestamp as sent_at, null as rule
    from raw_scanner.scans
    union all
    select split_part(_source, '/', 2)::int, split_part(_source, '/', 3)::bigint, null, null,
        broken_rules
    from raw_scanner._dead_letters where table_name = 'scans'
)
order by all
"""


@dataclass
class Streamed:
    """A home whose scans came in three loads, the second of them without the tills' database.

    Attributes:
        told: what a polling reader of the live lines saw meanwhile.
    """

    home: Home
    told: dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streamed]:
    """Its broker is up."""
    with kafka() as broker:
        home = Home(
            tmp_path_factory.mktemp("streamed") / "home",
            env={"MILLRACE_SCANNER_BROKERS": broker.address},
        ).start(FIRST, thin=True)
        _done(home, "run", "--quick-report")
        stop = home.path / "stop"
        reader = subprocess.Popen(
            [sys.executable, live_poller.__file__, str(home.snapshot), str(stop)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            home.advance(STEPS[0])
            for step in ("load scanner", "build", "publish"):
                _done(home, *step.split())
            home.advance(STEPS[1])
            _done(home, "run", "--quick-report")
            stop.touch()
            told, _ = reader.communicate(timeout=60)
        finally:
            reader.kill()
        yield Streamed(home, json.loads(told))


@pytest.fixture(scope="module")
def streamed(world: Streamed) -> Home:
    return world.home


@pytest.fixture(scope="module")
def oracle() -> ScansOracle:
    return ScansOracle(SEED, LAST)


@STREAMED
def test_every_message_is_in_raw_once_and_no_other(streamed: Home, oracle: ScansOracle) -> None:
    fates = {(part, place): (fate, rule) for part, place, fate, rule in _fates(oracle)}
    planned: list[tuple[Any, ...]] = []
    messages = oracle.messages().project("partition, place, key, event_time")
    for part, place, key, at in messages.fetchall():
        fate, rule = fates[part, place]
        dead = fate == "dead"
        planned.append((part, place, None if dead else key, None if dead else at, rule))
    assert streamed.query(SEEN) == sorted(planned, key=lambda row: row[:2])
    kinds = Counter(fate for fate, _ in fates.values())
    assert kinds.keys() == {
        "accepted", "superseded", "repeated", "deleted", "tombstone", "dead"
    }  # fmt: skip
    assert min(kinds.values()) > 10
    assert oracle.aborted() > 10


@STREAMED
def test_staging_is_what_the_scans_say(streamed: Home, oracle: ScansOracle) -> None:
    renamed = {
        "week": "week_number",
        "sales_value": "sales_amount",
        "retail_disc": "retail_discount_amount",
        "coupon_disc": "coupon_discount_amount",
        "coupon_match_disc": "coupon_match_discount_amount",
        "transaction_timestamp": "sold_at",
    }
    columns = ", ".join(renamed.get(name, name) for name in LINES.columns)
    staged = "from staging.stg_scanner__scans"
    rows = streamed.query(f"select {columns} {staged} where not is_deleted order by all")
    assert rows == oracle.truth().order("all").fetchall()
    assert len(rows) > 10_000
    gone = streamed.query(f"select basket_id, product_id {staged} where is_deleted order by all")
    told = oracle.fates().filter("fate = 'tombstone'").project("basket_id, product_id")
    alive = oracle.truth().project("basket_id, product_id")
    assert gone == told.except_(alive).distinct().order("all").fetchall() != []


@STREAMED
def test_the_books_balance(streamed: Home, oracle: ScansOracle) -> None:
    dead = sum(fate == "dead" for _, _, fate, _ in _fates(oracle))
    read = len(_fates(oracle))
    assert streamed.query(
        "select load_count, rows_read, rows_accepted, rows_dead, is_balanced "
        "from ops.ops_row_ledger where source_name = 'scanner'"
    ) == [(3, read, read - dead, dead, True)]


@STREAMED
def test_a_run_with_nothing_new_brings_and_builds_nothing(streamed: Home) -> None:
    before = streamed.tables("raw_scanner", "staging", "marts")
    again = _done(streamed, "run", "--quick-report")
    assert "no news" in again or "nothing new" in again
    assert streamed.tables("raw_scanner", "staging", "marts") == before


@STREAMED
def test_the_windows_have_each_scan(streamed: Home, oracle: ScansOracle) -> None:
    columns = "store_id, window_start, event_count, basket_count, sales_amount"
    hours = streamed.query(f"select {columns} from marts.fct_store_hours order by all")
    truth = oracle.truth()
    told = truth.aggregate(
        "store_id, date_trunc('hour', transaction_timestamp), count(*), "
        "count(distinct basket_id), sum(sales_value)::decimal(18,2)"
    )
    assert hours == told.order("all").fetchall()
    counted = truth.aggregate("count(*)::hugeint, sum(sales_value)").fetchall()
    each = "select sum(event_count), sum(sales_amount) from marts"
    assert streamed.query(f"{each}.fct_household_visits") == counted
    ((events, amount),) = counted
    # a window of a day begins four times a day
    assert streamed.query(f"{each}.fct_rolling_days") == [(4 * events, 4 * amount)]


@STREAMED
def test_live_lines_are_the_scans_until_the_batch_brings_them(
    world: Streamed, oracle: ScansOracle
) -> None:
    """A reader saw every line once, before the batch came and after."""
    told, home = world.told, world.home
    assert told["faults"] == []
    assert told["looks"] > 100
    (before, few), (same, many), (after, rest) = told["seen"]
    assert before == same < after
    assert many > few + 1000
    lines = "basket_id, product_id, sales_amount from marts"
    settled = home.query(f"select {lines}.live_basket_lines where is_settled order by all")
    assert settled == home.query(f"select {lines}.fct_basket_lines order by all")
    assert len(settled) == after
    tail = home.query(f"select {lines}.live_basket_lines where not is_settled order by all")
    truth = oracle.truth().project("basket_id, product_id, sales_value").fetchall()
    known = {row[:2] for row in settled}
    assert tail == sorted(row for row in truth if row[:2] not in known)
    assert len(tail) == rest


@STREAMED
def test_live_lines_are_twice_there_where_settled_ones_are_not_left_out(
    streamed: Home, tmp_path: Path
) -> None:
    """What the reader looks for is seen where the model does without it."""
    left_out = "where settled.basket_id = scans.basket_id and settled.product_id = scans.product_id"
    model = {"models/marts/scanner/live_basket_lines.sql": (left_out, "where false")}
    edited = streamed.copied(tmp_path / "home", project=project_copy(tmp_path / "project", model))
    done = edited.dbt("run", "--select", "live_basket_lines", "--full-refresh")
    assert done.code == 0, done.text
    both = "select count(*), count(distinct (basket_id, product_id)) from marts.live_basket_lines"
    ((rows, keys),) = edited.query(both)
    assert rows > keys + 1000


@STREAMED
def test_live_lines_equal_a_full_refresh(streamed: Home, tmp_path: Path) -> None:
    whole = streamed.copied(tmp_path / "home")
    done = whole.dbt("run", "--select", "live_basket_lines", "--full-refresh")
    assert done.code == 0, done.text
    rows = "select * from marts.live_basket_lines order by basket_id, product_id"
    assert whole.query(rows) == streamed.query(rows)


@pytest.mark.xdist_group("habits")
def test_without_a_broker_nothing_of_the_scans_exists(settled: Home) -> None:
    assert list((PROJECT / "models" / "marts" / "scanner").glob("*.sql"))
    manifest = json.loads((settled.path / "target" / "manifest.json").read_text())
    nodes = {**manifest["nodes"], **manifest["sources"], **manifest["unit_tests"]}
    files = {node["original_file_path"] for node in nodes.values()}
    assert "models/staging/pos/stg_pos__transactions.yml" in files
    assert [file for file in files if "scanner" in file] == []
    assert settled.query("select * from duckdb_schemas() where schema_name = 'raw_scanner'") == []


def _fates(oracle: ScansOracle) -> list[tuple[Any, ...]]:
    return oracle.fates().project("partition, place, fate, rule").fetchall()


def _done(home: Home, *words: str) -> str:
    done = home.millrace(*words)
    assert done.code == 0, done.text
    return done.text
