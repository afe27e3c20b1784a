"""`deletes: compare`: what is gone at the source, found exactly, and never by a truncated read."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partialmethod
from pathlib import Path
from typing import Any

import psycopg
import pytest
from projects import Project, Shop, source, table
from services import postgres

from ingest import compare as comparing
from ingest.compare import Comparer
from ingest.declaration import Table, TableIngest
from ingest.deletes import is_due
from ingest.load import SourceResult

ROWS = 20_000
SHARE = ROWS // 100
COLUMNS = {
    "shop": {"data_type": "varchar", "required": True},
    "id": {"data_type": "bigint", "required": True},
    "amount": {"data_type": "integer", "check": "amount >= 0"},
    "updated_at": "timestamp",
}
KINDS = "shop {text}, id {int}, amount {int}, updated_at {time}"
SQLITE = pytest.mark.parametrize("run", ["sqlite"], indirect=True)
Run = Callable[..., None]
Row = tuple[Any, ...]


def _node(**ingest: Any) -> dict[str, Any]:
    given = {"primary_key": ["shop", "id"], "cursor": "updated_at", "deletes": "compare",
             "compare_every": "0 days", **ingest}  # fmt: skip
    return source("shop", table("lines", COLUMNS, **given), kind="sql", url="env:DB")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres(timezone="America/New_York") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def run(request: pytest.FixtureRequest, project: Project, tmp_path: Path) -> Iterator[Run]:
    """Runs SQL in a database with the empty table `lines`; `?` stands for a value."""
    if request.param == "sqlite":
        shop = Shop(project, tmp_path, KINDS.format(text="text", int="integer", time="text"))
        yield shop.run
        return
    url = project.env["DB"] = request.getfixturevalue("server")
    columns = KINDS.format(text="char(9)", int="bigint", time="timestamptz")
    with psycopg.connect(url, autocommit=True) as con:
        con.execute("drop table if exists lines, whole cascade; drop view if exists lines")
        con.execute(f"create table lines ({columns}, primary key (shop, id))")

        def sql(text: str, *rows: Row) -> None:
            with con.cursor() as cursor:
                if rows:
                    cursor.executemany(text.replace("?", "%s"), rows)
                else:
                    cursor.execute(text)

        yield sql
        con.execute("drop table if exists lines, whole cascade; drop view if exists lines")


def _row(number: int, amount: int = 1) -> Row:
    return (f"O'{number % 7}", number, amount, f"2017-01-{1 + number % 28:02} 10:00:00+00")


def _put(run: Run, *rows: Row) -> None:
    run("insert into lines values (?, ?, ?, ?)", *rows)


def _delete(run: Run, numbers: list[int]) -> None:
    run(f"delete from lines where id in ({', '.join(map(str, numbers))})")


def _alive(project: Project) -> dict[int, int]:
    """Id to amount of the rows that raw holds alive, ranked in words of their own."""
    rows = project.sql(
        "with died as (select id, max(_load_number) as d from raw_shop.lines where _deleted "
        "group by id) select id, max_by(amount, (updated_at, _load_number)) "
        "from raw_shop.lines left join died using (id) "
        "where _load_number > coalesce(d, 0) group by id"
    )
    return dict(rows)


def _tombstones(project: Project) -> list[int]:
    rows = project.sql("select id from raw_shop.lines where _deleted order by id")
    return [row[0] for row in rows]


def _accept(project: Project) -> SourceResult:
    assert project._process is not None
    return project._process.load("run", accept="deletes")


def test_one_row_of_a_hundred_is_found_exactly(project: Project, run: Run) -> None:
    _put(run, *map(_row, range(ROWS)))
    assert not project.load(_node()).errors
    gone = sorted(random.Random(4).sample(range(ROWS), SHARE))
    _delete(run, gone)
    (load,) = project.load().loads
    assert (load.read, load.accepted) == (SHARE, SHARE)
    assert _tombstones(project) == gone
    assert project.sql(
        "select count(*) from raw_shop.lines t join raw_shop.lines v "
        "using (shop, id, amount, updated_at, _source) where t._deleted and v._deleted is null"
    ) == [(SHARE,)]
    assert _alive(project).keys() == set(range(ROWS)) - set(gone)
    assert not project.load().loads
    assert not project.load(afresh=True).loads
    project.check_books("shop")


def test_what_comes_back_is_alive_again(project: Project, run: Run) -> None:
    """At once where the watermark sees it, else at the next comparison; as it was or changed."""
    _put(run, *map(_row, range(100)))
    project.load(_node(lag="3 hours", max_deleted=0.7))
    _delete(run, list(range(60)))
    project.load()
    assert _tombstones(project) == list(range(60))
    long_ago = "2011-01-01 00:00:00+00"
    _put(run, _row(27), _row(55, 7))  # at the watermark's edge
    _put(run, *((f"O'{n % 7}", n, 9, None) for n in range(15, 20)))
    _put(run, *map(_row, range(10)))
    _put(run, *((f"O'{n % 7}", n, 8, long_ago) for n in range(10, 15)))
    first, second = project.load().loads
    assert (first.accepted, second.accepted) == (7, 15)
    back = {n: 1 if n < 10 else 8 if n < 15 else 9 for n in range(20)} | {27: 1, 55: 7}
    assert _alive(project) == back | dict.fromkeys(range(60, 100), 1)
    assert not project.load().loads
    _delete(run, [3, 12])
    project.load()
    assert _alive(project).keys() == back.keys() - {3, 12} | set(range(60, 100))
    died = "select amount from raw_shop.lines where _deleted and id = {} order by _load_number"
    assert project.sql(died.format(12)) == [(1,), (8,)], "of what stood, not of the newest time"
    project.check_books("shop")


@SQLITE
def test_lost_rows_are_healed(project: Project, run: Run) -> None:
    """Rows behind the watermark that no read ever saw: few by their keys, many by a whole read."""
    _put(run, *map(_row, range(0, 3000, 3)))
    project.load(_node())
    _put(run, ("odd \\ key", 5000, 1, "2011-01-01 00:00:00+00"))
    for numbers in (range(1, 30, 3), range(2, 3000, 3)):
        _put(run, *((*_row(n)[:3], "2011-01-01 00:00:00+00") for n in numbers))
        project.load()
    assert _alive(project).keys() == {*range(0, 3000, 3), *range(1, 30, 3), *range(2, 3000, 3),
                                      5000}  # fmt: skip
    assert not project.load().loads
    project.check_books("shop")


@SQLITE
def test_a_dead_letter_is_not_read_again_and_again(project: Project, run: Run) -> None:
    _put(run, *map(_row, range(9)), (*_row(9, -9)[:3], None))
    project.load(_node(max_dead=1))
    assert not project.load().loads
    assert not _tombstones(project)
    project.check_books("shop")


def _truncate(run: Run) -> None:
    """The database answers as though half of the table were all."""
    run("alter table lines rename to whole")
    run("create view lines as select * from whole where id % 2 = 0")


def _restore(run: Run) -> None:
    run("drop view lines")
    run("alter table whole rename to lines")


def test_a_truncated_read_deletes_nothing(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(run, *map(_row, range(1000)))
    project.load(_node())
    _truncate(run)
    (error,) = project.load().errors
    assert "500 of 1,000 rows of shop.lines are gone" in str(error)
    assert "max_deleted (10.0%)" in str(error)
    assert "millrace load shop.lines --accept-deletes" in str(error)
    assert project.load().errors, "it goes on asking"
    assert not _tombstones(project)
    _restore(run)
    assert not project.load().errors
    assert not _tombstones(project)

    _truncate(run)
    with monkeypatch.context() as off:
        off.setattr(comparing, "refuse_many", lambda *args: None)
        project.load()
    assert len(_tombstones(project)) == 500, "with the guard off it would have deleted"
    _restore(run)
    project.load()
    assert _alive(project).keys() == set(range(1000)), "and the next comparison mends it"
    project.check_books("shop")


@SQLITE
def test_rightly_gone_rows_are_accepted_once(project: Project, run: Run) -> None:
    _put(run, *map(_row, range(100)))
    project.load(_node(compare_every="1 day"))
    run("delete from lines where id >= 50")
    early = project.load()
    assert not early.loads
    assert not early.errors, "not due before a day has passed"
    (load,) = _accept(project).loads
    assert load.accepted == 50
    run("delete from lines where id >= 20")
    project.load(_node())
    assert len(_tombstones(project)) == 50, "the next one asks again"


@SQLITE
def test_an_empty_read_deletes_nothing(project: Project, run: Run) -> None:
    _put(run, *map(_row, range(100)))
    project.load(_node(max_deleted=1))
    run("delete from lines")
    (error,) = project.load().errors
    assert "100 of 100 rows" in str(error)
    assert not _tombstones(project)
    assert not _accept(project).errors
    assert _alive(project) == {}


def test_a_read_that_ends_with_a_fault_deletes_nothing(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source fails amid the keys, when many of them have come already."""
    _put(run, *map(_row, range(1000)))
    project.load(_node(max_deleted=1))
    monkeypatch.setattr(comparing, "refuse_many", lambda *args: None)
    _delete(run, [0])
    run("alter table lines rename to whole")
    bad = "json('{')" if "sqlite" in project.env["DB"] else "'x' || 1 / (id - id)"
    run("create view lines as select case when id = 990 then "
        f"{bad} else shop end as shop, id, amount, updated_at from whole")  # fmt: skip
    begun, inner = [], Comparer.compare
    monkeypatch.setattr(Comparer, "compare", lambda *a, **k: begun.append(1) or inner(*a, **k))
    result = project.load()
    assert result.errors
    assert begun, "the rows since the watermark are read: the fault is among the keys"
    assert not _tombstones(project)
    _restore(run)
    project.load()
    assert _tombstones(project) == [0]


