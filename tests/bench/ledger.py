"""What the row ledger costs: its part of a first run of the sample's year, 1.47 million lines.

Processor time, for a run keeps all processors busy: of the queries of its nodes, each run once more
alone over what the run has left; and of the checksums over all rows of raw, which loads make in a
thread beside the loader's work. What dbt itself spends on a node is not in it.

The limit beside it: each copy of a row that is compared must be read once at least, and DuckDB's
own hash of a row is the cheapest look that shows a changed value.
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
from ingest.types import literal, quote
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
        limit: to read and hash each copy of a row once: as accepted (for which raw is read
            twice), in raw, in staging and in the marts.
    """

    rows: int
    wall: float
    cpu: float
    nodes: dict[str, float]
    checksums: float
    limit: float


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
            raw = _tables(con, "schema_name like 'raw\\_%' escape '\\'")
            rows = sum(con.execute(f"from {one} select count(*)").fetchall()[0][0] for one in raw)
            checksums = sum(
                _seconds(con, f"select sum({row_hash(columns)}::hugeint) from {one}")
                for one, columns in raw.items()
            )
            compared = [
                node["attached_node"].rsplit(".", 1)[-1]
                for node in manifest["nodes"].values()
                if _compares(node)
            ]
            staged = _tables(con, f"table_name in ({', '.join(map(literal, compared))})")
            limit = sum(
                _seconds(con, f"select bit_xor(hash({', '.join(map(quote, columns))})) from {one}")
                for tables in (raw, raw, staged)
                for one, columns in tables.items()
            )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Found(rows, cost.wall, cost.cpu, nodes, checksums, limit)


def _is_ledger(key: str, node: dict[str, Any]) -> bool:
    needs = [key, *node.get("depends_on", {}).get("nodes", ())]
    return _compares(node) or any(need.endswith(_MODELS) for need in needs)


def _compares(node: dict[str, Any]) -> bool:
    return (node.get("test_metadata") or {}).get("name") in _TESTS


def _tables(con: duckdb.DuckDBPyConnection, which: str) -> dict[str, dict[str, str]]:
    """Tables of rows by their whole names, each with its columns and their types."""
    found: dict[str, dict[str, str]] = {}
    for *name, column, kind in con.execute(
        "select database_name, schema_name, table_name, column_name, data_type "
        f"from duckdb_columns() where {which} and table_name not like '\\_%' escape '\\'"
    ).fetchall():
        found.setdefault(".".join(map(quote, name)), {})[column] = kind
    return found


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
        ["the limit: each copy read and hashed once", f"{found.limit:.2f}",
         f"{found.limit / found.cpu:.1%}"],
    ]  # fmt: skip


def as_json(found: Found) -> dict[str, Any]:
    """Every figure."""
    return asdict(found)
