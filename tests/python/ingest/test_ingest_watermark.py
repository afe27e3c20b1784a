"""The watermark: no row at an edge is missed, none is loaded twice, whatever the cursor is like."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from projects import Project, Shop, source, table
from services import postgres

from ingest.declaration import Table, TableIngest
from ingest.readers.bounds import lower_bound

COLUMNS = {
    "id": {"data_type": "bigint", "required": True},
    "amount": {"data_type": "integer", "check": "amount >= 0"},
    "updated_at": "timestamp",
}
Rows = list[tuple[Any, ...]]


def _node(**ingest: Any) -> dict[str, Any]:
    given = {"primary_key": ["id"], "cursor": "updated_at", "max_dead": 1, **ingest}
    columns = given.pop("columns", COLUMNS)
    return source("shop", table("lines", columns, **given), kind="sql", url="env:DB")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres(timezone="America/New_York") as url:
        yield url


def _last(project: Project) -> tuple[int, int, int, int]:
    """Fetched, reread, accepted and dead of the last load."""
    entry = project.book("shop")[-1]
    return (
        entry["rows_fetched"],
        entry["rows_reread"],
        entry["rows_accepted"],
        entry["rows_dead"],
    )


def test_edge_null_and_late_rows_come_once(project: Project, shop: Shop) -> None:
    shop.put(
        (1, 1, "2017-01-01 10:00:00"),
        (2, 2, "2017-01-01 11:00:00"),
        (3, 3, None),
        (4, -4, "2017-01-01 11:00:00"),
        (5, -5, None),
    )
    node = _node(lag="1 hour")
    project.load(node)
    assert _last(project) == (5, 0, 3, 2)
    assert not project.load().loads

    shop.put(
        (6, 6, "2017-01-01 11:00:00"),  # at the edge
        (7, 7, "2017-01-01 10:30:00"),  # late, within the lag
        (8, 8, None),
        (9, 9, "2017-01-01 11:30:00"),
        (10, -10, "2017-01-01 10:45:00"),
    )
    shop.run("update lines set amount = 20 where id = 2")  # without its time moving
    project.load()
    assert _last(project) == (10, 4, 5, 1)
    assert not project.load().loads

    assert [row[:2] for row in project.raw("shop.lines")] == [
        (1, 1), (2, 2), (2, 20), (3, 3), (6, 6), (7, 7), (8, 8), (9, 9),
    ]  # fmt: skip
    assert [payload["id"] for _, payload, _ in project.dead("shop.lines")] == ["10", "4", "5"]
    project.check_books("shop")


def test_a_changed_row_is_a_new_version(project: Project, shop: Shop) -> None:
    shop.put((1, 1, "2017-01-01 10:00:00"))
    project.load(_node())
    shop.run("update lines set amount = 2, updated_at = '2017-01-02 10:00:00'")
    project.load()
    shop.run("update lines set updated_at = '2017-01-03 10:00:00'")
    project.load()
    assert [row[1] for row in project.raw("shop.lines")] == [1, 2, 2]
    project.check_books("shop")


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "mixed"])
def test_sqlite_times_of_any_form(project: Project, shop: Shop, form: str) -> None:
    forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y-%m-%d %H:%M"]
    start = datetime(2017, 1, 31, 21)
    put = []
    for step in range(8):
        chosen = forms[step % 4] if form == "mixed" else form
        put.append((step, step, (start + timedelta(hours=step)).strftime(chosen)))
        shop.put(put[-1])
        project.load(_node(lag="3 hours") if not step else None)
        shop.put((100 + step, 1, put[-1][2]))  # one more at the edge
        project.load()
    assert [row[0] for row in project.raw("shop.lines")] == [*range(8), *range(100, 108)]
    project.check_books("shop")


def test_a_cursor_that_is_no_time_is_dead_not_lost(project: Project, shop: Shop) -> None:
    shop.put((1, 1, "2017-01-01 10:00:00"))
    project.load(_node())
    shop.put((2, 1, ""), (3, 1, "yesterday"), (4, 1, 1487152800))
    project.load()
    project.load()
    dead = project.dead("shop.lines")
    assert [(rules, payload["id"]) for rules, payload, _ in dead] == [
        (("type:updated_at",), "2"),
        (("type:updated_at",), "3"),
        (("type:updated_at",), "4"),
    ]
    project.check_books("shop")


def test_a_time_to_come_hides_nothing(project: Project, shop: Shop) -> None:
    shop.put((1, 1, "9999-12-31 00:00:00"), (2, 1, "2017-01-01 00:00:00"))
    project.load(_node())
    now = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1)
    shop.put((3, 1, str(now)))
    project.load()
    assert not project.load().loads
    assert [row[0] for row in project.raw("shop.lines")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "lag", "values"),
    [
        ("bigint", 0, [1, 2, 20170215, 20170215, 20170216]),
        ("bigint", 5, [-10, -3, 0, 7, 9]),
        ("integer", 2, [8, 9, 10, 10, 100]),
        ("decimal(20,4)", 0, [0.5, 1.25, 1.25, 10, 100.75]),
        ("date", 0, ["2017-01-30", "2017-01-31", "2017-01-31", "2017-02-01", "2017-02-02"]),
        ("date", "2 days", ["2017-01-30", "2017-01-31", "2017-01-30", "2017-02-01", "2017-01-31"]),
        ("varchar", 0, ["a", "b", "b", "c", "d"]),
    ],
)
def test_other_cursors(
    project: Project, tmp_path: Path, kind: str, lag: object, values: list[Any]
) -> None:
    types = {"bigint": "integer", "integer": "integer", "decimal(20,4)": "real"}
    shop = Shop(project, tmp_path, f"id integer, amount integer, updated_at {types.get(kind, '')}")
    columns = {**COLUMNS, "updated_at": kind}
    node = _node(columns=columns, **({"lag": lag} if lag else {}))
    project.declare(node)
    for number, value in enumerate(values):
        shop.put((number, 1, value), (number + 100, 1, value))
        project.load(afresh=number == 2)
        assert len(project.raw("shop.lines")) == 2 * number + 2
        assert not project.load().loads
    project.check_books("shop")


def test_text_that_is_a_number_is_a_cursor(project: Project, shop: Shop) -> None:
    shop.run("drop table lines")
    shop.run("create table lines (id text, amount integer)")
    shop.put(("8", 1), ("9", 1))
    node = _node(columns={"id": "bigint", "amount": "integer"}, cursor="id")
    assert not project.load(node).errors
    shop.put(("10", 1), ("11", 1), ("", 1), ("1 0", 1))
    assert not project.load().errors
    assert [row[0] for row in project.raw("shop.lines")] == [8, 9, 10, 11]
    assert _last(project) == (5, 1, 2, 2)
    assert not project.load().loads


def test_a_dead_row_hides_nothing(project: Project, shop: Shop) -> None:
    columns = {"id": {"data_type": "bigint", "check": "id < 1000000"}, "amount": "integer"}
    shop.put((1, 1, None), (2, 1, None), (9 * 10**18, 1, None))
    assert not project.load(_node(columns=columns, cursor="id")).errors
    shop.put((3, 1, None), (4, 1, None))
    assert not project.load().errors
    assert [row[0] for row in project.raw("shop.lines", "id")] == [1, 2, 3, 4]
    assert len(project.dead("shop.lines")) == 1
    assert not project.load().loads


def test_infinity_hides_nothing(project: Project, shop: Shop) -> None:
    columns = {"id": "bigint", "amount": "double"}
    shop.put((1, 1.5, None), (2, float("inf"), None))
    assert not project.load(_node(columns=columns, cursor="amount")).errors
    shop.put((3, 2.5, None))
    assert not project.load().errors
    assert [row[0] for row in project.raw("shop.lines", "id")] == [1, 2, 3]
    assert not project.load().loads


@pytest.mark.parametrize("window", [2, 2_000_000])
def test_the_first_century_comes_once(project: Project, shop: Shop, window: int) -> None:
    shop.put((0, 1, "0001-01-01 00:00:00"))
    shop.put(*((i, 1, f"2017-01-0{i} 00:00:00") for i in range(1, 6)))
    assert not project.load(_node(window=window)).errors
    shop.put((7, 1, "0001-01-01 00:00:00"), (8, 1, "2017-02-01 00:00:00"))
    for _ in range(3):
        assert not project.load().errors
    assert [row[0] for row in project.raw("shop.lines")] == [0, 1, 2, 3, 4, 5, 7, 8]


def test_back_to_what_it_was_under_the_same_version(project: Project, shop: Shop) -> None:
    shop.put((1, 10, "2017-01-01"))
    for amount in (10, 20, 10, 20):
        shop.run(f"update lines set amount = {amount}")
        assert not project.load(_node()).errors
        assert not project.load().loads
    assert project.raw("shop.lines", "_load_number, amount") == [(1, 10), (2, 20), (3, 10), (4, 20)]


def test_a_column_may_be_called_held(project: Project, shop: Shop) -> None:
    shop.put((1, "false", "2017-01-01 10:00:00"), (2, "true", "2017-01-01 11:00:00"))
    shop.run("alter table lines rename column amount to held")
    columns = {"id": "bigint", "held": "boolean", "updated_at": "timestamp"}
    assert not project.load(_node(columns=columns, lag="2 hours")).errors
    assert not project.load().loads


@pytest.mark.parametrize("window", [25, 1000])
def test_a_first_load_goes_in_windows(project: Project, shop: Shop, window: int) -> None:
    start = datetime(2017, 1, 1)
    times = [str(start + timedelta(minutes=7 * (i // 9))) for i in range(200)]
    shop.put(*((i, 1, when) for i, when in enumerate(times)))
    shop.put((1000, 1, None), (1001, -1, times[0]), (1002, -1, None))
    result = project.load(_node(window=window))
    assert len(result.loads) >= 200 / window * 0.8
    assert len({load.number for load in result.loads}) == len(result.loads)
    assert not project.load().loads
    assert [row[0] for row in project.raw("shop.lines")] == [*range(200), 1000]
    assert len(project.dead("shop.lines")) == 2
    project.check_books("shop")


def test_windows_of_integers(project: Project, tmp_path: Path) -> None:
    shop = Shop(project, tmp_path, "id integer, amount integer, updated_at integer")
    shop.put(*((i, 1, i // 3) for i in range(300)))
    result = project.load(_node(columns={**COLUMNS, "updated_at": "bigint"}, window=40))
    assert len(result.loads) >= 7
    assert [row[0] for row in project.raw("shop.lines")] == list(range(300))
    project.check_books("shop")


def test_a_table_without_a_cursor_is_compared_whole(project: Project, shop: Shop) -> None:
    shop.put((1, 1, "a"), (2, -2, "b"), (3, 3, None))
    node = _node(columns={**COLUMNS, "updated_at": "varchar"}, cursor=None)
    project.load(node)
    assert not project.load().loads
    shop.put((4, 4, "d"))
    shop.run("update lines set amount = 30 where id = 3")
    project.load()
    assert _last(project) == (4, 2, 2, 0)
    assert [row[1] for row in project.raw("shop.lines")] == [1, 3, 30, 4]
    project.check_books("shop")


def test_without_a_key_equal_rows_are_counted(project: Project, shop: Shop) -> None:
    shop.put((1, 1, "2017-01-01"), (1, 1, "2017-01-01"), (1, -1, "2017-01-01"))
    project.load(_node(primary_key=[]))
    assert not project.load().loads
    shop.put((1, 1, "2017-01-01"), (1, -1, "2017-01-01"))
    project.load()
    assert not project.load().loads
    assert len(project.raw("shop.lines")) == 3
    assert len(project.dead("shop.lines")) == 2
    project.check_books("shop")


def test_a_replaced_table(project: Project, shop: Shop) -> None:
    shop.put(*((i, i, "x") for i in range(10)), (99, -1, "dead"))
    columns = {**COLUMNS, "updated_at": "varchar"}
    node = _node(columns=columns, cursor=None, write_disposition="replace")
    project.load(node)
    assert _last(project) == (11, 0, 10, 1)
    assert not project.load().loads  # the same snapshot, its dead row too

    shop.run("update lines set amount = 50 where id = 5")
    project.load()
    assert _last(project) == (11, 1, 10, 0)

    shop.run("delete from lines where id between 2 and 8")
    result = project.load()
    assert "truncated" in str(result.errors[0])
    assert not result.loads
    assert len(project.raw("shop.lines")) == 20
    shop.run("delete from lines")
    assert "truncated" in str(project.load().errors[0])

    shop.put((0, 0, "x"), (1, 1, "x"), (9, 9, "x"))
    node["tables"][0]["config"]["meta"]["ingest"]["min_share"] = 0.2
    project.load(node)
    last = "_load_number = (select max(_load_number) from raw_shop.lines)"
    assert len(project.raw(f"shop.lines where {last}")) == 3
    project.check_books("shop")


def test_a_replaced_table_is_judged_by_what_was_read(project: Project, shop: Shop) -> None:
    """Bad rows are dead letters, no sign of a truncated read; a read of nothing always is."""
    shop.put(*((i, 1, None) for i in range(10)))
    columns = {"id": "bigint", "amount": {"data_type": "integer", "check": "amount > 0"}}
    node = _node(columns=columns, cursor=None, write_disposition="replace", min_share=0.5)
    assert not project.load(node).errors
    shop.run("update lines set amount = -1 where id < 6")
    assert not project.load().errors
    assert _last(project) == (10, 0, 4, 6)
    shop.run("delete from lines")
    node = _node(columns=columns, cursor=None, write_disposition="replace", min_share=0)
    (error,) = project.load(node).errors
    assert "the last snapshot has 4" in str(error)


def test_a_bound_keeps_every_digit(shop: Shop) -> None:
    made = Table(source="s", name="t", columns=(), ingest=TableIngest(lag=1), where="")
    top = "99999999999999999999999999999999999995"
    assert lower_bound(top, "DECIMAL(38,0)", made) == top[:-1] + "4"
    assert lower_bound("0001-01-03 00:00:00", "TIMESTAMP", made) == "0001-01-03 00:00:00"


def test_postgres_with_a_zone_of_its_own(project: Project, server: str) -> None:
    """The server's clock shows New York: bounds are UTC all the same."""
    project.env["DB"] = server
    start = datetime(2017, 1, 1, tzinfo=UTC)
    node = _node(lag="2 hours")
    with psycopg.connect(server, autocommit=True) as con:
        con.execute("drop table if exists lines")
        con.execute("create table lines (id bigint, amount int, updated_at timestamptz)")
        for step in range(5):
            when = start + timedelta(hours=step)
            rows = [(step, when), (100 + step, when - timedelta(hours=2)), (200 + step, None)]
            for number, moment in rows:
                con.execute("insert into lines values (%s, 1, %s)", (number, moment))
            project.load(node)
            node = None
            assert not project.load().loads
    rows = project.raw("shop.lines")
    assert len(rows) == 15
    assert rows[4][2] == datetime(2017, 1, 1, 4)
    project.check_books("shop")


