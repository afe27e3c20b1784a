"""Elementary's tables from artifacts are those that its own hooks write; its report is whole."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from planted import SCHEMA, World

from ops import quality

KEYS = {
    "dbt_models": "unique_id",
    "dbt_snapshots": "unique_id",
    "dbt_seeds": "unique_id",
    "dbt_tests": "unique_id",
    "dbt_sources": "unique_id",
    "dbt_exposures": "unique_id",
    "dbt_groups": "unique_id",
    "dbt_columns": "unique_id",
    "dbt_run_results": "model_execution_id",
    "dbt_invocations": "invocation_id",
    "elementary_test_results": "id",
}
# The hash is of our own making, times are those of the results and not of their upload, and a
# test or source without a description of its own gets our words. The macros of a singular test are
# known when it has run: dbt's artifacts hold them, its hooks do not see them yet.
DIFFERS = {
    "": {"generated_at", "created_at", "detected_at", "metadata_hash", "run_completed_at"},
    "dbt_tests": {"description", "depends_on_macros"},
    "dbt_sources": {"freshness_description"},
    "dbt_invocations": {"threads"},
}


def _copy(world: World, folder: Path) -> duckdb.DuckDBPyConnection:
    """A copy of a world's warehouse, under its own name: artifacts say it."""
    path = folder / world.warehouse.name
    shutil.copy(world.warehouse, path)
    return duckdb.connect(str(path))


def _rows(con: duckdb.DuckDBPyConnection, table: str, key: str) -> dict[str, dict[str, Any]]:
    found = con.execute(f"from {table}")
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row[key]: row for row in rows}


def _plain(value: Any) -> Any:
    """JSON text as what it says."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _expected(value: Any) -> Any:
    """What must be found: seconds to some microseconds, for the column holds 4-byte floats."""
    return pytest.approx(value, abs=2e-6) if isinstance(value, float) else _plain(value)


def test_rows_are_those_of_elementarys_hooks(real: World, tmp_path: Path) -> None:
    con = _copy(real, tmp_path)
    con.execute("create schema hooks")
    for table in KEYS:
        con.execute(f"create table hooks.{table} as from {SCHEMA}.{table}")
        con.execute(f"delete from {SCHEMA}.{table}")
    filled = quality.fill(con, real, schema=SCHEMA)
    assert filled.artifacts > 150
    compared = 0
    for table, key in KEYS.items():
        hooks, ours = _rows(con, f"hooks.{table}", key), _rows(con, f"{SCHEMA}.{table}", key)
        assert ours.keys() == hooks.keys(), table
        assert len(hooks) > 0, table
        leave = DIFFERS[""] | DIFFERS.get(table, set())
        for name, row in hooks.items():
            expected = {k: _expected(v) for k, v in row.items() if k not in leave}
            assert {k: _plain(ours[name][k]) for k in expected} == expected, name
            compared += len(expected)
    assert compared > 5000


def test_filling_again_writes_nothing_and_costs_little(stand_in: World, tmp_path: Path) -> None:
    con = _copy(stand_in, tmp_path)
    first = quality.fill(con, stand_in, schema=SCHEMA)
    again = quality.fill(con, stand_in, schema=SCHEMA)
    assert first.artifacts > 100
    assert first.results > 200
    assert (again.artifacts, again.results) == (0, 0)
    con.execute(f"delete from {SCHEMA}.dbt_run_results")
    con.execute(f"delete from {SCHEMA}.dbt_models")
    assert quality.fill(con, stand_in, schema=SCHEMA).seconds < 1


def test_only_what_changed_is_written(stand_in: World, tmp_path: Path) -> None:
    con = _copy(stand_in, tmp_path)
    quality.fill(con, stand_in, schema=SCHEMA)
    artifacts = tmp_path / "project" / "target"
    shutil.copytree(stand_in.artifacts, artifacts)
    world = World(tmp_path / "project", stand_in.edr)
    shutil.copy(stand_in.home / "dbt_project.yml", world.home)
    manifest = json.loads((artifacts / "manifest.json").read_text())
    manifest["nodes"]["model.planted.good"]["description"] = "Other words."
    manifest["exposures"].clear()
    (artifacts / "manifest.json").write_text(json.dumps(manifest))
    results = json.loads((artifacts / "run_results.json").read_text())
    results["metadata"]["invocation_id"] = "another"
    (artifacts / "run_results.json").write_text(json.dumps(results))
    before = con.execute(f"select count(*) from {SCHEMA}.elementary_test_results").fetchall()[0][0]
    filled = quality.fill(con, world, schema=SCHEMA)
    assert filled.artifacts == 3  # a row out, a row in, a row gone for good
    words = f"select description from {SCHEMA}.dbt_models where name = 'good'"
    assert con.execute(words).fetchall() == [("Other words.",)]
    after = con.execute(f"select count(*) from {SCHEMA}.elementary_test_results").fetchall()[0][0]
    assert after == 2 * before


def test_failed_tests_keep_some_of_their_rows(stand_in: World, tmp_path: Path) -> None:
    con = _copy(stand_in, tmp_path)
    quality.fill(con, stand_in, schema=SCHEMA, samples=2)
    kept = con.execute(f"""
        select any_value(r.status), count(*), any_value(result_row)
        from {SCHEMA}.test_result_rows join {SCHEMA}.elementary_test_results as r
            on r.id = elementary_test_results_id
        where r.test_name like '%to_be_between_bad_digit__9__0' group by r.id
    """).fetchall()
    assert kept == [("fail", 2, '{"is_met":false}')]


@pytest.mark.parametrize(
    ("ages", "set_back"),
    [
        ([5000], True),
        ([31, 40], True),
        ([27], False),
        ([0], False),
        ([5000, 3], False),
        ([], False),
    ],
)
def test_the_clock_is_set_back_only_for_data_of_another_time(
    tmp_path: Path, ages: list[int], set_back: bool
) -> None:
    """A feed that stopped some days ago is live: its empty days must be seen."""
    (tmp_path / "dbt_project.yml").write_text("vars: {days_back: 28}")
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    with duckdb.connect() as con:
        con.execute("create table none_yet (sold_at timestamp)")
        for number, age in enumerate(ages):
            con.execute(
                f"create table t{number} as select ?::timestamp as sold_at", [_ago(now, age)]
            )
        watched = {(f"t{number}", "sold_at") for number in range(len(ages))} | {
            ("none_yet", "sold_at")
        }
        end = quality.end_of_data(con, watched, tmp_path)
    assert end == (_ago(now, min(ages)).isoformat() if set_back else None)


def _ago(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)


def test_without_elementarys_tables_it_says_what_to_run(stand_in: World) -> None:
    with pytest.raises(quality.QualityError, match="dbt run --select package:elementary"):
        quality.fill(duckdb.connect(), stand_in)


def _report(world: World, edr: Path) -> dict[str, Any]:
    """The data of a report, made in a process of its own as a run does after its build."""
    code = """
