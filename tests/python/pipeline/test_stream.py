"""`millrace stream` as a process, on a real broker: rows reach the marts, once, whatever dies."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator

import pytest
from homes import kill
from lines_stream import WINDOW, Lines
from services import kafka

from sample.broker import Broker

pytestmark = pytest.mark.xdist_group("kafka")

AT_ONCE = 10_000  # messages that the client gives at once, by which a load can go beyond


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with kafka() as found:
        yield found


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Lines:
    found = Lines(tmp_path_factory.mktemp("stream"), broker)
    found.send(100)
    done = found.home.millrace("run", "--quick")
    assert done.code == 0, done.text
    return found


def test_a_word_that_names_no_topic_is_refused(lines: Lines) -> None:
    done = lines.home.millrace("stream", "shop.line")
    assert (done.code, "did you mean 'lines'?" in done.text) == (2, True), done.text


def test_rows_arrive_in_the_published_mart_until_it_is_told_to_stop(lines: Lines) -> None:
    with lines.stream() as process:
        lines.send(10)
        lines.until(lambda: lines.published() == 110)
        held = lines.home.millrace("run")
        assert held.code == 5
        assert "stream" in held.text
        lines.send(500)
        lines.until(lambda: lines.said('"event": "tick"') >= 2 or lines.published() > 110)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    waits = lines.sent - lines.published()
    assert lines.said('"event": "stopped"') == 1
    assert lines.home.query("select count(*) from raw_shop.lines") == [(lines.sent - waits,)]
    metrics = (lines.home.path / "logs" / "stream.prom").read_text()
    told = dict(re.findall(r"^millrace_stream_(\w+)(?:\{.*\})? (\S+)$", metrics, re.M))
    assert told.keys() >= {
        "rows_total", "lag_messages", "lag_seconds", "tick_seconds", "last_tick_timestamp_seconds"
    }  # fmt: skip
    accepted = re.findall(r'rows_total\{.*"lines",fate="accepted"\} (\d+)', metrics)
    assert accepted == [str(lines.published() - 100)]
    ticks = [json.loads(line) for line in lines.log.read_text().splitlines() if "tick" in line]
    assert sum(tick["rows"] for tick in ticks) == lines.published() - 100
    assert {tick["code"] for tick in ticks} == {0}


def test_what_goes_wrong_is_told_and_passes(lines: Lines, broker: Broker) -> None:
    lines.log.write_text("")
    with lines.stream() as process:
        lines.until(lambda: lines.published() == lines.sent)
        lines.correct(0, 2_000_000)
        lines.until(lambda: lines.said("readers keep the former snapshot") > 0)
        assert lines.home.published("select amount from fct_lines where line_id = 0") == [(0,)]
        lines.correct(0, 7)
        new = "select amount = 7 from fct_lines where line_id = 0"
        lines.until(lambda: lines.home.published(new) == [(True,)])

        broker.kill()
        lines.until(lambda: lines.said("does not answer") > 0)
        time.sleep(6)  # it is tried again meanwhile, after 1, 2 and 4 s, and not told again
        assert lines.said("does not answer") == 1
        assert process.poll() is None
        broker.start()
        lines.until(lambda: lines.said("can be read again") == 1)
        lines.send(10)
        lines.until(lambda: lines.published() == lines.sent)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_a_stream_that_is_killed_takes_each_message_once(lines: Lines) -> None:
    lines.log.write_text("")
    before = lines.sent
    lines.send(45_000)
    with lines.stream() as process:
        lines.ticked(1)
        time.sleep(0.5)  # into the next batch
        assert kill(process)
    assert lines.published() < lines.sent
    with lines.stream() as process:
        lines.until(lambda: lines.published() == lines.sent)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    ticks = [json.loads(line) for line in lines.log.read_text().splitlines() if "tick" in line]
    assert {tick["code"] for tick in ticks} == {0}
    # what the tick before has settled is left out: from the third of a process on
    built = lines.home.query(
        "select detail from millrace.steps where step = 'build' order by started_at desc limit 1"
    )
    assert built[0][0].startswith("3 models built"), built
    corrections = 2
    assert lines.home.query(
        "select count(*), count(distinct (_topic, _partition, _offset)), "
        "count(distinct line_id) from raw_shop.lines"
    ) == [(lines.sent + corrections, lines.sent + corrections, lines.sent)]
    loads = lines.home.query(
        "select _load_number, count(*) from raw_shop.lines "
        f"where line_id >= {before} group by all order by 1"
    )
    assert len(loads) >= 3
    assert max(count for _, count in loads) < WINDOW + AT_ONCE
    # each load was built and published before the next one was read
    runs = lines.home.query(
        "select run_id, count(*) from raw_shop._loads join raw_shop._dlt_loads "
        "on load_id = _dlt_load_id where status = 0 group by all having count(*) > 1"
    )
    assert not runs