def test_postgres_values_keep_all_their_digits(project: Project, server: str) -> None:
    project.env["DB"] = server
    columns = {
        "id": {"data_type": "bigint", "required": True},
        "exact": "decimal(38,10)",
        "money": "decimal(10,2)",
        "size": "double",
        "at": "timestamp",
        "day": "date",
        "data": "blob",
        "note": "varchar",
    }
    with psycopg.connect(server, autocommit=True) as con:
        con.execute("drop table if exists lines")
        con.execute(
            "create table lines (id bigint, exact numeric, money numeric(12,3), size float8, "
            "at timestamp, day date, data bytea, note text, tags text[], doc jsonb, who uuid)"
        )
        con.execute(
            "insert into lines values (1, 12345678901234567.0123456789, 1.5, 0.1, "
            "'2017-01-01 10:00:00.123456', '2017-01-01', '\\x00ff', 'a''b', '{x,y}', '{\"a\": 1}', "
            "'00000000-0000-0000-0000-000000000001'), (2, 'NaN', 1, 'NaN', null, null, null, null, "
            "null, null, null), (3, 1, 'NaN', 'Infinity', 'infinity', null, '\\x', '', null, null, "
            "null), (4, 0.00000000001, 1.005, 1, null, null, null, null, null, null, null)"
        )
    result = project.load(_node(columns=columns, cursor=None))
    assert not result.errors
    (first,) = project.raw("shop.lines where id = 1")
    assert str(first[1]) == "12345678901234567.0123456789"
    assert first[6] == b"\x00\xff"
    dead = {payload["id"]: rules for rules, payload, _ in project.dead("shop.lines")}
    assert dead == {
        "2": ("type:exact",),
        "3": ("type:money",),
        "4": ("type:exact", "type:money"),
    }
    project.check_books("shop")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_every_row_is_there_once(
    project: Project, tmp_path: Path, seed: int
) -> None:
    """Rows come, change, lose their time and come late, at random; loads come between."""
    shop = Shop(project, tmp_path)
    dice = random.Random(seed)
    clock = datetime(2017, 1, 1)
    expected: set[tuple[Any, ...]] = set()
    now: dict[int, tuple[Any, ...]] = {}
    project.declare(_node(lag="1 hour", window=40))
    loader = project.loader()
    for _ in range(10):
        for _ in range(dice.randrange(60)):
            clock += timedelta(minutes=dice.choice([0, 0, 1, 5]))
            late = timedelta(minutes=dice.randrange(60))
            when = None if dice.random() < 0.1 else str(clock - late)
            row = (dice.randrange(200), dice.randrange(-1, 9), when)
            now[row[0]] = row
        shop.run("delete from lines")
        if now:
            shop.put(*now.values())
        assert not loader.load("run").errors
        expected |= set(now.values())
        if dice.random() < 0.3:
            loader = project.loader()  # another process
    raw = [(row[0], row[1], row[2] and str(row[2])) for row in project.raw("shop.lines")]
    assert sorted(map(str, raw)) == sorted(str(row) for row in expected if row[1] >= 0)
    dead = [payload for _, payload, _ in project.dead("shop.lines")]
    assert len(dead) == len([row for row in expected if row[1] < 0])
    project.check_books("shop")
