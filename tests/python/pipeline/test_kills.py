"""`kill -9` of `millrace run` wherever it is; the same command again, until it ends well.

Two deliveries to two homes. One is left alone. In the other the run is killed twenty times, at
moments that a seed throws over all steps; then raw and marts must be those of the undisturbed one.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from homes import Home, kill

pytestmark = pytest.mark.xdist_group("thin")

FIRST = date(2017, 1, 3)
DELIVERIES = 2
KILLS = 20
RUN = ("run", "--quick-report", "--log-json")
# a share of each delivery's kills; the load is where most can go wrong
PLACES = ("load", "load", "freshness", "build", "build", "build", "publish")


@dataclass
class Steps:
    """When each step of an undisturbed run began and ended, in seconds since its start."""

    ends: dict[str, float]

    def moment(self, step: str, dice: random.Random) -> tuple[str, float]:
        """(the step to wait for, how long to wait after it) for a moment within `step`."""
        names = ["", *self.ends]
        before = names[names.index(step) - 1]
        took = self.ends[step] - (self.ends[before] if before else 0.0)
        # the first half of the first step is Python's, reading modules
        return before, dice.uniform(0.55 if step == "load" else 0.02, 0.98) * took


def timed(home: Home) -> Steps:
    """A run to its good end."""
    begun = time.monotonic()
    process = home.begin(*RUN)
    assert process.stderr is not None
    ends = {}
    for line in process.stderr:
        said = json.loads(line)
        if said["event"] == "step":
            ends[said["step"]] = time.monotonic() - begun
    assert process.wait() == 0
    return Steps(ends)


def killed(home: Home, before: str, wait: float) -> bool:
    """Kill a run `wait` seconds after the end of its step `before`; whether it was at work."""
    process = home.begin(*RUN)
    passed = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said = json.loads(line)
            if said["event"] == "step" and said["step"] == before:
                passed.set()
        passed.set()

    listener = threading.Thread(target=listen)
    listener.start()
    if before:
        passed.wait(120)
    time.sleep(wait)
    at_work = kill(process)
    listener.join()
    return at_work


@dataclass
class Worlds:
    """The two homes after all deliveries, and the steps at which the kills fell."""

    quiet: Home
    disturbed: Home
    fell: Counter[str]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    dice = random.Random(20)
    where = tmp_path_factory.mktemp("kills")
    quiet = Home(where / "quiet").start(FIRST, thin=True)
    # the retailer is one for both, so that rows say that they came from the same places
    disturbed = Home(where / "disturbed", env=quiet.env)
    (disturbed.path / "sample_data").symlink_to(quiet.path / "sample_data")
    fell: Counter[str] = Counter()
    for delivery in range(DELIVERIES):
        if delivery:
            quiet.advance(1)
        steps = timed(quiet)
        while sum(fell.values()) < KILLS * (delivery + 1) / DELIVERIES:
            step, told = dice.choice(PLACES), runs(disturbed)
            if killed(disturbed, *steps.moment(step, dice)):
                fell[at(disturbed) if runs(disturbed) > told else "start"] += 1
        timed(disturbed)
    return Worlds(quiet, disturbed, fell)


def runs(home: Home) -> int:
    """How many runs have been written down."""
    there = "select count(*) from duckdb_tables() where schema_name = 'millrace'"
    if not home.warehouse.exists() or home.query(there) == [(0,)]:
        return 0
    return int(home.query("select count(*) from millrace.runs")[0][0])


def at(home: Home) -> str:
    """The step at which the last run was killed."""
    rows = home.query(
        "select step from millrace.steps join (select max_by(run_id, started_at) as run_id "
        "from millrace.runs) using (run_id) where status = 'running'"
    )
    return str(rows[0][0]) if rows else "load"


def test_kills_fell_within_every_step(worlds: Worlds) -> None:
    assert sum(worlds.fell.values()) == KILLS
    print(worlds.fell)
    assert set(worlds.fell) >= {"load", "build"}
    assert len(worlds.fell) >= 3
    assert worlds.fell["start"] <= KILLS / 2


@pytest.mark.parametrize("schemas", [
    ("raw_pos", "raw_promo", "raw_loyalty"), ("staging", "snapshots"), ("marts",), ("published",),
])  # fmt: skip
def test_tables_are_those_of_an_undisturbed_home(worlds: Worlds, schemas: tuple[str, ...]) -> None:
    kept = [
        {
            name: rows
            for name, rows in home.tables(*schemas).items()
            if "_dlt" not in name and not name.endswith(("._loads", "._files"))
        }
        for home in (worlds.quiet, worlds.disturbed)
    ]
    assert kept[0] == kept[1]
    assert len(kept[0]) >= 5


@pytest.mark.parametrize("source", ["pos", "promo", "loyalty"])
def test_every_load_is_in_the_book_once(worlds: Worlds, source: str) -> None:
    books = [
        home.query(
            f"""select l.load_number, table_name, rows_read, rows_accepted, rows_dead, d.status
            from raw_{source}._loads as l
            left join raw_{source}._dlt_loads as d on d.load_id = l._dlt_load_id order by all"""
        )
        for home in (worlds.quiet, worlds.disturbed)
    ]
    assert all(status == 0 for book in books for *_, status in book)
    assert len(books[1]) == len({row[:2] for row in books[1]})
    assert books[0] == books[1]
    for table in {row[1] for row in books[1]}:
        counted = worlds.disturbed.query(
            f"select _load_number, count(*) from raw_{source}.{table} group by all order by all"
        )
        booked = [(row[0], row[3]) for row in books[1] if row[1] == table and row[3]]
        assert counted == sorted(booked), table


def test_killed_runs_are_told_as_killed(worlds: Worlds) -> None:
    told = dict(
        worlds.disturbed.query("select status, count(*) from millrace.runs group by status")
    )
    assert told["killed"] == KILLS - worlds.fell["start"]  # before those, nothing was done
    assert "running" not in told
    assert not list((worlds.disturbed.path / "published").glob(".marts*")), "a partial copy"


def test_nothing_is_left_to_do(worlds: Worlds) -> None:
    before = Path(worlds.disturbed.snapshot).stat().st_ino
    again = worlds.disturbed.millrace("run", "--quick-report")
    assert (again.code, again.err.strip()) == (0, "nothing new; nothing to build")
    assert worlds.disturbed.snapshot.stat().st_ino == before
