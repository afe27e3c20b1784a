"""What the row ledger costs: its part of a first run of the sample's year, 1.47 million lines.

Processor time, for a run keeps all processors busy: of the queries of its nodes, each run once more
alone over what the run has left; and of the checksums over all rows of raw, which loads make in a
thread beside the loader's work. What dbt itself spends on a node is not in it.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingest.checksum import row_hash
from ingest.types import quote
from tests.bench import measure

_MODELS = ("ops_load_ledger", "ops_row_ledger")
_TESTS = ("staged_from", "carried_over")


@dataclass(frozen=True)
class Found:
    """Seconds.

    Attributes:
        rows: in raw.
        wall: of the run, by the clock.
        cpu: of the run, processor; those that follow are as well.
        nodes: of the ledger's nodes, by name.
        checksums: of raw's rows.
    """

    rows: int
    wall: float
    cpu: float
    nodes: dict[str, float]
    checksums: float


def run(tell: Callable[[str], None]) -> Found:
    """Measure it.

    Raises:
        BenchError: the run failed.
    """
    home = Path(tempfile.mkdtemp(prefix="millrace-ledger-"))
    log = home / "bench.log"
    try:
        measure.run([sys.executable, "-m", "tests.bench.history", str(home), "1"], log)
        tell("the first run of a year")
        millrace = [sys.executable, "-m", "ops.cli", "run", "--quick-report"]
        cost = measure.run(millrace, log, {"MILLRACE_HOME": str(home)})
        manifest = json.loads((home / "target" / "manifest.json").read_bytes())
        with duckdb.connect(str(home / "warehouse" / "millrace_dev.duckdb"), read_only=True) as con:
            con.execute(f"attach '{home / 'warehouse' / 'marts_dev.duckdb'}' as marts (read_only)")
            nodes = {
                node["name"]: _seconds(con, (home / node["compiled_path"]).read_text("utf-8"))
                for key, node in manifest["nodes"].items()
                if _is_ledger(key, node)
            }
            rows, checksums = _checksums(con)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Found(rows, cost.wall, cost.cpu, nodes, checksums)


def _is_ledger(key: str, node: dict[str, Any]) -> bool:
    test = (node.get("test_metadata") or {}).get("name")
    needs = [key, *node.get("depends_on", {}).get("nodes", ())]
    return test in _TESTS or any(need.endswith(_MODELS) for need in needs)


def _checksums(con: duckdb.DuckDBPyConnection) -> tuple[int, float]:
    """All rows of raw, and the seconds of processor that their checksums take."""
    tables: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in con.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where schema_name like 'raw\\_%' escape '\\' and table_name not like '\\_%' escape '\\'"
    ).fetchall():
        tables.setdefault(f"{quote(schema)}.{quote(table)}", {})[column] = kind
    rows, seconds = 0, 0.0
    for name, columns in tables.items():
        rows += con.execute(f"from {name} select count(*)").fetchall()[0][0]
        seconds += _seconds(con, f"select sum({row_hash(columns)}::hugeint) from {name}")
    return rows, seconds


def _seconds(con: duckdb.DuckDBPyConnection, sql: str) -> float:
    begun = time.process_time()
    con.execute(sql).fetchall()
    return time.process_time() - begun


def table(found: Found) -> list[list[str]]:
    """The rows of the table: what, seconds, share of the run's processor."""
    nodes = sum(found.nodes.values())
    return [
        ["the run, by the clock", f"{found.wall:.1f}", ""],
        ["the run, processor", f"{found.cpu:.1f}", ""],
        *([f"  {name}", f"{seconds:.2f}", ""] for name, seconds in sorted(found.nodes.items())),
        ["the ledger's nodes", f"{nodes:.2f}", f"{nodes / found.cpu:.1%}"],
        [f"checksums of {found.rows:,} rows", f"{found.checksums:.2f}",
         f"{found.checksums / found.cpu:.1%}"],
    ]  # fmt: skip


def as_json(found: Found) -> dict[str, Any]:
    """Every figure."""
    return asdict(found)
