"""The sample's scans from a real topic through `millrace`, held against their oracle.

They come some days before the till database tells of the same lines: who reads the live lines has
each once, all the while.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import live_poller
import pytest
from copies import PROJECT
from homes import Home, kill
from services import kafka

from sample.oracle import Oracle
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


@dataclass(frozen=True)
class Polled:
    """What a reader of the live lines saw; see `live_poller`."""

    unsettled: list[int]
    faults: list[str]


@pytest.fixture(scope="module")
def streamed(polled: tuple[Home, Polled]) -> Home:
    """A home whose scans came in three loads, the second one by `millrace stream`; it is up."""
    return polled[0]


@pytest.fixture(scope="module")
def polled(
    few_tests: Path, tmp_path_factory: pytest.TempPathFactory, oracle: ScansOracle
) -> Iterator[tuple[Home, Polled]]:
    folder = tmp_path_factory.mktemp("streamed")
    deletes = folder / "deletes.parquet"
    taken_back = oracle.fates().filter("fate = 'tombstone'").project("basket_id, product_id")
    taken_back.distinct().write_parquet(str(deletes))
    with kafka() as broker:
        env = {"MILLRACE_SCANNER_BROKERS": broker.address}
        home = Home(folder / "home", few_tests, env).start(FIRST, thin=True)
        _done(home, "run", "--quick-report")
        with polling(home.snapshot, deletes) as seen:
            home.advance(STEPS[0])
            _stream(home, 2)
            home.advance(STEPS[1])
            _done(home, "run", "--quick-report")
        yield home, seen[0]


@contextmanager
def polling(snapshot: Path, deletes: Path) -> Iterator[list[Polled]]:
    """A reader of the live lines in another process; at the end, what it saw."""
    stop, seen = deletes.with_name("stop"), list[Polled]()
    stop.unlink(missing_ok=True)
    with subprocess.Popen(
        [sys.executable, live_poller.__file__, str(snapshot), str(deletes), str(stop)],
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        try:
            yield seen
        finally:
            stop.touch()
            seen.append(Polled(**json.loads(reader.stdout.read())))


def _stream(home: Home, loads: int) -> None:
    """`millrace stream`, until it has published so many loads of scans."""
    log = home.path / "stream"
    with log.open("w") as file:
        process = home.begin("stream", into=file)
        try:
            ends = time.monotonic() + 300
            while home.published("select max(_load_number) from scan_tail") != [(loads,)]:
                assert time.monotonic() < ends, log.read_text()
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        finally:
            kill(process)


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
def test_who_reads_the_live_lines_has_each_once_all_the_while(
    polled: tuple[Home, Polled], oracle: ScansOracle
) -> None:
    home, reader = polled
    assert reader.faults == []
    first, *_, ahead, last = reader.unsettled
    # the day that only the scans had told of was there, and was settled by the tills' database
    assert ahead - first > 2_000
    columns = ", ".join(column for column, *_ in home.published("describe fct_basket_lines"))
    settled = home.published("select * from fct_basket_lines order by all")
    live = "from live_basket_lines"
    assert home.published(f"select {columns} {live} where is_settled order by all") == settled
    days = [FIRST, LAST]
    tills = Oracle(SEED, days).truth("pos.transactions").project("basket_id, product_id").fetchall()
    scans = oracle.truth().project("basket_id, product_id").fetchall()
    assert {row[:2] for row in settled} == set(tills)
    open_ = home.published(f"select basket_id, product_id {live} where not is_settled")
    assert sorted(open_) == sorted(set(scans) - set(tills))
    # they are dead letters of the tills' database, or were gone from it before it was read
    assert len(open_) == last < 300


@STREAMED
def test_without_its_anti_join_lines_are_there_twice(streamed: Home, tmp_path: Path) -> None:
    snapshot = tmp_path / "marts.duckdb"
    shutil.copy2(streamed.snapshot, snapshot)
    with duckdb.connect(snapshot) as con:
        con.sql("select 1 as basket_id, 1 as product_id").write_parquet(
            str(tmp_path / "deletes.parquet")
        )
        ((sql,),) = con.execute(
            "select sql from duckdb_views() where view_name = 'live_basket_lines'"
        ).fetchall()
        without = sql.replace("NOT EXISTS(", "true OR NOT EXISTS(")
        assert without != sql
        con.execute(without.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))
    with polling(snapshot, tmp_path / "deletes.parquet") as seen:
        pass
    assert any("twice" in fault and not fault.startswith("0") for fault in seen[0].faults)


@STREAMED
def test_a_rebuild_from_the_topic_makes_what_the_increments_made(streamed: Home) -> None:
    def all_of() -> list[Any]:
        books = ("scan_watermarks", "late_scans")
        told = [streamed.published(f"from {book} order by all") for book in books]
        return [streamed.tables("staging", "marts", "published"), *told]

    before = all_of()
    with duckdb.connect(str(streamed.warehouse)) as con:
        con.execute("update staging.stg_scanner__scans set store_id = 1 where basket_id % 7 = 0")
    spoilt = all_of()
    assert spoilt != before
    done = _done(streamed, "rebuild", "scanner.scans", "--from-topic")
    assert "0 rows were new or had changed" in done
    assert all_of() == before


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
