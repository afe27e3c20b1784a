"""What is delivered is a pure function of seed and day, also after a kill."""

import json
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
import worlds

from sample import Retailer, clock, dataset, drop, versions
from sample.errors import (
    BadStepError,
    BeforeTheDataError,
    NotStartedError,
    OtherSeedError,
    UnreadableClockError,
)

# Holds files sent again, a month's first with its batch of products, and a campaign's start.
FIRST, LAST = date(2017, 1, 31), date(2017, 2, 7)


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> worlds.World:
    """The world on the last day, started on that day."""
    home = tmp_path_factory.mktemp("at_once")
    Retailer(home).start(LAST)
    return worlds.everything(home)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("first")
    Retailer(home).start(FIRST)
    return home


def _copy(home: Path, to: Path) -> Path:
    subprocess.run(["cp", "-r", str(home), str(to)], check=True)
    return to


@pytest.mark.parametrize("steps", [[7], [1, 1, 3, 2]])
def test_leaps_and_steps_give_what_a_start_gives(
    at_once: worlds.World, first: Path, tmp_path: Path, steps: list[int]
) -> None:
    home = _copy(first, tmp_path / "home")
    for days in steps:
        Retailer(home).advance(days)
    assert Retailer(home).clock() == LAST
    assert worlds.everything(home) == at_once
    assert "promotions/promotions_week_06_resend.parquet" in at_once.drop
    assert "coupons/coupons_2017_02_06_resend.csv.gz" in at_once.drop
    assert len(at_once.tills["transactions"]) > 120_000
    assert worlds.tills(first) != at_once.tills


def test_a_file_does_not_depend_on_the_cores(tmp_path: Path) -> None:
    hashes = []
    for threads in (1, 4):
        con = dataset.connect(7)
        con.execute(f"set threads = {threads}")
        drop.deliver(con, tmp_path / "drop", date(2017, 1, 3))
        hashes.append(worlds.drop(tmp_path))
        drop.clear(tmp_path / "drop")
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 3


def test_another_seed_is_another_year(at_once: worlds.World, tmp_path: Path) -> None:
    Retailer(tmp_path, seed=8).start(date(2017, 1, 3))
    assert Retailer(tmp_path, seed=8).clock() == date(2017, 1, 3)
    other = worlds.tills(tmp_path)["transactions"]
    assert not other <= at_once.tills["transactions"]
    with pytest.raises(OtherSeedError, match=r"seed 8, not 7.*millrace sample start"):
        Retailer(tmp_path).advance(1)


_ADVANCE = """
import sys
from pathlib import Path
from sample import Retailer
print("ready", flush=True)
Retailer(Path(sys.argv[1])).advance(int(sys.argv[2]))
"""


def _killed_advance(home: Path, days: int, after: float) -> bool:
    """Advance in a process of its own, killed `after` seconds; whether the kill came in time."""
    child = subprocess.Popen(
        [sys.executable, "-c", _ADVANCE, str(home), str(days)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(after)
    child.kill()
    child.stdout.close()
    return child.wait() == -signal.SIGKILL


def test_a_killed_advance_repeated_gives_the_same(
    at_once: worlds.World, first: Path, tmp_path: Path
) -> None:
    home = _copy(first, tmp_path / "home")
    kills = sum(_killed_advance(home, 7, after) for after in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4))
    if Retailer(home).clock() == FIRST:
        Retailer(home).advance(7)
    else:
        # the machine was quick and let one through, and the rest went on from there
        Retailer(home).start(LAST)
    assert kills >= 2
    assert worlds.everything(home) == at_once
    assert sorted(path.name for path in home.iterdir()) == ["clock.json", "drop", "till.sqlite"]


@pytest.mark.parametrize("ahead", [7, 8])
def test_tills_ahead_of_the_clock_are_put_right(
    at_once: worlds.World, first: Path, tmp_path: Path, ahead: int
) -> None:
    """As after a kill between the tills' commit and the clock, then the same step or a smaller."""
    home = _copy(first, tmp_path / "home")
    Retailer(home).advance(ahead)
    clock.write(home, clock.Clock(FIRST, seed=7))
    (home / "drop/promotions/promotions_week_03.parquet").unlink()
    Retailer(home).advance(7)
    assert Retailer(home).clock() == LAST
    assert worlds.tills(home) == at_once.tills
    assert worlds.drop(home) == at_once.drop


def test_tills_never_look_back_more_than_fifty_minutes() -> None:
    """What arrives later is younger than everything before it, less 50 minutes; some is not."""
    con = dataset.connect(7)
    versions.create(con)
    (lines,) = (table for table in versions.TILLS if table.name == "transactions")
    late, too_late = con.execute(
        f"""
        with days as (
            select arrives_on, min(updated_at) as oldest, max(updated_at) as newest
            from {versions.all_of(lines)} group by all
        ),
        seen as (
            select *, max(newest) over (
                order by arrives_on rows between unbounded preceding and 1 preceding) as reached
            from days
        )
        select count(*) filter (oldest < reached),
            count(*) filter (oldest < reached - interval 50 minute)
        from seen"""
    ).fetchall()[0]
    assert late > 300
    assert too_late == 0


def test_bad_rows_are_few_in_every_load() -> None:
    con = dataset.connect(7)
    versions.create(con)
    for table in versions.TILLS:
        worst = con.execute(
            f"""select max(bad) from (
                select count(broken_rules) / greatest(count(*), 1000) as bad
                from {versions.all_of(table)} group by arrives_on)"""
        ).fetchall()[0][0]
        assert worst < 0.005, table.name


def test_wrong_orders_are_named(tmp_path: Path) -> None:
    assert Retailer(tmp_path).clock() is None
    with pytest.raises(NotStartedError, match="millrace sample start"):
        Retailer(tmp_path).advance(1)
    with pytest.raises(BeforeTheDataError, match="2017-01-01"):
        Retailer(tmp_path).start(date(2016, 12, 31))
    with pytest.raises(BadStepError, match="--days 1"):
        Retailer(tmp_path).advance(0)
    (tmp_path / "clock.json").write_text(json.dumps({"date": "soon"}))
    with pytest.raises(UnreadableClockError, match="millrace sample start"):
        Retailer(tmp_path).clock()
