"""A slice of the crash matrix; the whole of it is `make crash-test`.

Which points are met is thrown anew every day, by a seed that is printed; to have a day's points
again: MILLRACE_CRASH_SEED. What a scenario and its oracle are: `tests/crash`.
"""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.crash import store_scenarios, switches
from tests.crash.client import Client
from tests.crash.coverage import covered
from tests.crash.engine import Case, Disturber, Tally
from tests.crash.readers import Publish
from tests.crash.runs import STOPPED
from tests.crash.safeties import MARKED
from tests.crash.shop import SHOP, Shop

pytestmark = pytest.mark.xdist_group("crash")

SEED = int(os.environ.get("MILLRACE_CRASH_SEED", date.today().toordinal()))
KILLS = {"append": 3, "replace": 2, "files": 2, "bucket": 1, "rest": 2, "letters": 1,
         "deletes": 2, "backfill": 2}  # fmt: skip
"""Kills in each step, and one of a recovery besides."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that all tests here share."""
    with Client(tmp_path_factory.mktemp("client")) as client:
        yield client


def some(disturber: Disturber, step: int, count: int) -> Tally:
    """Disturb a step at some of its points."""
    tally = Tally(f"{disturber.scenario.name} {step}", SEED)
    disturber.disturb(step, disturber.cases(step)[:count], tally, recoveries=1)
    print(f"seed {SEED}: {dict(disturber.points)}")
    return tally


@pytest.mark.parametrize("name", KILLS)
def test_ingestion_is_killed(client: Client, tmp_path: Path, name: str) -> None:
    with store_scenarios.opened(name, tmp_path / name) as store:
        disturber = Disturber(store, client, SEED)
        disturber.walk()
        for step in range(len(store.steps)):
            tally = some(disturber, step, KILLS[name])
            assert tally.wrong == []
            assert tally.fired >= KILLS[name]
            assert tally.rows > 0
            assert max(tally.before) > 1
            assert min(tally.after) > 5


def test_ingestion_is_killed_at_random_moments(client: Client, tmp_path: Path) -> None:
    with store_scenarios.opened("append", tmp_path) as store:
        store.steps = store.steps[:2]
        disturber = Disturber(store, client, SEED)
        disturber.walk()
        tally = Tally("", SEED)
        disturber.disturb(1, disturber.moments(1, 3), tally)
        assert tally.wrong == []
        assert tally.fired >= 2
        for action in ("io", "full", "scratch"):
            tally = Tally(action, SEED)
            disturber.disturb(1, disturber.cases(1, action, "(before)")[:1], tally)
            assert tally.wrong == []
            assert tally.fired == 1


def test_publishing_is_killed_at_every_point(client: Client, tmp_path: Path) -> None:
    disturber = Disturber(Publish(tmp_path), client, SEED)
    disturber.walk()
    for step in (0, 1):
        tally = some(disturber, step, 100)
        assert tally.wrong == []
        assert tally.fired >= 20


@pytest.mark.parametrize(
    ("switch", "point", "says"),
    [
        ("undo", MARKED, "assert not loads"),  # one number, two loads
        ("package", switches.BETWEEN_PACKAGES, "dead"),
        ("rename", switches.HALF_PUBLISHED, "snapshot cannot be read"),
    ],
)
def test_without_a_safety_it_turns_red(
    client: Client, tmp_path: Path, switch: str, point: str, says: str
) -> None:
    with store_scenarios.opened("append", tmp_path / "store") as store:
        store.steps = store.steps[:2]
        scenario = Publish(tmp_path / "publish") if switch == "rename" else store
        disturber = Disturber(scenario, client, SEED, (switch,))
        disturber.walk()
        tally = Tally(switch, SEED)
        disturber.disturb(1, [Case(point)], tally)
    assert tally.fired == 1
    assert len(tally.wrong) == 1
    assert says in tally.wrong[0].rpartition("):")[2]


def test_a_kill_that_does_not_take_place_is_told(client: Client, tmp_path: Path) -> None:
    disturber = Disturber(Publish(tmp_path), client, SEED)
    disturber.walk()
    tally = Tally("", SEED)
    disturber.disturb(0, [Case("no such point")], tally)
    assert tally.wrong == ["kill at pass 1 of no such point: it did not fire"]


def test_a_run_of_a_small_shop_is_killed(client: Client, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", SHOP[:2])
    disturber = Disturber(shop, client, SEED)
    disturber.walk()
    passed = [point for point in disturber.known if covered(point.rpartition(" (")[0])]
    assert len(passed) > 120
    chosen = [case for case in disturber.cases(1) if case.point.startswith(("ops.", "dbt: model"))]
    dice = disturber.dice
    stops = [case for case in disturber.cases(1, "stop") if case.point.startswith(STOPPED)]
    cases = [*chosen[:1], dice.choice(stops), *disturber.moments(1, 1)]
    dice.shuffle(cases)
    tally = Tally("", SEED)
    disturber.disturb(1, cases, tally, recoveries=1)
    print(f"seed {SEED}: {cases}")
    assert tally.wrong == []
    assert tally.fired >= 2
    assert tally.rows > 200
    _told_and_done(shop, client)


def _told_and_done(shop: Shop, client: Client) -> None:
    """Killed runs are told as killed, and nothing is left to do."""
    told = dict(shop.home.query("select status, count(*) from millrace.runs group by status"))
    assert "running" not in told
    assert told["success"] == 2
    steps = dict(shop.home.query("select status, count(*) from millrace.steps group by status"))
    assert "running" not in steps
    before = shop.home.snapshot.stat().st_ino
    ended = client.run(shop.command(1), shop.env(), shop.cwd(1), shop.scratch())
    assert ended.code == 0
    assert "nothing new; nothing to build" in client.said[-1]
    assert shop.home.snapshot.stat().st_ino == before
