"""Our way to dlt's DuckDB: it says what dlt says, and brings all files of a table in at once."""

from __future__ import annotations

from pathlib import Path

import dlt
import duckdb
import pytest
from projects import Project, source, table

from ingest.destination import Destination
from ingest.errors import LoadError
from ingest.factory import DuckDb
from ingest.raw_tables import LOAD_COLUMNS, Part
from ingest.types import literal

FILES, ROWS = 5, 40_000


def test_it_can_do_what_dlt_says(tmp_path: Path) -> None:
    ours, its = (kind(str(tmp_path / "a.duckdb")) for kind in (DuckDb, dlt.destinations.duckdb))
    said = dict(its.capabilities())
    assert len(said) > 30
    assert dict(ours.capabilities()) == said
    assert ours.destination_type == its.destination_type
    assert ours.destination_name == its.destination_name
    assert ours.config_params == its.config_params


def loaded(project: Project, folder: Path) -> int:
    """A load of some files of one table, the last with a column more; dlt's jobs for that table."""
    declared = project.declare(
        source("shop", table("lines", {"id": "bigint"}), kind="sql", url="sqlite:///none")
    )
    folder.mkdir()
    paths = [folder / f"it's [{nth}]*.parquet" for nth in range(FILES)]
    load = ", ".join(f"null::{kind} as {name}" for name, kind in LOAD_COLUMNS.items())
    with duckdb.connect() as con:
        for nth, path in enumerate(paths):
            more = ", 'x' as more" if nth == FILES - 1 else ""
            rows = f"select i as id, {load}{more} from range({nth * ROWS}, {(nth + 1) * ROWS}) t(i)"
            con.execute(f"copy ({rows}) to {literal(str(path))} (format parquet)")
    raw = Destination(declared, project.warehouse, project.root / "scratch")
    with raw.connected():
        raw.open({"lines": {"id": "BIGINT"}})
        kinds = {"id": "BIGINT", **LOAD_COLUMNS, "more": "VARCHAR"}
        raw.commit(1, [Part("lines", kinds, tuple(paths))], {})
        (package,) = raw._pipeline.last_trace.last_load_info.load_packages
    jobs = [job.job_file_info.table_name for job in package.jobs["completed_jobs"]]
    return jobs.count("lines")


def test_all_files_of_a_table_come_in_at_once(project: Project, tmp_path: Path) -> None:
    assert loaded(project, tmp_path / "batches") == 1
    assert project.sql("select id, more from raw_shop.lines order by id") == [
        (n, "x" if n >= (FILES - 1) * ROWS else None) for n in range(FILES * ROWS)
    ]


def test_a_file_that_is_gone_stops_the_load(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Destination.commit

    def without_one(self: Destination, number: int, parts: list[Part], states: object) -> None:
        if number:
            parts[0].files[-1].unlink()
        commit(self, number, parts, {})

    monkeypatch.setattr(Destination, "commit", without_one)
    with pytest.raises(LoadError):
        loaded(project, tmp_path / "batches")
    assert project.sql("select count(*) from raw_shop.lines") == [(0,)]
