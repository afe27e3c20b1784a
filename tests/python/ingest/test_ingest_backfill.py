"""A stretch of the cursor read again: what was missed comes in once, and nothing else moves."""

from pathlib import Path
from typing import Any

import pytest
import resources_for_tests
from projects import Project, Shop, source, table

from ingest.declaration import Source
from ingest.load import SourceResult
from ingest.readers.stretch import Stretch, StretchError, named, stretch_of

COLUMNS = {
    "id": {"data_type": "bigint", "required": True},
    "amount": {"data_type": "integer", "check": "amount >= 0"},
    "updated_at": "timestamp",
}
DAYS = ["2017-01-01", "2017-01-02", "2017-01-08", "2017-01-09"]
TIMES = ["2017-01-31T11:59:59", "2017-01-31T12:00:00Z", "2017-01-31 23:59", "2017-02-01",
         "2017-01-31T23:30:00-05:00"]  # fmt: skip


def _node(columns: dict[str, Any] = COLUMNS, **ingest: Any) -> dict[str, Any]:
    given = {"primary_key": ["id"], "cursor": "updated_at", "max_dead": 1, **ingest}
    return source("shop", table("lines", columns, **given), kind="sql", url="env:DB")


def _stretch(declared: Source, low: str, high: str, chunk: str | None = None) -> Stretch:
    return stretch_of(declared, declared.tables[0], low, high, chunk)


def _backfill(project: Project, low: str, high: str, chunk: str | None = None) -> SourceResult:
    loader = project.loader()
    asked = _stretch(loader.source, low, high, chunk)
    result = loader.backfill(loader.source.tables[0], asked, "run")
    assert not result.errors
    return result


def _state(project: Project) -> dict[str, Any]:
    loader = project.loader()
    loader.dead_letters()
    assert loader._destination is not None
    return loader._destination.state(loader.source.tables[0])


def _ranges(project: Project) -> list[tuple[str | None, str | None]]:
    return project.sql("select cursor_from, cursor_to from raw_shop._loads order by load_number")


def _january(shop: Shop, days: range, first: int = 0, amount: int = 1) -> None:
    shop.put(*((first + day, amount, f"2017-01-{day:02} 10:00:00") for day in days))


@pytest.fixture
def lost(project: Project, shop: Shop) -> Shop:
    """Ten days are loaded; then a late row of every day comes, one without a time, a bad one."""
    _january(shop, range(1, 11))
    shop.put((50, 1, None))
    project.load(_node())
    _january(shop, range(1, 11), first=100)
    shop.put((60, 1, None), (70, -1, "2017-01-02 10:00:00"))
    shop.run("update lines set amount = 9 where id = 3")
    project.load()
    # the late row of the last day is at the edge, and what has no time is always read
    assert [row[0] for row in project.raw("shop.lines")] == [*range(1, 11), 50, 60, 110]
    return shop


def test_lost_rows_come_in(project: Project, lost: Shop) -> None:
    before = _state(project)
    lost.put((80, 1, None))
    result = _backfill(project, "2017-01-02", "2017-01-05 10:00", chunk="2d")
    assert [load.accepted for load in result.loads] == [3, 1]
    assert [load.dead for load in result.loads] == [1, 0]
    assert _ranges(project)[2:] == [
        ("2017-01-02 00:00:00", "2017-01-04 00:00:00"),
        ("2017-01-04 00:00:00", "2017-01-05 10:00:00"),
    ]
    rows = project.raw("shop.lines", "id, amount")
    assert [row for row in rows if row[0] in (3, *range(50, 110))] == [
        (3, 1), (3, 9), (50, 1), (60, 1), (102, 1), (103, 1), (104, 1),
    ]  # fmt: skip
    assert {**_state(project), "backfill": None} == {**before, "backfill": None}
    assert _state(project)["backfill"] is None
    project.check_books("shop")

    assert not _backfill(project, "2017-01-01", "2017-01-01 10:00:00").loads  # half-open
    assert not _backfill(project, "2017-01-02", "2017-01-05 10:00", chunk="1d").loads
    assert [load.read for load in project.load(afresh=True).loads] == [1]  # the one without a time
    assert not project.load().loads
    project.check_books("shop")


def test_without_a_chunk_a_load_has_a_windows_rows(project: Project, lost: Shop) -> None:
    project.declare(_node(window=5))
    result = _backfill(project, "2017-01-01", "2017-02-01")
    assert sum(load.accepted for load in result.loads) == 10
    assert len(result.loads) >= 4
    rows = project.raw("shop.lines")
    assert len(set(rows)) == len(rows) == 23
    project.check_books("shop")


