"""What it costs to be able to rewind: the sample day by day, and a point kept after each run.

`python -m tests.bench points` calls this module as a process of its own:
`python -m tests.bench.points HOME DAYS`, with MILLRACE_HOME as HOME. Its last line is JSON.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import measure
from tests.bench.measure import BenchError

FIRST = date(2017, 3, 1)


def run(days: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure so many deliveries, each a day's, and a rewind to the first and back.

    Raises:
        BenchError: a run or a rewind failed.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-points-") as home:
        log = Path(home) / "bench.log"
        tell(f"the sample, {days} days from {FIRST}, a run and a point each")
        words = [sys.executable, "-m", "tests.bench.points", home, str(days)]
        extra = {"MILLRACE_HOME": home, "MILLRACE_KEEP_RUNS": str(days)}
        measure.run(words, log, extra)
        found: dict[str, Any] = json.loads(log.read_text().strip().splitlines()[-1])
    if bad := [day["code"] for day in found["days"] if day["code"]]:
        raise BenchError(f"runs ended with {bad}")
    return found


def main(home: Path, days: int) -> None:
    """Deliver, run, keep, day by day; then go to the first point and back."""
    import sample
    from ops import rewind, settings
    from ops.history import History
    from ops.log import Log
    from ops.run import Runner
    from ops.steps import STEPS

    here = settings.load()
    log, runner = Log(), Runner(here, Log())
    steps = tuple(step.name for step in STEPS if step.name != "freshness")
    retailer = sample.Retailer(here.sample_home)
    retailer.start(FIRST)
    told: list[dict[str, Any]] = []
    with sample.services(here.sample_home):
        for day in range(days):
            if day:
                retailer.advance(1)
            ran = _timed(lambda: runner.run(steps, "bench", thorough=False))
            before = _disk(here.history)
            kept = _timed(lambda: rewind.keep(here))
            told.append({
                "code": ran.pop("result").code, "run": ran, "bytes": kept.pop("result").bytes,
                "keep": kept, "stored": _disk(here.history) - before,
            })  # fmt: skip
        points = History(here.history).points()
        there = []
        for point in (points[0], points[-1]):
            log.run_id = f"bench-{point.name}"
            gone = _timed(partial(rewind.rewind, here, log, point.name))
            told[0]["code"] |= gone.pop("result").code
            there.append(gone)
    print(json.dumps({"days": told, "rewinds": there, "disk": _disk(here.history)}))


def _timed(work: Callable[[], Any]) -> dict[str, Any]:
    cpu, begun = _cpu(), time.monotonic()
    result = work()
    return {"result": result, "seconds": time.monotonic() - begun, "cpu": _cpu() - cpu}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _disk(folder: Path) -> int:
    """Bytes on the disk, in whole blocks."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def table(found: dict[str, Any]) -> list[list[str]]:
    """The rows of the table: day, run, keeping, the share that it adds, size, what it stored."""
    return [
        [
            str(number),
            f"{day['run']['seconds']:.1f} s, CPU {day['run']['cpu']:.1f}",
            f"{day['keep']['seconds']:.2f} s, CPU {day['keep']['cpu']:.2f}",
            f"{day['bytes'] / 1e6:,.0f}",
            f"{day['stored'] / 1e6:,.0f}",
            f"{day['keep']['seconds'] / day['bytes'] * 1e9:.2f}",
        ]
        for number, day in enumerate(found["days"], 1)
    ]


def verdicts(found: dict[str, Any]) -> list[str]:
    """What it comes to."""
    size, back = found["days"][-1]["bytes"], found["rewinds"][0]["seconds"]
    count = len(found["days"])
    whole = sum(day["bytes"] for day in found["days"])
    return [
        f"{count} points take {found['disk'] / 1e6:,.0f} MB, {found['disk'] / size:.1f} × the "
        f"files in use; as {count} copies they would take {whole / 1e6:,.0f} MB",
        f"a rewind takes {back:.1f} s for {size / 1e6:,.0f} MB, published marts and all",
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
