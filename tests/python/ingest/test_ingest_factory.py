"""Our way to dlt's DuckDB: it says what dlt says, and brings all files of a table in at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from projects import Project, source, table

from ingest import factory
from ingest.destination import Destination
from ingest.errors import LoadError
from ingest.factory import DuckDb
from ingest.raw_tables import LOAD_COLUMNS, Part
from ingest.types import literal

FILES, ROWS = 5, 1_000


def test_it_can_do_what_dlt_says(tmp_path: Path) -> None:
    ours, its = (kind(str(tmp_path / "a.duckdb")) for kind in (DuckDb, dlt.destinations.duckdb))
    said = dict(its.capabilities())
    assert len(said) > 30
    assert dict(ours.capabilities()) == said
    assert ours.destination_type == its.destination_type
    assert ours.destination_name == its.destination_name
    assert ours.config_params == its.config_params


@pytest.fixture
def raw(project: Project) -> Iterator[Destination]:
    """The raw schema of `shop`, opened, and its database held."""
    declared = project.declare(
        source("shop", table("lines", {"id": "bigint"}), kind="sql", url="sqlite:///none")
    )
    made = Destination(declared, project.warehouse, project.root / "scratch")
    with made.connected():
        made.open({"lines": {"id": "BIGINT"}})
        yield made


def written(folder: Path, rows: int = ROWS, text: str = "'x'", files: int = FILES) -> list[Path]:
    """Files of one table in a folder whose name says something; the last has a column more."""
    folder = folder / "id=7"
    folder.mkdir()
    paths = [folder / f"it's [{nth}]*.parquet" for nth in range(files)]
    of_load = {name: f"null::{kind}" for name, kind in LOAD_COLUMNS.items()}
    of_load["_load_number"] = "1::bigint"
    own = ", ".join(f"{what} as {name}" for name, what in of_load.items())
    with duckdb.connect() as con:
        for nth, path in enumerate(paths):
            more = f", {text} as more" if nth == files - 1 or text != "'x'" else ""
            select = (
                f"select i as id, {own}{more} from range({nth * rows}, {(nth + 1) * rows}) t(i)"
            )
            con.execute(f"copy ({select}) to {literal(str(path))} (format parquet)")
    return paths


def load(raw: Destination, paths: list[Path]) -> int:
    """Bring them in as a load; dlt's jobs for that table."""
    kinds = {"id": "BIGINT", **LOAD_COLUMNS, "more": "VARCHAR"}
    raw.commit(1, [Part("lines", kinds, tuple(paths))], {})
    (package,) = raw._pipeline.last_trace.last_load_info.load_packages
    jobs = [job.job_file_info.table_name for job in package.jobs["completed_jobs"]]
    return jobs.count("lines")


def lines(raw: Destination, what: str = "id, more") -> list[tuple[Any, ...]]:
    rows = raw.arrow(f"select {what} from raw_shop.lines order by id").to_pylist()
    return [tuple(row.values()) for row in rows]


def statements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each statement that went well brought in."""
    seen: list[int] = []
    bring = factory._Files._bring

    def counted(self: Any, count: int) -> None:
        bring(self, count)
        seen.append(count)

    monkeypatch.setattr(factory._Files, "_bring", counted)
    return seen


def test_all_files_of_a_table_come_in_at_once(
    raw: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = statements(monkeypatch)
    assert load(raw, written(tmp_path)) == 1
    assert seen == [FILES]
    last = (FILES - 1) * ROWS
    assert lines(raw) == [(n, "x" if n >= last else None) for n in range(FILES * ROWS)]


def test_what_is_too_much_at_once_comes_in_file_by_file(
    raw: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of 19 kB: no group of rows is ever full, and DuckDB holds what is open in memory."""
    seen = statements(monkeypatch)
    text = "(select string_agg(md5((i * 1000 + j)::varchar), '') from range(600) r(j))"
    paths = written(tmp_path, 256, text, 24)
    assert raw._con is not None
    raw._con.execute("set memory_limit = '48MB'")
    assert load(raw, paths) == 1
    raw._con.execute("set memory_limit = '360MB'")
    assert seen == [1] * 24, "there was room for all"
    assert lines(raw, "id, length(more)") == [(n, 19_200) for n in range(24 * 256)]


def test_a_file_that_cannot_come_in_stops_the_load(
    raw: Destination, project: Project, tmp_path: Path
) -> None:
    """What came in of it is undone at the next start."""
    paths = written(tmp_path)
    with duckdb.connect() as con:
        con.execute(f"copy (select 'x' as id) to {literal(str(paths[-1]))} (format parquet)")
    with pytest.raises(LoadError, match="the destination did not take the load"):
        load(raw, paths)
    again = Destination(raw._source, project.warehouse, project.root / "scratch")
    again._con = raw._con
    again.open({"lines": {"id": "BIGINT"}})
    assert (again.finished, lines(again)) == (0, [])


def test_a_load_behind_an_unfinished_one_is_refused(raw: Destination, tmp_path: Path) -> None:
    paths = written(tmp_path)
    kept, paths[0] = paths[0].rename(tmp_path / "kept.parquet"), tmp_path / "gone.parquet"
    with duckdb.connect() as con:
        con.execute(f"copy (select 'x' as id) to {literal(str(paths[0]))} (format parquet)")
    with pytest.raises(LoadError):
        load(raw, paths)
    with pytest.raises(LoadError, match="unfinished"):
        load(raw, [kept])
