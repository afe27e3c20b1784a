"""`millrace rebuild`: the models of a topic anew from the log, in place at once or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import duckdb
import pytest
from homes import Home, kill
from lines_stream import Lines
from services import kafka

from sample.broker import Broker

pytestmark = pytest.mark.xdist_group("kafka")

WRONG = "update staging.stg_shop__lines set amount = 999 where line_id = 3"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with kafka() as found:
        yield found


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Lines:
    found = Lines(tmp_path_factory.mktemp("rebuilt"), broker)
    found.send(100)
    assert found.home.millrace("run", "--quick").code == 0
    return found


def damage(home: Home) -> None:
    """A staged row that a later run does not touch."""
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute(WRONG)


def staged(home: Home) -> float:
    return float(home.query("select amount from staging.stg_shop__lines where line_id = 3")[0][0])


def files(home: Home) -> dict[str, tuple[int, int]]:
    """What changes when a file is written to or replaced."""
    stats = {path.name: path.stat() for path in (home.warehouse, home.marts, home.snapshot)}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def test_a_table_is_made_anew_from_raw(lines: Lines) -> None:
    damage(lines.home)
    done = lines.home.millrace("rebuild", "shop.lines")
    assert done.code == 0, done.text
    assert staged(lines.home) == 3
    assert lines.home.published("select count(*), sum(amount) from fct_lines") == [(100, 4950)]
    assert not (lines.home.path / ".millrace" / "dev" / "rebuild").exists()
    assert lines.home.millrace("run", "--quick").code == 0
    back = done.text.split("millrace rewind --to ")[1].split()[0]
    assert lines.home.millrace("rewind", "--to", back).code == 0
    assert staged(lines.home) == 999
    assert lines.home.millrace("rebuild", "shop.lines").code == 0
    assert staged(lines.home) == 3


def test_the_topic_is_read_again_first_where_that_is_asked(lines: Lines) -> None:
    lines.correct(4, 40)
    assert lines.home.millrace("run", "--quick").code == 0
    done = lines.home.millrace("rebuild", "shop.lines", "--from-log", "topic")
    assert done.code == 0, done.text
    assert "0 rows were new or had changed" in done.text
    assert lines.home.published("select amount from fct_lines where line_id = 4") == [(40,)]
    steps = lines.home.query(
        "select step, status from millrace.runs join millrace.steps using (run_id) "
        "where command like 'rebuild shop.lines --from-log topic' order by steps.started_at"
    )
    assert ("build", "success") in steps


def test_a_test_that_fails_changes_nothing(lines: Lines) -> None:
    lines.correct(5, 2_000_000)
    assert lines.home.millrace("load").code == 0
    before = files(lines.home)
    done = lines.home.millrace("rebuild", "shop.lines")
    assert done.code == 4
    assert "nothing was changed" in done.text
    assert files(lines.home)["marts_dev.duckdb"] == before["marts_dev.duckdb"]
    assert files(lines.home)["marts.duckdb"] == before["marts.duckdb"]
    assert lines.home.published("select amount from fct_lines where line_id = 5") == [(5,)]
    lines.correct(5, 50)
    assert lines.home.millrace("run", "--quick").code == 0


def test_a_rebuild_that_is_killed_changes_nothing_or_all(lines: Lines) -> None:
    """At moments from its first to its last second; what is in use is whole, and goes on."""
    begun = time.monotonic()
    assert lines.home.millrace("rebuild", "shop.lines").code == 0
    took, fired = time.monotonic() - begun, 0
    for share in (0.3, 0.6, 0.9):
        damage(lines.home)
        process = lines.home.begin("rebuild", "shop.lines")
        time.sleep(share * took)
        fired += kill(process)
        assert staged(lines.home) in (3, 999)
        assert lines.home.published("select count(*) from fct_lines") == [(100,)]
        assert lines.home.millrace("rebuild", "shop.lines").code == 0
        assert staged(lines.home) == 3
    assert fired >= 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("shop.line",), "did you mean 'shop.lines'"),
        (("lines",), "did you mean 'shop.lines'"),
        (("shop.lines", "--from-log", "hope"), "'hope' is not one of"),
    ],
)
def test_words_that_name_nothing_are_refused(
    lines: Lines, words: tuple[str, ...], told: str
) -> None:
    done = lines.home.millrace("rebuild", *words)
    assert (done.code, told in done.text) == (2, True), done.text
