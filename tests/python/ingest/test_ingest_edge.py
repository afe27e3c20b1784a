"""The cursor's edge on a live PostgreSQL: what commits late, and out of order, is not lost.

MILLRACE_TEST_EDGE=60 keeps transactions open for up to 60 seconds, in a proof of some minutes.
"""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from busy_shop import TABLES, BusyShop
from projects import Project, source, table
from services import _as_plain_user, postgres, postgres_programs

from ingest.readers import TableState
from ingest.readers.edge import _MOST, Edge, Open, Shore, Transactions

LONGEST = float(os.environ.get("MILLRACE_TEST_EDGE", "2"))
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


@pytest.mark.skipif("MILLRACE_TEST_EDGE" not in os.environ, reason="MILLRACE_TEST_EDGE is not set")
def test_without_the_list_the_writers_rows_are_lost(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transactions, "open_now", lambda self, patient: Open({}))
    shop = BusyShop(database, LONGEST)
    lost = _missing(project, shop, _loaded_while_busy(project, shop, LONGEST))
    print(f"\n{lost} versions were lost")
    assert lost >= len(TABLES)  # at least the rows of the one that commits last


@pytest.mark.parametrize("listed", [True, False])
def test_one_that_began_first_and_commits_last(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """It is found by the list of open transactions, and lost without it."""
    monkeypatch.setattr("ingest.readers.sql.STALL", timedelta(0))
    if not listed:
        monkeypatch.setattr(Transactions, "open_now", lambda self, patient: Open({}))
    shop = BusyShop(database, LONGEST)
    shop.make()
    project.env["DB"] = shop.reader_url
    project.load(_node(*TABLES))
    with psycopg.connect(database) as slow, psycopg.connect(database) as quick:
        first = [shop._insert(slow, name) for name in TABLES]
        time.sleep(1.1)  # the cursor of `stamps` is of whole seconds
        shop._committed([shop._insert(quick, name) for name in TABLES])
        quick.commit()
        assert len(project.load().loads) == len(TABLES)
        slow.commit()
        shop._committed(first)
    project.load()
    lost = _missing(project, shop, [])
    # what is rounded up to a second that has not come yet is no position, also without the list
    assert lost == 0 if listed else lost >= 2
    project.check_books("shop")


def _state(project: Project, name: str) -> TableState:
    loader = project.loader()
    loader.dead_letters()
    assert loader._destination is not None
    return loader._destination.state(loader.source.table(name))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first read does not wait for open transactions."""
    monkeypatch.setattr("ingest.readers.edge._PATIENCE", 0.0)


def test_what_is_read_again_for_nothing_is_read_so_once(
    project: Project, database: str, impatient: None
) -> None:
    """A transaction was open as a big table was read first, and then the table is at rest."""
    project.env["DB"] = database
    with psycopg.connect(database, autocommit=True) as con, psycopg.connect(database) as other:
        con.execute("create table events (id bigint, rev bigint, at bigint)")
        con.execute("insert into events select i, i, i from generate_series(1, 12000) i")
        other.execute("select now()")
        assert len(project.load(_node("events")).loads) == 1
        assert not project.load().loads
        assert _state(project, "events")["edge"]["start"] is None
        other.rollback()
        package = "select count(*) from raw_shop._dlt_loads"
        before = project.sql(package)[0][0]
        assert not project.load(afresh=True).loads
        assert _state(project, "events")["edge"] is None
        assert project.sql(package)[0][0] == before + 1  # the state alone, and no load
        assert not project.load(afresh=True).loads
        assert project.sql(package)[0][0] == before + 1
        con.execute("insert into events values (12001, 1, 12001)")
        project.load()
    assert project.book("shop")[-1]["rows_reread"] == 1
    assert [entry["load_number"] for entry in project.book("shop")] == [1, 2]
    project.check_books("shop")


def test_a_transaction_that_does_not_end_is_told_and_holds_little(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.env["DB"] = database
    monkeypatch.setattr("ingest.readers.edge._LONG", timedelta(minutes=-1))
    with psycopg.connect(database, autocommit=True) as con, psycopg.connect(database) as other:
        con.execute("create table events (id bigint, rev bigint, at bigint)")
        con.execute("insert into events select i, i, i from generate_series(1, 5) i")
        project.load(_node("events"))
        other.execute("insert into events values (6, 6, 6)")
        for number in range(10, 14):
            con.execute(f"insert into events values ({number}, 1, {number})")
            with psycopg.connect(database) as short:
                short.execute("select now()")
                assert len(project.load().loads) == 1
        edge = _state(project, "events")["edge"]
        assert edge["start"] == "5"
        assert len(edge["pending"]) <= 2
        pid = other.info.backend_pid
        assert len([line for line in project.lines if f"process {pid} has a trans" in line]) == 1
        other.commit()
    project.load()
    assert [row[0] for row in project.raw("shop.events")] == [*range(1, 7), *range(10, 14)]
    assert project.book("shop")[-1]["rows_reread"] == 5
    assert _state(project, "events").get("edge") is None
    project.check_books("shop")


@pytest.mark.parametrize("window", [2, 2_000_000])
def test_a_bad_row_above_all_others_does_not_move_the_edge(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    """Rows that come while a table is read are not above a top that was asked for before."""
    project.env["DB"] = database
    node = _node("events", window=window, max_dead=1)
    node["tables"][0]["columns"][2]["config"]["meta"] = {"check": '"at" < 1000000'}
    with psycopg.connect(database, autocommit=True) as con, psycopg.connect(database) as late:
        con.execute("create table events (id bigint, rev bigint, at bigint)")
        con.execute("insert into events select i, i, i from generate_series(1, 5) i")
        con.execute("insert into events values (99, 1, 9000000000000000000)")
        listed = Transactions._listed

        def meanwhile(self: Transactions) -> Open | None:
            found = listed(self)
            if not late.info.transaction_status:
                late.execute("insert into events values (6, 6, 6)")
                con.execute("insert into events values (7, 7, 7)")
            return found

        with monkeypatch.context() as patched:
            patched.setattr(Transactions, "_listed", meanwhile)
            assert not project.load(node).errors
        late.commit()
        for _ in range(3):
            assert not project.load(afresh=True).errors
    assert [row[0] for row in project.raw("shop.events")] == list(range(1, 8))
    project.check_books("shop")


def test_a_standby_says_what_it_cannot_show(project: Project) -> None:
    with postgres(wal_level="replica") as url:
        project.env["DB"] = url
        with psycopg.connect(url, autocommit=True) as con:
            con.execute("create table events (id bigint, rev bigint, at bigint)")
            con.execute("insert into events values (1, 1, 1)")
            (folder,) = con.execute("show data_directory").fetchone() or ("",)
        as_user, programs = _as_plain_user(), postgres_programs()
        subprocess.run([*as_user, "touch", f"{folder}/standby.signal"], check=True)
        control = [*as_user, f"{programs}/pg_ctl", "-D", folder, "-s", "-w", "-m", "fast"]
        subprocess.run([*control, "-l", f"{folder}/log", "restart"], check=True, cwd="/")
        assert len(project.load(_node("events")).loads) == 1
        assert not project.load().errors
        assert len([line for line in project.lines if "a standby" in line]) == 1
        project.lines.clear()
        assert not project.load(_node("events", lag=5)).errors
        assert not project.lines


def _open(*names: str, prepared: tuple[str, ...] = ()) -> Open:
    return Open(dict.fromkeys(names, 1), tuple(f"prepared {name}" for name in prepared))


def test_the_edge_waits_for_just_those_that_were_open() -> None:
    edge = Edge("1").joined("2", _open("a", "b"), "")
    assert edge.start == "1"
    edge = edge.settled(_open("b", "c")).joined("3", _open("b", "c"), "")
    assert (edge.start, [each.open for each in edge.pending]) == ("1", [("b",), ("c",)])
    assert edge.settled(_open("c", "d")).start == "2"
    assert edge.settled(_open("d")) == Edge("3")
    # what is pending no longer by itself goes with the entry before
    held = edge.settled(_open("b"))
    assert [(each.to, each.open) for each in held.pending] == [("3", ("b",))]
    # a top that went back serves as well
    assert held.joined("2", _open("b"), "").settled(_open()) == Edge("2")


def test_a_prepared_transaction_is_still_open() -> None:
    edge = Edge("1").joined("2", _open("a"), "")
    edge = edge.settled(_open(prepared=("7",)))
    assert (edge.start, edge.pending[0].open) == ("1", ("prepared 7",))
    # one that is prepared later holds nothing back
    assert edge.settled(_open(prepared=("8",))) == Edge("2")


def test_the_state_does_not_grow() -> None:
    edge = Edge("0")
    for number in range(200):
        now = _open(*(f"t{n}" for n in range(max(0, number - 50), number + 1)), "idle")
        edge = edge.settled(now).joined(str(number + 1), now, "")
        assert len(edge.pending) <= _MOST
        assert sum(len(each.open) for each in edge.pending) <= 52
    assert edge.start == "0"
    again = Edge.of({"cursor": "200", "edge": edge.kept("200")})
    assert again == edge
    assert edge.settled(_open()) == Edge("200")


def test_a_read_that_breaks_off_begins_again_where_something_was_open() -> None:
    state: TableState = {"cursor": "5"}
    assert Shore(state, "BIGINT", "9", _open("a")).window("7") == {
        "edge": {"start": "5", "pending": []}
    }
    assert Shore(state, "BIGINT", "9", _open()).window("7") == {}
    # what the cursor says less than the edge is not believed before rows have said so
    state["edge"] = {"start": "3", "pending": []}
    assert Shore(state, "BIGINT", "9", _open()).window(None) == {}
    assert Shore(state, "BIGINT", "9", _open()).window("4") == {"edge": None}
