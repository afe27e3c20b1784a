"""Files of a drop: each taken once, whole, by what it says; what one is like harms no other."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from projects import Project, source, table

from ingest.declaration import Table
from ingest.readers import files
from ingest.readers.places import _Folder

IDS = {"id": "bigint"}


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def _node(drop: Path, *tables: dict[str, Any]) -> dict[str, Any]:
    return source("shop", *tables, kind="files", path=str(drop))


@pytest.mark.parametrize("window", [2, 4, 2_000_000])
def test_two_tables_of_the_same_files(project: Project, drop: Path, window: int) -> None:
    for i in range(6):
        (drop / f"f{i}.csv").write_text(f"id,v\n{2 * i},a\n{2 * i + 1},b\n")
    rest = {"files": "*.csv", "schema_contract": {"columns": "discard_value"}}
    node = _node(
        drop,
        table("ids", IDS, window=window, **rest),
        table("names", {"v": "varchar"}, **rest),
    )
    assert not project.load(node).errors
    assert project.raw("shop.ids") == [(i,) for i in range(12)]
    assert len(project.raw("shop.names")) == 12
    project.check_books("shop")


def test_equal_files_of_two_partitions_are_two_files(project: Project, drop: Path) -> None:
    for day in ("2017-01-01", "2017-01-02"):
        (drop / f"day={day}").mkdir()
        duckdb.execute(f"copy (select 1 as id) to '{drop}/day={day}/part.parquet'")
    node = _node(drop, table("lines", {**IDS, "day": "date"}, files="**/*.parquet"))
    assert not project.load(node).errors
    assert len(project.raw("shop.lines")) == 2
    (drop / "day=2017-01-02" / "again.parquet").write_bytes(
        (drop / "day=2017-01-02" / "part.parquet").read_bytes()
    )
    assert not project.load().errors
    assert len(project.raw("shop.lines")) == 2


def test_a_sign_in_a_files_own_name_means_nothing(project: Project, drop: Path) -> None:
    for name in ("run=1.csv", "run=2.csv"):
        (drop / name).write_text("id\n1\n")
    assert not project.load(_node(drop, table("lines", IDS, files="*.csv"))).errors
    assert project.raw("shop.lines") == [(1,)]


def test_files_of_two_shapes_keep_their_digits(project: Project, drop: Path) -> None:
    duckdb.execute(f"copy (select 9007199254740993::bigint as id) to '{drop}/a.parquet'")
    duckdb.execute(f"copy (select 5::double as id) to '{drop}/b.parquet'")
    assert not project.load(_node(drop, table("lines", IDS, files="*.parquet"))).errors
    assert project.raw("shop.lines") == [(5,), (9007199254740993,)]


def test_a_file_that_changes_while_it_is_read(
    project: Project, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (drop / "a.csv").write_text("id\n1\n2\n")
    (drop / "z.csv").write_text("id\n9\n")
    real = files.unpacked

    def replaced(table: Table, path: Path, scratch: Path) -> Any:
        if path.name == "a.csv":
            path.write_text("id\n3\n4\n5\n")
        return real(table, path, scratch)

    monkeypatch.setattr(files, "unpacked", replaced)
    (error,) = project.load(_node(drop, table("lines", IDS, files="*.csv"))).errors
    assert "a.csv: it changed while it was read" in str(error)
    monkeypatch.undo()
    (drop / "b.csv").write_text("id\n1\n2\n")
    assert not project.load().errors
    assert project.raw("shop.lines") == [(i,) for i in (1, 2, 3, 4, 5, 9)]
    project.check_books("shop")


def test_a_file_that_is_filled_between_listing_and_reading(
    project: Project, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (drop / "a.csv").write_text("")
    real = _Folder.fetch

    def filled(place: _Folder, found: Any) -> Any:
        (drop / found.name).write_text("id\n1\n2\n")
        return real(place, found)

    monkeypatch.setattr(_Folder, "fetch", filled)
    project.load(_node(drop, table("lines", IDS, files="*.csv")))
    monkeypatch.undo()
    assert not project.load().errors
    assert project.raw("shop.lines") == [(1,), (2,)]


def test_a_file_that_may_not_be_read_stops_no_other(
    project: Project, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (drop / f"{name}.csv").write_text(f"id\n{ord(name)}\n")
    real = _Folder.fetch

    def refused(place: _Folder, found: Any) -> Any:
        # root, who runs the tests on CI, may read every file
        if found.name == "a.csv":
            raise PermissionError(13, "Permission denied", found.name)
        return real(place, found)

    monkeypatch.setattr(_Folder, "fetch", refused)
    (error,) = project.load(_node(drop, table("lines", IDS, files="*.csv"))).errors
    assert "a.csv: Permission denied" in str(error)
    assert project.raw("shop.lines") == [(98,), (99,)]
    monkeypatch.undo()
    assert not project.load().errors
    assert project.raw("shop.lines") == [(97,), (98,), (99,)]