import sys
from pathlib import Path
import duckdb
from planted import SCHEMA, World
from ops import quality
world = World(Path(sys.argv[1]), Path(sys.argv[2]))
con = duckdb.connect(str(world.warehouse))
quality.fill(con, world, schema=SCHEMA)
con.close()
print(quality.report(world, world.home / "site" / "quality.html", edr=world.edr))
"""
    here = Path(__file__).parents[1]
    path = f"{here}:{here.parents[1]}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.home), str(edr)],
        env=world.environment() | {"PYTHONPATH": path},
        cwd=world.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    page = (world.home / "site" / "quality.html").read_text()
    assert "window.elementaryData" in page
    assert '<head><meta http-equiv="Content-Security-Policy"' in page
    assert 'href="https://fonts' not in page
    found = json.loads((world.artifacts / "edr" / "elementary_output.json").read_text())
    found.pop("creation_time")
    return dict(found)


def test_stand_ins_make_the_whole_report(stand_in: World) -> None:
    found = _report(stand_in, stand_in.edr)
    assert len(found["tests"]) >= 77
    assert {"model.planted.good", "source.planted.shop.good"} <= found["models"].keys()
    assert found["models"]["model.planted.good"]["owners"] == ["data team", "till team"]
    results = [r["metadata"] for rows in found["test_results"].values() for r in rows]
    assert {"pass", "fail", "warn"} <= {r["latest_run_status"] for r in results}
    assert len(found["model_runs"]) >= 4
    nodes = {node["id"] for node in found["lineage"]["nodes"]}
    assert {"model.planted.bad", "exposure.planted.wall"} <= nodes
    assert found["env"]["project_name"] == "planted"
    assert found["tracking"] is None


def _unordered(value: Any) -> Any:
    """Lists as if they were sets: rows of the same second come in any order."""
    if isinstance(value, dict):
        return {key: _unordered(part) for key, part in value.items()}
    if isinstance(value, list):
        return sorted(
            (_unordered(part) for part in value), key=lambda p: json.dumps(p, default=str)
        )
    return value


def test_stand_ins_report_what_the_real_package_reports(real: World, stand_in: World) -> None:
    """The same warehouse, asked through the real macros and through ours."""
    ours, theirs = _report(real, stand_in.edr), _report(real, real.edr)
    assert len(json.dumps(theirs)) > 100_000
    assert _unordered(ours) == _unordered(theirs)


def test_plain_edr_report_works_with_stand_ins(stand_in: World, tmp_path: Path) -> None:
    """The command as a user gives it; only the place of edr's own dbt project is another."""
    (tmp_path / "config.yml").write_text(
        "anonymous_usage_tracking: false\ndisable_elementary_version_check: true\n"
    )
    code = f"""
from elementary.config.config import Config
Config.DEFAULT_CONFIG_DIR = {str(tmp_path)!r}
Config.__init__.__defaults__ = ({str(tmp_path)!r}, *Config.__init__.__defaults__[1:])
from elementary.monitor import dbt_project_utils
dbt_project_utils.CLI_DBT_PROJECT_PATH = {str(stand_in.edr)!r}
from elementary.cli.cli import cli
cli(["report", "--profiles-dir", ".", "--open-browser", "false"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=stand_in.home,
        env=stand_in.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert (stand_in.home / "edr_target" / "elementary_report.html").stat().st_size > 1_000_000