def test_what_happens_while_keys_are_compared(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the read of new rows and before the comparison rows come, go, change and come back."""
    _put(run, *map(_row, range(50)))
    project.load(_node(max_deleted=0.5, lag="1 hour"))
    _delete(run, [1, 2])
    project.load()
    inner, dice = Comparer.compare, random.Random(3)

    def meanwhile(self: Comparer, turn: int, *args: Any, **kwargs: Any) -> Any:
        # were the watermark moved by what a comparison reads, the change at `now` would be lost
        now, later = (f"2017-02-0{1 + turn} {hour}:00:00+00" for hour in ("00", "09"))
        _put(run, _row(1), (*_row(100 + turn)[:3], later))
        _delete(run, [10 + turn])
        run(f"update lines set amount = 5, updated_at = '{now}' where id = {20 + turn}")
        found = inner(self, *args, **kwargs)
        _put(run, (*_row(200 + turn)[:3], now))
        _delete(run, [1, 30 + turn, 100 + dice.randrange(turn + 1)])
        return found

    for turn in range(4):
        with monkeypatch.context() as patched:
            patched.setattr(Comparer, "compare", partialmethod(meanwhile, turn))
            assert not project.load().errors
        project.check_books("shop")
    assert not project.load().errors
    url = project.env["DB"]
    assert _alive(project) == _at_source(url)
    assert not project.load().loads
    project.check_books("shop")


def _at_source(url: str) -> dict[int, int]:
    if url.startswith("postgres"):
        with psycopg.connect(url) as con:
            return dict(con.execute("select id, amount from lines").fetchall())
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as lite:
        return dict(lite.execute("select id, amount from lines").fetchall())


@SQLITE
def test_a_reader_without_keys_is_refused(project: Project, run: Run) -> None:
    _put(run, _row(1))
    node = _node()
    node["config"]["meta"]["ingest"]["backend"] = "sqlalchemy"
    result = project.load(node)
    assert "read through SQLAlchemy" in str(result.errors[0])
    assert [load.accepted for load in result.loads] == [1]


def test_declared_later_switched_off_and_on(project: Project, shop: Shop) -> None:
    shop.run("alter table lines add column shop")
    put = "insert into lines values (?, 1, '2017-01-01 00:00:00', 'a')"
    shop.run(put, *((n,) for n in range(20)))
    plain = _node()
    for word in ("deletes", "compare_every"):
        del plain["tables"][0]["config"]["meta"]["ingest"][word]
    project.load(plain)
    shop.run("delete from lines where id = 3")
    assert not project.load().loads
    project.load(_node())
    assert _tombstones(project) == [3]
    assert not project.load(plain).errors
    shop.run(put, (21,))
    assert not project.load().errors
    shop.run("delete from lines where id = 4")
    project.load(_node())
    assert _tombstones(project) == [3, 4]
    project.check_books("shop")


def test_when_a_comparison_is_due() -> None:
    now = datetime.now(UTC).replace(tzinfo=None)

    def due(every: timedelta | None, **ago: float) -> bool:
        given = {} if every is None else {"deletes": "compare", "compare_every": "3 hours"}
        ingest = TableIngest.model_validate(given)
        declared = Table(source="s", name="t", columns=(), ingest=ingest, where="")
        last = {"compared_at": (now - timedelta(**ago)).isoformat()} if ago else {}
        return is_due(declared, last, now)

    assert not due(None)
    three = timedelta(hours=3)
    assert due(three)
    assert due(three, hours=3)
    assert not due(three, hours=2.9)
    assert not due(three, seconds=0)
    assert due(three, hours=-1), "the clock was set back since"
