"""The tick benchmark: what `millrace run` costs when nothing is new, and when 10 000 lines are.

The sample at its year's end, its history so many times over; then `millrace run` from a cold start
with nothing new, and the loop of `millrace run --every` in one process.
"""

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import measure
from tests.bench.measure import BenchError, Cost

Tick = dict[str, Any]


def run(
    times: int, ticks: int, rows: int, keep: Path | None, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Measure at `times` the sample's year of lines.

    Args:
        times: 1 is 1.47 M lines.
        ticks: idle ones and busy ones; the medians count, without the first busy one, in which
            dbt and DuckDB still warm up.
        rows: new lines of a busy tick.
        keep: a folder to work in that stays, and is taken up again; None for a throw-away one.
        tell: called with each line of progress.

    Raises:
        BenchError: a run failed.
    """
    home = (keep or Path(tempfile.mkdtemp(prefix="millrace-ticks-"))).absolute()
    home.mkdir(parents=True, exist_ok=True)
    log, extra = home / "bench.log", {"MILLRACE_HOME": str(home)}
    millrace = [sys.executable, "-m", "ops.cli", "run"]
    try:
        if not (home / "published" / "marts.duckdb").exists():
            tell(f"the tills with {times} × their history")
            measure.run([sys.executable, "-m", "tests.bench.history", str(home), str(times)], log)
            first = measure.run([*millrace, "--quick-report"], log, extra)
            tell(f"the first run took {_said(first)}")
        measure.run(millrace, log, extra)
        cold = measure.run(millrace, log, extra)
        tell(f"cold, nothing new: {_said(cold)}")
        ticker = [sys.executable, "-m", "tests.bench.ticker", str(home), str(ticks)]
        measure.run([*ticker, str(ticks + 1), str(rows)], log, extra)
        told: list[Tick] = json.loads(log.read_text().strip().splitlines()[-1])
    finally:
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)
    if bad := [error for tick in told for error in tick["errors"]]:
        raise BenchError(bad[0])
    busy = [tick for tick in told if tick["kind"] == "busy"]
    if any(tick["rows"] != rows for tick in busy):
        raise BenchError(f"a tick read {[tick['rows'] for tick in busy]} rows, not {rows} each")
    return {
        "times": times,
        "rows": rows,
        "cold": vars(cold),
        "idle": _middle([tick for tick in told if tick["kind"] == "idle"]),
        "busy": _middle(busy[1:]),
        "ticks": told,
    }


def _middle(ticks: list[Tick]) -> dict[str, float]:
    return {key: statistics.median(tick[key] for tick in ticks) for key in ("seconds", "cpu")}


def _said(cost: Cost) -> str:
    return f"{cost.wall:.1f} s, cpu {cost.cpu:.1f} s, peak {cost.peak / 2**20:,.0f} MiB"


def table(found: dict[str, Any]) -> list[list[str]]:
    """The rows of the table: what, seconds by the clock, of processor, the aim."""
    cold, idle, busy = found["cold"], found["idle"], found["busy"]
    return [
        ["cold run, nothing new", f"{cold['wall']:.1f}", f"{cold['cpu']:.1f}", "≤ 10"],
        ["tick, nothing new", f"{idle['seconds']:.2f}", f"{idle['cpu']:.2f}", "≤ 0.5"],
        [
            f"tick, {found['rows']:,} new lines",
            f"{busy['seconds']:.2f}",
            f"{busy['cpu']:.2f}",
            "≤ 5",
        ],
        *([f"  {name}", f"{seconds:.2f}", "", ""] for name, seconds in _steps(found).items()),
    ]


def _steps(found: dict[str, Any]) -> dict[str, float]:
    """The median seconds of each step of the busy ticks that count."""
    seconds: dict[str, list[float]] = {}
    for tick in [tick for tick in found["ticks"] if tick["kind"] == "busy"][1:]:
        for name, took in tick["steps"]:
            seconds.setdefault(name, []).append(took)
    return {name: statistics.median(all_of) for name, all_of in seconds.items()}


def nodes(found: dict[str, Any], count: int) -> list[list[str]]:
    """The slowest dbt nodes of the last busy tick: name, kind, seconds (several run at once)."""
    last = found["ticks"][-1]["nodes"][:count]
    return [[name, kind, f"{seconds:.2f}"] for kind, name, seconds in last]
