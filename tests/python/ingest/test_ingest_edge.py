"""The cursor's edge on a live PostgreSQL: what commits late, and out of order, is not lost.

MILLRACE_TEST_EDGE=60 keeps transactions open for up to 60 seconds, in a proof of some minutes.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from busy_shop import TABLES, BusyShop
from projects import Project, source, table
from services import postgres

from ingest.readers.edge import Open, Transactions

LONGEST = float(os.environ.get("MILLRACE_TEST_EDGE", "3"))
WRITERS = 50


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres(max_prepared_transactions="60", max_connections="150") as url:
        yield url


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of its own."""
    name = f"d{abs(hash(request.node.name))}"
    with psycopg.connect(server, autocommit=True) as con:
        con.execute(f"create database {name}")
    yield f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as con:
        con.execute(f"drop database {name} with (force)")
        con.execute("drop role if exists reader")


def _node(*names: str, **ingest: Any) -> dict[str, Any]:
    given = {"primary_key": ["id"], "cursor": "at", "version": "rev", **ingest}
    kinds = {"timestamptz": "timestamp", "timestamptz(0)": "timestamp", "bigint": "bigint"}
    tables = (
        table(name, {"id": "bigint", "rev": "bigint", "at": kinds[TABLES[name]]}, **given)
        for name in names
    )
    return source("shop", *tables, kind="sql", url="env:DB")


def _loaded_while_busy(project: Project, shop: BusyShop, seconds: float) -> list[Any]:
    """Load every now and then while the writers are at work, and once after; when each load was."""
    shop.make()
    project.env["DB"] = shop.reader_url
    assert not project.load(_node(*TABLES)).errors
    threads = shop.begin(WRITERS, seconds, seed=7)
    loads, pause = [], min(3.0, shop.longest / 6)
    while any(thread.is_alive() for thread in threads):
        begun = time.monotonic()
        assert not project.load(afresh=len(loads) % 5 == 4).errors
        loads.append((begun, time.monotonic()))
        time.sleep(pause)
    assert not shop.failures
    assert not project.load().errors
    return loads


def _missing(project: Project, shop: BusyShop, loads: list[Any]) -> int:
    """How many versions raw lacks; what it has must have been committed, and stand there once."""
    lost, must = 0, shop.seen_by(loads)
    for name in TABLES:
        raw = Counter(project.raw(f"shop.{name}", "id, rev"))
        assert set(raw.values()) == {1}
        committed = {(v.id, v.rev) for v in shop.versions.values() if v.table == name}
        assert raw.keys() <= committed
        seen = {(v.id, v.rev) for v in shop.versions.values() if v.table == name and v.rev in must}
        lost += len((shop.rows(name) | seen) - raw.keys())
    return lost


def test_nothing_is_lost_among_fifty_writers(project: Project, database: str) -> None:
    shop = BusyShop(database, LONGEST)
    loads = _loaded_while_busy(project, shop, LONGEST * 3)
    assert _missing(project, shop, loads) == 0
    assert not project.load().loads
    assert shop.tally["long"] > WRITERS / 2
    assert shop.tally["rolled back"] > 5
    assert shop.tally["prepared"] > 5
    book = project.book("shop")
    print(
        f"\n{len(loads)} loads, {len(shop.versions)} versions, {dict(shop.tally)}, "
        f"rows read {sum(entry['rows_read'] for entry in book)}, "
        f"read again {sum(entry['rows_reread'] for entry in book)}"
    )
    project.check_books("shop")


def test_without_the_open_transactions_rows_are_lost(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transactions, "open_now", lambda self, patient: Open({}))
    shop = BusyShop(database, 3)
    loads = _loaded_while_busy(project, shop, 4)
    assert _missing(project, shop, loads) > 10
