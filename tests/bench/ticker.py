"""The loop of `millrace run --every`, tick by tick in one process, told as JSON on one line.

`python -m tests.bench.ticker HOME IDLE BUSY ROWS`: IDLE ticks that find nothing new, then BUSY ones
that find ROWS new lines each. MILLRACE_HOME must be HOME.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

from tests.bench import history


def main() -> None:
    """Tick; the last line of the output is the result."""
    import sample
    from ops import settings
    from ops.log import Log
    from ops.run import Runner
    from ops.steps import STEPS

    home, idle, busy, rows = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    here = settings.load()
    steps = tuple(step.name for step in STEPS if step.name != "freshness")
    ticks: list[dict[str, Any]] = []
    with sample.services(here.sample_home):
        runner = Runner(here, Log())
        first = _tick(runner, steps, "first", here.warehouse)
        ticks.append(first)
        for _ in range(idle):
            ticks.append(_tick(runner, steps, "idle", here.warehouse))
        for _ in range(busy):
            history.sell(home, rows)
            ticks.append(_tick(runner, steps, "busy", here.warehouse))
    print(json.dumps(ticks))


def _tick(runner: Any, steps: tuple[str, ...], kind: str, warehouse: Path) -> dict[str, Any]:
    cpu, begun = _cpu(), time.monotonic()
    summary = runner.run(steps, "bench", thorough=False)
    tick: dict[str, Any] = {"kind": kind, "seconds": time.monotonic() - begun}
    tick["cpu"] = _cpu() - cpu
    tick["code"], tick["errors"] = summary.code, summary.errors
    tick["rows"] = sum(load.read for load in summary.loads)
    with duckdb.connect(str(warehouse)) as con:
        tick["steps"] = con.execute(
            "select step, epoch(finished_at - started_at) from millrace.steps where run_id = ? "
            "order by started_at",
            [summary.run_id],
        ).fetchall()
        tick["nodes"] = con.execute(
            "select resource_type, node_name, execution_seconds from millrace.node_results "
            "where run_id = ? order by execution_seconds desc",
            [summary.run_id],
        ).fetchall()
    return tick


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
