"""The publish benchmark: what a publish costs for a growing history and the same change.

Marts of so many times their history; each round brings 10 000 new lines and a day's sums, and then
each contender makes a new file of them that readers could open. Where the file system shares blocks
a copy writes none: the second table is on XFS, in a file that is mounted for as long as it takes.
"""

import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from ops import publish
from tests.bench.measure import BenchError

LINES, NEW = 500_000, 10_000
"""Lines of a history of 1, and the new ones of each round."""

_IMAGE = 6 << 30
_LINES = (
    "select range as line_id, range // 9 as basket_id, range % 2000 as product_id, "
    "date '2017-01-01' + (range // 4000)::integer as day, "
    "(hash(range) % 10000 / 100)::decimal(10, 2) as amount, md5(range::varchar) as reference "
    "from range({}, {})"
)


class SkippedError(Exception):
    """There is no such file system to be had here; the message says why."""


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and bytes that the file system was given to write."""

    seconds: float
    written: int


def run(folder: Path, times: int, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure every contender for one size of history.

    Args:
        folder: where to work; on the file system that is to be measured.
        times: 1 is half a million lines.
        rounds: each contender so often, in turn; the medians count.
        tell: called with each line of progress.

    Raises:
        BenchError: a contender's file does not hold what it should.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-publish-", dir=folder) as made:
        place, marts = Path(made), Path(made) / "marts.duckdb"
        _change(marts, 0, LINES * times)
        took: dict[str, list[Took]] = {name: [] for name in CONTENDERS}
        for number in range(rounds + 1):
            rows = LINES * times + NEW * (number + 1)
            _change(marts, rows - NEW, rows)
            for name, contend in CONTENDERS.items():
                one = _timed(partial(contend, marts, place))
                if number:  # the first round warms up
                    took[name].append(one)
            _compare(place, rows)
        size = marts.stat().st_size
    found = {
        name: {
            "seconds": statistics.median(one.seconds for one in all_of),
            "written": statistics.median(one.written for one in all_of),
        }
        for name, all_of in took.items()
    }
    tell(f"history × {times}, {size / 1e6:,.0f} MB: {found['millrace publish']['seconds']:.2f} s")
    return {"times": times, "bytes": size, "took": found}


def _change(marts: Path, begin: int, end: int) -> None:
    """Lines from `begin` to `end`, and a small mart anew."""
    with duckdb.connect(marts) as con:
        con.execute(f"create table if not exists lines as {_LINES.format(0, 0)}")
        con.execute(f"insert into lines {_LINES.format(begin, end)}")
        con.execute(
            "create or replace table days as select day, sum(amount) as amount from lines "
            f"where line_id >= {end - NEW} group by all"
        )


def _publish(marts: Path, place: Path) -> None:
    publish.publish(marts, place / "published")


def _cp(marts: Path, place: Path) -> None:
    copy = str(place / "cp.duckdb")
    subprocess.run(["cp", "--reflink=auto", str(marts), copy], check=True)
    subprocess.run(["sync", copy], check=True)


def _copy_database(marts: Path, place: Path) -> None:
    (place / "copied.duckdb").unlink(missing_ok=True)
    with duckdb.connect() as con:
        con.execute(f"attach '{marts}' as here (read_only)")
        con.execute(f"attach '{place / 'copied.duckdb'}' as there")
        con.execute("copy from database here to there")


def _export(marts: Path, place: Path) -> None:
    shutil.rmtree(place / "exported", ignore_errors=True)
    with duckdb.connect(marts, read_only=True) as con:
        con.execute(f"export database '{place / 'exported'}' (format parquet)")
    subprocess.run(["sync", *map(str, (place / "exported").iterdir())], check=True)


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {
    "millrace publish": _publish,
    "cp --reflink, sync": _cp,
    "COPY FROM DATABASE": _copy_database,
    "EXPORT DATABASE, Parquet": _export,
}


def _timed(work: Callable[[], None]) -> Took:
    before, begun = _written(), time.monotonic()
    work()
    return Took(time.monotonic() - begun, _written() - before)


def _written() -> int:
    """Bytes that this process and its ended children gave to file systems."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return 512 * sum(resource.getrusage(who).ru_oublock for who in whose)


def _compare(place: Path, rows: int) -> None:
    for name in (f"published/{publish.SNAPSHOT}", "cp.duckdb", "copied.duckdb"):
        with duckdb.connect(place / name, read_only=True) as con:
            found = con.execute("select count(*) from lines").fetchall()[0][0]
        if found != rows:
            raise BenchError(f"{name} holds {found:,} lines, not {rows:,}")


@contextmanager
def sharing_blocks() -> Iterator[Path]:
    """A folder on XFS, which shares blocks between a file and its copy; gone afterwards.

    Raises:
        SkippedError: it takes root, `mkfs.xfs` and a loop device.
    """
    if os.geteuid() != 0 or shutil.which("mkfs.xfs") is None:
        raise SkippedError("no XFS to measure: it takes root and mkfs.xfs (package xfsprogs)")
    with tempfile.TemporaryDirectory(prefix="millrace-xfs-") as made:
        image, folder = Path(made) / "image", Path(made) / "mounted"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(_IMAGE)
        for command in (
            ["mkfs.xfs", "-q", "-m", "reflink=1", str(image)],
            ["mount", "-o", "loop", str(image), str(folder)],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SkippedError(f"no XFS to measure: {done.stderr.strip()}")
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or it stays mounted
        try:
            yield folder
        finally:
            signal.signal(signal.SIGTERM, before)
            subprocess.run(["umount", str(folder)], check=True)


def kind_of(folder: Path) -> str:
    """The file system that a folder is on."""
    done = subprocess.run(
        ["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


def table(found: list[dict[str, Any]]) -> list[list[str]]:
    """The rows of the table: what, and for each history seconds, MB written and seconds a GB."""
    rows = []
    for name in CONTENDERS:
        took = [one["took"][name] for one in found]
        cells = [f"{each['seconds']:.2f} s, {each['written'] / 1e6:,.0f} MB" for each in took]
        rows.append([name, *cells, f"{took[-1]['seconds'] / found[-1]['bytes'] * 1e9:.2f}"])
    return rows
