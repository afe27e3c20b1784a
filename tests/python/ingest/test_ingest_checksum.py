"""The book keeps a checksum of what a load brought, and raw holds rows that come to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from projects import Project, Shop, source, table

from ingest import book, dead_letters
from ingest.checksum import sum_of
from ingest.destination import Destination
from ingest.raw_tables import BOOK

TYPES = {
    "id": "bigint",
    "small": "smallint",
    "tiny": "tinyint",
    "ratio": "double",
    "yes": "boolean",
    "day": "date",
    "hour": "time",
    "at": "timestamp",
    "zoned": "timestamptz",
    "price": "decimal(9,2)",
    "wide": "decimal(38,6)",
    "blob": "blob",
    "tags": "json",
    "name": "varchar",
}
ROW = (
    "select i::bigint as id, (i % 100)::smallint as small, (i % 100)::tinyint as tiny, "
    "case when i % 7 = 0 then 'nan'::double else -0.0 * i end as ratio, i % 2 = 0 as yes, "
    "date '1900-01-01' + i::integer as day, time '00:00:00' + i * interval 1 second as hour, "
    "timestamp '2017-01-01' + i * interval 1500 millisecond as at, "
    "timestamptz '2017-01-01 00:00:00+03' + i * interval 1 hour as zoned, "
    "(i / 100)::decimal(9,2) as price, (i / 7)::decimal(38,6) as wide, i::varchar::blob as blob, "
    "json_object('i', i) as tags, case when i % 3 > 0 then 'ä' || i end as name from range({}) t(i)"
)


@pytest.fixture
def drop(tmp_path: Path) -> tuple[Project, Path]:
    project, folder = Project(tmp_path / "project"), tmp_path / "drop"
    folder.mkdir()
    project.env["DROP"] = str(folder)
    return project, folder


def files(name: str = "things", **ingest: Any) -> dict[str, Any]:
    ingest = {"files": "*.parquet", "schema_contract": {"columns": "evolve"}, **ingest}
    return source("drop", table(name, TYPES, **ingest), kind="files", path="env:DROP")


def put(folder: Path, name: str, select: str) -> None:
    duckdb.sql(select).write_parquet(str(folder / name))


def test_raw_holds_every_type_as_it_was_accepted(drop: tuple[Project, Path]) -> None:
    project, folder = drop
    put(folder, "a.parquet", ROW.format(1000))
    assert not project.load(files()).errors
    project.check_books("drop")
    assert len(project.sums_in_book("drop")) == 1


def test_a_column_that_comes_later_changes_no_older_checksum(drop: tuple[Project, Path]) -> None:
    project, folder = drop
    put(folder, "a.parquet", ROW.format(10))
    assert not project.load(files()).errors
    before = project.sums_in_book("drop")
    put(folder, "b.parquet", f"select *, id * 2 as later from ({ROW.format(20)})")
    put(folder, "c.parquet", f"select * exclude (name) from ({ROW.format(30)})")
    assert not project.load().errors
    project.check_books("drop")
    after = project.sums_in_book("drop")
    assert {key: after[key] for key in before} == before
    assert len(after) == 2


def test_every_change_of_a_row_changes_the_sum(tmp_path: Path) -> None:
    columns = {"a": "BIGINT", "b": "BIGINT"}
    changes = (
        *("(1, 2), (3, 4)", "(1, 2)", "(1, 2), (3, 4), (3, 4)", "(2, 1), (3, 4)"),
        *("(1, 4), (3, 2)", "(1, 2), (3, null)", "(1, 2), (null, 3)", "(1, 2), (1, 2)"),
        *("(5, 5), (3, 4)", "(6, 6), (3, 4)"),
        "(3, 4), (1, 2)",
    )
    sums = []
    for number, rows in enumerate(changes):
        name = f"{number}.parquet"  # DuckDB may take a file for an older one of its name and size
        put(tmp_path, name, f"select a::bigint as a, b::bigint as b from (values {rows}) t(a, b)")
        with duckdb.connect() as con:
            sums.append(sum_of(con, [tmp_path / name], columns))
    assert sums[-1] == sums[0], "the order does not matter"
    assert len(set(sums)) == len(changes) - 1


def test_a_warehouse_of_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "project")
    shop = Shop(project, tmp_path)
    node = source("shop", table("lines", {"id": "bigint", "amount": "bigint"}, primary_key=["id"]),
                  kind="sql", url="env:DB")  # fmt: skip
    shop.put((1, 10, None), (2, "bad", None))
    with monkeypatch.context() as patch:
        inner, new = book.entry, ("checksum", "dead_checksum")
        for name in new:
            patch.delitem(BOOK, name)
        for module in (book, dead_letters):
            patch.setattr(
                module, "entry",
                lambda *a, **k: {n: v for n, v in inner(*a, **k).items() if n not in new},
            )  # fmt: skip
        assert not project.load(node).errors
    assert "checksum" not in [row[0] for row in project.sql("describe raw_shop._loads")]
    shop.put((3, 30, None))
    assert not project.load(afresh=True).errors
    sums = project.sql(
        "select checksum is null, dead_checksum is null from raw_shop._loads order by load_number"
    )
    assert sums == [(True, True), (False, False)]


def test_a_row_that_the_load_lost_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "project")
    shop = Shop(project, tmp_path)
    node = source("shop", table("lines", {"id": "bigint", "amount": "bigint"}, primary_key=["id"]),
                  kind="sql", url="env:DB")  # fmt: skip
    shop.put((1, 10, None), (2, 20, None))
    inner = Destination.commit

    def commit(self: Destination, number: int, parts: Any, states: Any) -> None:
        inner(self, number, parts, states)
        self._execute("update raw_shop.lines set amount = 21 where id = 2")

    monkeypatch.setattr(Destination, "commit", commit)
    assert not project.load(node).errors
    assert project.sums_in_raw("shop") != project.sums_in_book("shop")
