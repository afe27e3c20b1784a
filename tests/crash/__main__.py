"""`python -m tests.crash`: the whole matrix, or some of its jobs."""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.client import PATHS, ROOT

PAGE = ROOT / "docs" / "crash-matrix.md"


def main() -> int:
    """Run, tell, and write the page when all was run."""
    sys.path[:0] = map(str, PATHS)
    from tests.crash import matrix
    from tests.crash.report import written
    from tests.crash.retailer import Way
    from tests.crash.scenario import Scenario

    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("jobs", nargs="*", help=f"some of: {', '.join(matrix.names())}")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", type=Path, help="where the page goes when not all jobs are run")
    given = parser.parse_args()
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {line}", flush=True)

    def after(outcome: matrix.Outcome) -> None:
        if page:
            written(outcome, page, f"{Scenario.in_a_row} (in whole runs {Way.in_a_row})")

    page = given.page or (None if given.jobs else PAGE)
    say(f"seed {given.seed}")
    chosen = given.jobs or matrix.names()
    with tempfile.TemporaryDirectory(prefix="millrace-crash-") as folder:
        outcome = matrix.run(chosen, Path(folder), given.seed, given.workers, say, after)
    wrong = [line for tally in outcome.tallies for line in tally.wrong] + outcome.faults
    if not given.jobs:
        wrong += [f"nothing happened at {point}" for point in outcome.untouched()]
    for line in wrong:
        print(line)
    say(f"{sum(tally.fired for tally in outcome.tallies)} fired, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