def test_another_stretch_begins_anew(
    project: Project, lost: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = project.loader()
    (made,) = loader.source.tables
    asked = _stretch(loader.source, "2017-01-01", "2017-01-13", "3d")
    with monkeypatch.context() as patched:
        patched.setattr("ingest.loading.book.too_many_dead", lambda checked: 1 / 0)
        assert loader.backfill(made, asked, "run").errors
    assert asked.left(_state(project)).low == "2017-01-04 00:00:00"
    assert "goes on at 2017-01-04" in asked.goes_on(_state(project))
    assert asked.left({}) == asked
    other = _stretch(loader.source, "2017-01-01", "2017-01-14", "3d")
    assert other.left(_state(project)) == other
    _backfill(project, "2017-01-01", "2017-01-14", "3d")
    assert any("is given up for this one" in line for line in project.lines)
    assert len(project.raw("shop.lines")) == 23
    project.check_books("shop")


@pytest.mark.parametrize(
    ("kind", "low", "high", "chunk", "values", "found"),
    [
        ("bigint", "2", "7", "2", [1, 2, 3, 6, 7, 8], [2, 3, 6]),
        ("decimal(10,2)", "1.5", "9", "2.5", [1.25, 1.5, 8.75, 9], [1.5, 8.75]),
        ("date", "2017-01-02", "2017-01-09", "1w", DAYS, DAYS[1:3]),
        ("varchar", "b", "d", None, ["a", "b", "cc", "d"], ["b", "cc"]),
        ("timestamp", "2017-01-31 12:00", "2017-02-01", "6h", TIMES, TIMES[1:3]),
    ],
)  # fmt: skip
def test_cursors_of_all_types(
    project: Project, tmp_path: Path, kind: str, low: str, high: str, chunk: str | None,
    values: list[Any], found: list[Any],
) -> None:  # fmt: skip
    types = {"bigint": "integer", "decimal(10,2)": "real"}
    shop = Shop(project, tmp_path, f"id integer, amount integer, updated_at {types.get(kind, '')}")
    project.declare(_node({**COLUMNS, "updated_at": kind}))
    shop.put(*((number, 1, value) for number, value in enumerate(values)))
    _backfill(project, low, high, chunk)
    rows = [row[0] for row in project.raw("shop.lines")]
    assert rows == [values.index(value) for value in found]
    assert "cursor" not in _state(project)
    project.check_books("shop")
    if kind == "bigint":  # the first ordinary read still brings all
        project.load(afresh=True)
        assert [row[0] for row in project.raw("shop.lines")] == list(range(len(values)))


def test_a_dlt_resource(project: Project) -> None:
    resources_for_tests.numbered[:] = [{"number": i} for i in (5, 6)]
    made = table("lines", {"number": "bigint"}, primary_key="number", cursor="number",
                 resource="count")  # fmt: skip
    project.load(source("shop", made, kind="dlt", function="resources_for_tests:count"))
    resources_for_tests.numbered[:0] = [{"number": i} for i in range(5)]
    result = _backfill(project, "1", "6", "2")
    assert [load.accepted for load in result.loads] == [2, 2]
    assert [row[0] for row in project.raw("shop.lines")] == [1, 2, 3, 4, 5, 6]
    project.check_books("shop")


@pytest.mark.parametrize(
    ("kind", "low", "high", "chunk", "said"),
    [
        ("timestamp", "yesterday", "2017-01-02", None, "--from yesterday: shop.lines has the curs"),
        ("timestamp", "2017-01-02", "2017-13-01", None, "write it as 2017-01-31"),
        ("timestamp", "2017-01-02", "2017-01-02", None, "does not come before --to"),
        ("timestamp", "2017-01-03", "2017-01-02", None, "does not come before --to"),
        ("timestamp", "2017-01-01", "2017-01-02", "7", "--chunk 30m, 12h, 7d or 4w"),
        ("timestamp", "2017-01-01", "2017-01-02", "0d", "--chunk 30m, 12h, 7d or 4w"),
        ("timestamp", "0001-01-01", "9999-01-01", "1h", "10,000 at most"),
        ("date", "2017-01-01 10:00", "2017-01-02", None, "a day"),
        ("date", "2017-01-01", "2017-01-03", "12h", "--chunk 7d or 4w"),
        ("bigint", "1.5", "9", None, "a whole number"),
        ("bigint", "nan", "9", None, "a whole number"),
        ("bigint", "1", "9", "7d", "--chunk 100000"),
        ("bigint", "1", "9", "0", "--chunk 100000"),
        ("bigint", "9", "10", None, None),
        ("double", "9", "10.5", "0.5", None),
        ("varchar", "a", "b", "1", "leave --chunk away"),
    ],
)
def test_words_that_name_no_stretch(
    project: Project, kind: str, low: str, high: str, chunk: str | None, said: str | None
) -> None:
    declared = project.declare(_node({**COLUMNS, "updated_at": kind}))
    if said is None:
        _stretch(declared, low, high, chunk)
        return
    with pytest.raises(StretchError) as error:
        _stretch(declared, low, high, chunk)
    assert said in str(error.value)


def test_tables_that_cannot(project: Project) -> None:
    declared = project.declare(_node(cursor=None))
    with pytest.raises(StretchError, match="no cursor"):
        _stretch(declared, "1", "2")
    for word in ("shop.line", "lines", "shop"):
        with pytest.raises(StretchError, match=r"did you mean 'shop\.lines'"):
            named((declared,), word)
    drop = table("lines", {"id": "bigint"}, cursor="id", files="*.csv")
    drop = source("drop", drop, kind="files", path=".")
    with pytest.raises(StretchError, match="have the files sent again"):
        _stretch(project.declare(drop), "1", "2")
