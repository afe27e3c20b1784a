"""`python -m tests.bench load|ticks`: the benchmarks, as a table and as JSON."""

import argparse
import json
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import ingest
from tests.bench.measure import BenchError


def main() -> int:
    """Run what was asked for; 0 when it could be measured, whatever the figures are."""
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("--json", type=Path, help="also write every figure into this file")
    kinds = words.add_subparsers(dest="kind", required=True)
    load = kinds.add_parser("load", help="lineitem from PostgreSQL into DuckDB, side by side")
    load.add_argument("--scale", type=float, default=1.0, help="TPC-H's scale; 1 is 6 M rows")
    load.add_argument("--rounds", type=int, default=3)
    load.add_argument("--only", action="append", default=[], choices=list(ingest.WHAT))
    load.add_argument("--ingestr", default=shutil.which("ingestr"), help="its program")
    given = words.parse_args()
    console = Console()
    try:
        data = _load(given, console)
    except BenchError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    if given.json:
        given.json.write_text(json.dumps(data, indent=1))
    return 0


def _load(given: argparse.Namespace, console: Console) -> object:
    lines = ingest.run(given.scale, given.rounds, tuple(given.only), given.ingestr, console.print)
    made = Table(title=f"lineitem, scale {given.scale:g}, medians of {given.rounds}")
    for name in ("", "seconds", "× limit", "CPU s", "× limit", "server CPU s", "peak MiB"):
        made.add_column(name, justify="right" if name else "left")
    for row in ingest.table(lines):
        made.add_row(*row)
    console.print(made)
    for said in ingest.verdicts(lines):
        console.print(said)
    return {"cores": ingest.cores(), "load": ingest.as_json(lines)}


if __name__ == "__main__":
    sys.exit(main())
