"""Whole processes, measured from outside: wall time, processor time and the peak of memory."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Without its compiled modules every start of Python takes two seconds more, which no user pays.
_UNUSUAL = ("PYTHONDONTWRITEBYTECODE",)
# No part of any contender reports to its maker, and none waits for an address it cannot reach.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "ANONYMOUS_TRACKING_ENABLED": "false",
    "INGESTR_DISABLE_TELEMETRY": "true",
    "DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds by the clock, seconds of processor, peak bytes resident."""

    wall: float
    cpu: float
    peak: int


class BenchError(Exception):
    """A contender failed, or lost rows."""


def run(command: Sequence[str], log: Path, extra: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end and measure it and all of its children.

    Args:
        command: the command and its words.
        log: gets what the process says.
        extra: variables on top of this process's environment.

    Raises:
        BenchError: it ended with an error; the last lines of its log are given.
    """
    usual = {name: value for name, value in os.environ.items() if name not in _UNUSUAL}
    with log.open("wb") as out:
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**usual, **_QUIET, **(extra or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace").strip()[-1500:]
        raise BenchError(f"{' '.join(command[:4])} … ended with {process.returncode}:\n{said}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure; the greatest peak."""
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        max(cost.peak for cost in costs),
    )


def children_seconds(pid: int) -> float:
    """Processor seconds of the ended children of a process (Linux; 0 where it cannot be read)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def parent_of(pid: int) -> int:
    """The parent of a process (Linux; 0 where it cannot be read)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
