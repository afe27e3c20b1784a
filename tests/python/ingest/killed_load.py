"""Loads that are killed: a process that forks a child for each, so that each begins at once.

    python killed_load.py     then, line by line:  ROOT POINT COUNT

The child loads the source of the project at ROOT, and at the COUNT-th pass through POINT it sends
itself SIGKILL. With POINT `none` it loads to the end, with `seconds` it is killed after COUNT
seconds. Each line is answered by the child's exit code, -9 for a killed one.
"""

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.load.load import Load
from dlt.pipeline.pipeline import Pipeline
from projects import Project

from ingest.batch import Checker
from ingest.compare import Comparer
from ingest.destination import Destination

BEFORE = {
    "check": (Checker, "check"),
    "compare": (Comparer, "compare"),
    "commit": (Destination, "commit"),
    "extract": (Pipeline, "extract"),
    "normalize": (Pipeline, "normalize"),
    "load": (Pipeline, "load"),
    "schema": (DuckDbClient, "update_stored_schema"),
    "job": (Load, "start_new_jobs"),
    "complete": (DuckDbClient, "complete_load"),
    "undo": (Destination, "_undo"),
    "tables": (Destination, "_make_tables"),
}
AFTER = {
    "job_done": (Load, "complete_jobs"),
    "completed": (DuckDbClient, "complete_load"),
    "compared": (Comparer, "compare"),
    "committed": (Destination, "commit"),
    "undone": (Destination, "_undo"),
}
POINTS = (*BEFORE, *AFTER)


def arm(point: str, count: int) -> None:
    """Wrap the method of that point."""
    owner, name = {**BEFORE, **AFTER}[point]
    inner: Callable[..., Any] = getattr(owner, name)
    passes = itertools.count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        last = next(passes) == count
        if last and point in BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*args, **kwargs)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


def _child(root: str, point: str, count: str) -> int:
    if point in POINTS:
        arm(point, int(count))
    result = Project(Path(root)).loader().load("killed")
    return len(result.errors)


def _serve() -> None:
    for line in sys.stdin:
        root, point, count = line.split("\t")
        child = os.fork()
        if not child:
            os._exit(_child(root, point, count))
        if point == "seconds":
            time.sleep(float(count))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
