"""Elementary's tables without Elementary's hooks, and its report.

Elementary's own hooks write row by row while dbt waits. ``fill`` loads the same rows from dbt's
artifacts after the run, in one transaction; what did not change is not written again.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import yaml

from ops import quality_artifacts, quality_results
from ops.quality_artifacts import Row
from ops.quality_report import Places, QualityError, report

__all__ = ["Filled", "QualityError", "fill", "ready", "report"]

SCHEMA = "elementary"
# Elementary's anomaly tests, and the variable with which their results are kept.
ANOMALY_TESTS = ("volume_anomalies", "freshness_anomalies", "column_anomalies")
KEEP_ANOMALIES = {"disable_tests_results": False}
SAMPLE_ROWS = 5


@dataclass(frozen=True)
class Filled:
    """What ``fill`` wrote: rows of artifacts that changed, rows of results, and its seconds."""

    artifacts: int
    results: int
    seconds: float


def ready(con: duckdb.DuckDBPyConnection, schema: str = SCHEMA) -> bool:
    """Whether Elementary's tables are there (`dbt run --select package:elementary` makes them)."""
    return {"dbt_models", "elementary_test_results"} <= _tables(con, schema).keys()


def end_of_data(
    con: duckdb.DuckDBPyConnection, watched: Iterable[tuple[str, str]], project: Path
) -> str | None:
    """The newest moment of what anomaly tests watch, where they would see nothing of it from now.

    They look back from now, by `days_back`. Data that ended before is of another time, as the
    sample's year is: from now it is all days without rows, which are normal one after the other.
    Data that ended since is live; if its newest days are empty, that is for the tests to see.

    Args:
        con: the warehouse, with the marts attached.
        watched: tables, and the column by which each has its time (UTC).
        project: the folder of `dbt_project.yml`, which says `days_back`.

    Returns:
        An ISO time without a zone, as Elementary's `custom_run_started_at` wants it, or None.
    """
    ends: list[datetime | None] = []
    for table, column in watched:
        # a table that no build has made yet has no end
        with contextlib.suppress(duckdb.CatalogException):
            ends += con.execute(f"select max({column})::timestamp from {table}").fetchone() or ()
    days = yaml.safe_load((project / "dbt_project.yml").read_text())["vars"]["days_back"]
    end = max((end for end in ends if end is not None), default=None)
    if end is None or end > datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days):
        return None
    return str(end.isoformat(timespec="seconds"))


