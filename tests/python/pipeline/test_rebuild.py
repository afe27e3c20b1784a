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
    stats = {path.name: path.stat() for path in (home.marts, home.snapshot)}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def test_a_table_is_made_anew_from_its_topic(lines: Lines) -> None:
    damage(lines.home)
    begun = time.monotonic()
    done = lines.home.millrace("rebuild", "shop.lines", "--from-log", "topic")
    lines.took = time.monotonic() - begun
    assert done.code == 0, done.text
    assert "0 rows were new or had changed" in done.text
    assert "the way back: millrace rewind --to " in done.text
    assert staged(lines.home) == 3
    assert lines.home.published("select count(*), sum(amount) from fct_lines") == [(100, 4950)]
    assert not (lines.home.path / ".millrace" / "dev" / "rebuild").exists()
    runs = lines.home.query("select command, status from millrace.runs order by started_at")
    assert [status for _, status in runs] == ["success"] * len(runs)
    assert runs[-1][0].startswith("rewind --to ")


def test_a_rebuild_that_is_killed_changes_nothing_or_all(lines: Lines) -> None:
    """What is in use is whole, and the same command begins anew."""
    damage(lines.home)
    process = lines.home.begin("rebuild", "shop.lines")
    time.sleep(0.6 * lines.took)
    assert kill(process)
    assert staged(lines.home) in (3, 999)
    assert lines.home.published("select count(*) from fct_lines") == [(100,)]
    done = lines.home.millrace("rebuild", "shop.lines")
    assert done.code == 0, done.text
    assert staged(lines.home) == 3


def test_a_test_that_fails_changes_nothing(lines: Lines) -> None:
    lines.correct(5, 2_000_000)
    assert lines.home.millrace("load").code == 0
    before = files(lines.home)
    done = lines.home.millrace("rebuild", "shop.lines")
    assert done.code == 4
    assert "nothing was changed" in done.text
    assert files(lines.home) == before
    assert lines.home.published("select amount from fct_lines where line_id = 5") == [(5,)]


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
