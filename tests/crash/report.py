"""Writes what came of the matrix as `docs/crash-matrix.md`."""

from collections import Counter
from pathlib import Path
from statistics import median

from tests.crash.coverage import EXCEPTIONS
from tests.crash.engine import Tally
from tests.crash.matrix import Outcome, names

_HEAD = """# The crash matrix

`make crash-test` wrote this page. Whatever dies, whenever: the same command again makes it right.

Each command of a scenario is killed where its code does something that lasts, just before and just
after, up to {row} times in a row, recoveries included, or at random moments; or it meets an I/O
error, a full disk, the loss of its scratch folder, a stop. Then it is typed again until it ends
well, and everything is compared with what the source is known to hold: raw in one query for each
table (total, distinct, greatest; all rows besides), dead letters, one finished entry for each load,
the state, balanced books, and for the sample its own oracle's fates and marts. What readers see is
compared after every single disturbance.

The points are found in the code of `ingest/` and `ops/`, and stand in no product code: a
statement without a case fails `make test`. How a scenario is added: `tests/crash/__init__.py`.

{summary}

| case | times run | that fired | rows checked | points passed before, after | result | seed |
|---|---|---|---|---|---|---|
"""

_POINTS = """
## The points

How many disturbances took place before and after each durable statement; one without any fails the
run. dbt's models and snapshots count when they have ended, but for most of Elementary's, which are
empty tables made alike.

```text
{points}
```

## Without a case

| statements | why |
|---|---|
{exceptions}
"""


def written(outcome: Outcome, path: Path, in_a_row: str) -> None:
    """Write the page; it says where not all jobs have been run."""
    tallies = sorted(outcome.tallies, key=lambda tally: tally.case)
    fired = sum(tally.fired for tally in tallies)
    rows = sum(tally.rows for tally in tallies)
    wrong = sum(len(tally.wrong) for tally in tallies) + len(outcome.faults)
    summary = (
        f"{fired:,} disturbances at {len(outcome.points):,} points and at random moments, "
        f"{rows:,} rows checked, {wrong or 'nothing'} found wrong; "
        f"{outcome.seconds / 60:.0f} minutes, seed {outcome.seed}."
    )
    if missing := [name for name in names() if name not in outcome.jobs]:
        summary += f"\n\nNot run, so not shown: {', '.join(missing)}."
    lines = [_line(tally) for tally in tallies]
    exceptions = [f"| `{start.rstrip(':. ')}` | {why} |" for start, why in EXCEPTIONS.items()]
    page = _HEAD.format(row=in_a_row, summary=summary) + "\n".join(lines) + "\n"
    page += _POINTS.format(points=_points(outcome.points), exceptions="\n".join(exceptions))
    path.write_text(page)


def _line(tally: Tally) -> str:
    spans = ""
    if tally.before and tally.after:
        spans = f"{median(tally.before):.0f}, {median(tally.after):.0f}"
    result = "red, as it must be" if tally.red else "well"
    if tally.wrong:
        result = f"{len(tally.wrong)} WRONG"
    counts = (tally.times, tally.fired or "", tally.rows or "")
    return f"| {' | '.join(map(str, (tally.case, *counts, spans, result, tally.seed)))} |"


def _points(points: Counter[str]) -> str:
    calls = dict.fromkeys(point.rpartition(" (")[0] for point in sorted(points))
    return "\n".join(
        f"{points[f'{call} (before)']:4} {points[f'{call} (after)']:4}  {call}" for call in calls
    )
