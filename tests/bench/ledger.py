"""What the row ledger costs: its part of a first run of the sample's year, 1.47 million lines.

Its nodes' own seconds, all added up though several run at once; and the processor time of the
checksums over all rows of raw, which loads make in a thread beside the loader's work.
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
    """Seconds of the run by the clock and of processor, of the ledger's nodes, of the checksums.

    Attributes:
        rows: in raw.
        nodes: name to seconds.
        checksums: seconds of processor.
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
            took = con.execute(
                "select unique_id, node_name, execution_seconds from millrace.node_results"
            ).fetchall()
            nodes = {
                name: seconds
                for key, name, seconds in took
                if _is_ledger(key, manifest["nodes"].get(key, {}))
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
    rows, begun = 0, time.process_time()
    for name, columns in tables.items():
        found = con.execute(f"select count(*), sum({row_hash(columns)}::hugeint) from {name}")
        rows += found.fetchall()[0][0]
    return rows, time.process_time() - begun


def table(found: Found) -> list[list[str]]:
    """The rows of the table: what, seconds, share of the run's."""
    nodes = sum(found.nodes.values())
    return [
        ["the run, by the clock", f"{found.wall:.1f}", ""],
        ["the run, processor", f"{found.cpu:.1f}", ""],
        *([f"  {name}", f"{seconds:.2f}", ""] for name, seconds in found.nodes.items()),
        ["the ledger's nodes", f"{nodes:.2f}", f"{nodes / found.wall:.1%} of the clock"],
        [f"checksums of {found.rows:,} rows", f"{found.checksums:.2f}",
         f"{found.checksums / found.cpu:.1%} of the processor"],
    ]  # fmt: skip


def as_json(found: Found) -> dict[str, Any]:
    """Every figure."""
    return asdict(found)