def fill(
    con: duckdb.DuckDBPyConnection,
    places: Places,
    *,
    schema: str = SCHEMA,
    job: Mapping[str, str | None] | None = None,
    samples: int = SAMPLE_ROWS,
) -> Filled:
    """Loads dbt's artifacts into Elementary's tables, in one transaction.

    The rows of an invocation that is there already are not written again, so the same call may be
    repeated. Failed tests get up to ``samples`` of the rows that they found.

    Args:
        con: the warehouse, with everything attached that the tests read.
        places: the settings; ``artifacts`` is dbt's target folder.
        schema: where Elementary's tables are.
        job: ``job_name``, ``job_run_id`` and the like, for ``dbt_invocations``.

    Raises:
        QualityError: there is no ``manifest.json``, or Elementary's tables are not there.
    """
    start = time.perf_counter()
    folder = places.artifacts
    manifest = _read(folder / "manifest.json")
    if manifest is None:
        raise QualityError(f"{folder / 'manifest.json'} is missing: run `dbt build` first")
    tables = _tables(con, schema)
    if "dbt_models" not in tables:
        raise QualityError(
            f"schema {schema} lacks Elementary's tables: run `dbt run --select package:elementary`"
        )
    project = yaml.safe_load((places.project / "dbt_project.yml").read_text())
    database = con.execute("select current_database()").fetchall()[0][0]
    target = {
        "target_name": places.target,
        "target_database": database,
        "target_schema": "main",
        "elementary_version": _elementary_version(manifest, places.project),
    }
    nodes = {**manifest["nodes"], **manifest["sources"], **manifest["exposures"]}
    rows = quality_artifacts.artifacts(manifest, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
    new: dict[str, list[Row]] = {}
    for name, kind in (
        ("run_results.json", "dbt_run_results"),
        ("sources.json", "dbt_source_freshness_results"),
    ):
        artifact = _read(folder / name)
        if artifact is None or _known(con, schema, artifact["metadata"]["invocation_id"], kind):
            continue
        if name == "run_results.json":
            about = {row["unique_id"]: row for row in rows["dbt_tests"]}
            new[kind] = quality_results.runs(artifact, nodes)
            hooked = _hooked(con, schema, artifact["metadata"]["invocation_id"])
            found = quality_results.tests(artifact, nodes, about)
            new["elementary_test_results"] = [r for r in found if r["id"] not in hooked]
            new["test_result_rows"] = _samples(con, new["elementary_test_results"], samples)
        else:
            new[kind] = quality_results.freshness(artifact)
        whole = quality_results.invocation(artifact, project, target, job or {})
        if not _known(con, schema, whole["invocation_id"], "dbt_invocations"):
            new.setdefault("dbt_invocations", []).append(whole)
    con.execute("begin")
    try:
        changed = sum(_replace(con, schema, t, tables.get(t), r) for t, r in rows.items())
        added = sum(_append(con, schema, t, tables.get(t), r) for t, r in new.items())
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise
    return Filled(changed, added, time.perf_counter() - start)


def _replace(
    con: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    columns: dict[str, str] | None,
    rows: list[Row],
) -> int:
    """Makes a table of artifacts hold exactly these rows; touches only those that changed."""
    if columns is None:
        return 0
    stored = dict(con.execute(f"select unique_id, metadata_hash from {schema}.{table}").fetchall())
    wanted = {row["unique_id"]: row["metadata_hash"] for row in rows}
    gone = [key for key, digest in stored.items() if wanted.get(key) != digest]
    if gone:
        con.execute(f"delete from {schema}.{table} where list_contains($1, unique_id)", [gone])
    fresh = [row for row in rows if stored.get(row["unique_id"]) != row["metadata_hash"]]
    return len(gone) + _append(con, schema, table, columns, fresh)


def _append(
    con: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    columns: dict[str, str] | None,
    rows: list[Row],
) -> int:
    """Adds rows; a column that the table does not have is left out."""
    if not rows or columns is None:
        return 0
    names = [name for name in columns if name in rows[0]]
    shape = json.dumps([{name: columns[name] for name in names}])
    into = ", ".join(f'"{name}"' for name in names)
    what = into
    if "created_at" in columns:
        into, what = f"{into}, created_at", f"{what}, now() at time zone 'UTC'"
    # One JSON text and no Arrow: importing that costs more than the whole load.
    con.execute(
        f"""
        insert into {schema}.{table} ({into})
        select {what} from (select unnest(from_json($1, $2), max_depth := 2))
        """,
        [json.dumps(rows), shape],
    )
    return len(rows)


def _samples(con: duckdb.DuckDBPyConnection, tests: list[Row], limit: int) -> list[Row]:
    """Some of the rows that each failed test found, as rows of ``test_result_rows``."""
    rows: list[Row] = []
    for test in tests:
        if test["status"] not in ("fail", "warn") or not test["test_results_query"] or not limit:
            continue
        query = (
            f"select to_json(found) from (\n{test['test_results_query']}\n) as found limit {limit}"
        )
        try:
            found = con.execute(query).fetchall()
        except duckdb.Error:  # the table is gone since, or is not attached here
            continue
        for index, (text,) in enumerate(found, start=1):
            rows.append(
                {
                    "elementary_test_results_id": test["id"],
                    "result_row": text,
                    "detected_at": test["detected_at"],
                    "row_index": index,
                    "test_type": test["test_type"],
                }
            )
    return rows


def _known(con: duckdb.DuckDBPyConnection, schema: str, invocation: str, table: str) -> bool:
    query = f"select 1 from {schema}.{table} where invocation_id = ? limit 1"
    return con.execute(query, [invocation]).fetchone() is not None


def _hooked(con: duckdb.DuckDBPyConnection, schema: str, invocation: str) -> set[str]:
    """The tests whose results Elementary's own hook wrote: its anomaly tests need that hook."""
    query = (
        f"select test_execution_id from {schema}.elementary_test_results where invocation_id = ?"
    )
    return {row[0] for row in con.execute(query, [invocation]).fetchall()}


def _tables(con: duckdb.DuckDBPyConnection, schema: str) -> dict[str, dict[str, str]]:
    """The columns of Elementary's tables and their types, by table."""
    query = """
        select table_name, column_name, data_type from duckdb_columns()
        where database_name = current_database() and schema_name = ?
    """
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in con.execute(query, [schema]).fetchall():
        tables.setdefault(table, {})[column] = kind
    return tables


def _elementary_version(manifest: Mapping[str, Any], project: Path) -> str | None:
    path = project / "dbt_packages" / "elementary" / "dbt_project.yml"
    return str(yaml.safe_load(path.read_text())["version"]) if path.exists() else None


def _read(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_bytes())) if path.exists() else None
