"""The state and the data agree, whatever became of either; nothing loaded is taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from projects import Project, Shop, source, table

COLUMNS = {"id": "bigint", "rev": "bigint", "updated_at": "timestamp"}


def _node(name: str = "shop", **ingest: Any) -> dict[str, Any]:
    given = {"primary_key": ["id"], "cursor": "updated_at", **ingest}
    node = source(name, table("lines", COLUMNS, **given), kind="sql", url="env:DB")
    return {**node, "schema": "raw_shop"}


@pytest.fixture
def loaded(project: Project, shop: Shop) -> Shop:
    """A shop of three rows in three loads."""
    for i in (1, 2, 3):
        shop.put((i, 10 * i, f"2017-01-0{i} 10:00:00"))
        assert not project.load(_node()).errors
    return shop


def test_a_source_under_another_name_takes_nothing_back(project: Project, loaded: Shop) -> None:
    before = project.sql("select * from raw_shop.lines order by id")
    (error,) = project.load(_node("store")).errors
    assert "3 loads of a source 'shop'" in str(error)
    assert project.sql("select * from raw_shop.lines order by id") == before
    loaded.put((4, 40, "2017-01-04 10:00:00"))
    assert not project.load(_node()).errors
    assert project.raw("shop.lines", "id, _load_number") == [(1, 1), (2, 2), (3, 3), (4, 4)]
    project.check_books("shop")


def test_a_clock_that_was_set_back(
    project: Project, loaded: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_clocks_back(monkeypatch, 3600)
    for i in (4, 5):
        loaded.put((i, 10 * i, f"2017-01-0{i} 10:00:00"))
        assert not project.load(afresh=True).errors
    monkeypatch.undo()
    loaded.put((6, 60, "2017-01-06 10:00:00"))
    assert not project.load(afresh=True).errors
    assert project.raw("shop.lines", "id, _load_number") == [(i, i) for i in range(1, 7)]
    (newest,) = project.sql("select _dlt_load_id from raw_shop._loads where load_number = 5")
    (oldest,) = project.sql("select _dlt_load_id from raw_shop._loads where load_number = 1")
    assert newest < oldest, "the clock was not set back"
    project.check_books("shop")


@pytest.mark.parametrize(
    "harm",
    [
        "delete from {states} where _dlt_load_id = {newest}",
        "delete from {states}",
        "update {states} set state = 'eJyr' where _dlt_load_id = {newest}",
        "update {states} set state = left(state, 40) where _dlt_load_id = {newest}",
        "update {states} set state = '' where _dlt_load_id = {newest}",
    ],
)
def test_a_state_that_is_lost_or_torn(project: Project, loaded: Shop, harm: str) -> None:
    newest = "(select _dlt_load_id from raw_shop._loads where load_number = 3)"
    _run(project, harm.format(states="raw_shop._dlt_pipeline_state", newest=newest))
    loaded.put((4, 40, "2017-01-04 10:00:00"))
    assert not project.load(afresh=True).errors
    assert project.raw("shop.lines", "id, _load_number") == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert not project.load(afresh=True).loads
    project.check_books("shop")


def test_a_raw_table_that_was_dropped_is_told(project: Project, loaded: Shop) -> None:
    _run(project, "drop table raw_shop.lines")
    (error,) = project.load(afresh=True).errors
    assert "lines of the schema 'raw_shop' is gone" in str(error)
    assert "drop the schema" in error.mend
    _run(project, "drop schema raw_shop cascade")
    assert not project.load(afresh=True).errors
    assert [row[0] for row in project.raw("shop.lines")] == [1, 2, 3]


def test_another_cursor_begins_anew(project: Project, shop: Shop) -> None:
    def node(cursor: str) -> dict[str, Any]:
        made = table("lines", {"id": "bigint", "amount": "bigint"}, primary_key="id", cursor=cursor)
        return source("shop", made, kind="sql", url="env:DB")

    shop.put((1000, 1, None), (2000, 2, None))
    assert not project.load(node("id")).errors
    shop.put((3000, 3, None))
    shop.run("update lines set amount = 4 where id = 1000")
    assert not project.load(node("amount")).errors
    rows = project.raw("shop.lines", "id, amount")
    assert rows == [(1000, 1), (1000, 4), (2000, 2), (3000, 3)]


def test_a_column_that_is_declared_now_is_there(project: Project, loaded: Shop) -> None:
    node = _node()
    node["tables"][0]["columns"].append({"name": "aisle", "data_type": "integer"})
    result = project.load(node)
    assert (result.errors, result.loads) == ([], [])
    kinds = "select data_type from duckdb_columns() where schema_name = 'raw_shop' and "
    assert project.sql(f"{kinds} column_name = 'aisle'") == [("INTEGER",)]
    loaded.run("alter table lines add column aisle integer")
    loaded.put((4, 40, "2017-01-04 10:00:00", 7))
    assert not project.load().errors
    assert project.raw("shop.lines", "id, aisle") == [(1, None), (2, None), (3, None), (4, 7)]
    assert project.raw("shop.lines", "_load_number") == [(1,), (2,), (3,), (4,)]


def _run(project: Project, sql: str) -> None:
    with duckdb.connect(str(project.warehouse)) as con:
        con.execute(sql)


def _set_clocks_back(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What dlt numbers its load packages by."""
    import sys

    from dlt.common.storages import load_package

    real: Callable[[], str] = load_package.create_load_id
    for name, module in list(sys.modules.items()):
        if name.startswith("dlt") and vars(module).get("create_load_id") is real:
            monkeypatch.setattr(module, "create_load_id", lambda: str(float(real()) - seconds))


def test_state_of_no_book_is_harmless(project: Project, tmp_path: Path) -> None:
    """A source that never brought anything has no book; its state is empty and stays so."""
    node = source("bare", table("lines", {"id": "bigint"}, files="*.csv"), kind="files",
                  path=str(tmp_path))  # fmt: skip
    assert not project.load(node).loads
    assert not project.load(afresh=True).errors
