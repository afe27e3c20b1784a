"""The soak: `millrace stream` for half an hour, while it and its broker are killed at random.

Messages come at a steady rate, late ones, corrections and poison among them. In the end all that
was sent must be there once, and memory and files must not have grown with time.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from tests.bench import latency, measure, sales, topics
from tests.bench.measure import BenchError

KINDS = ("the stream", "the broker", "both", "the stream, by SIGTERM")
_LOOK = 5.0  # seconds

_PAGE = """# The soak

`make soak` wrote this page: {minutes:.0f} minutes of `millrace stream` at {rate:,} messages a
second, seed {seed}. Every 200th message corrects a sale, every 97th comes up to ten days late, and
every 1,000th is poison. Meanwhile processes were ended at random, and started again at once:

{ended}

| minutes | messages loaded | resident MiB, median and most | files | open files | disk MB |
|---|---|---|---|---|---|
{slices}

In the end, of {sent:,} messages:

| what | wanted | found |
|---|---|---|
{checks}

The published sales, to the cent, and the windows over them are what the messages leave; a recompute
of both is compared. The ledger is asked in every tick, and a tick that does not balance publishes
nothing. Disk grows because raw keeps every message.
"""


@dataclass
class Look:
    """How things stood at a moment.

    Attributes:
        at: seconds since the beginning.
        rows: rows in the published fact.
        resident: bytes of the stream's process; 0 while there is none.
        files: files below the home.
        opened: files that the process has open.
        disk: bytes below the home.
    """

    at: float
    rows: int
    resident: int
    files: int
    opened: int
    disk: int


@dataclass
class Soak:
    """A soak as it runs.

    Args:
        broker: the broker's object.
        home: of the stream.
        log: gets what the streams say.
        dice: throws what is killed, and when.
    """

    broker: Any
    home: Any
    log: Path
    dice: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    looks: list[Look] = field(default_factory=list)
    stream: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """A stream, where none is up."""
        if (
            self.stream is not None
            and self.stream.poll() is not None
            and self.stream.returncode > 0
        ):
            raise BenchError(
                f"it ended with {self.stream.returncode}: {self.log.read_text()[-1500:]}"
            )
        with self.log.open("a") as out:
            self.stream = self.home.begin("stream", "--log-json", into=out)

    def end(self) -> None:
        """End something at random, and start it again."""
        assert self.stream is not None
        kind = self.dice.choice(KINDS)
        if kind in ("the broker", "both"):
            self.broker.kill()
        if kind in ("the stream", "both"):
            self.stream.kill()
            self.stream.wait()
        if kind == KINDS[-1]:
            self.stop()
        if kind in ("the broker", "both"):
            self.broker.start()
        if kind != "the broker":
            self.start()
        self.ended[kind] += 1

    def stop(self) -> None:
        """End it in good order."""
        assert self.stream is not None
        self.stream.send_signal(signal.SIGTERM)
        if code := self.stream.wait(120):
            raise BenchError(f"told to end, it ended with {code}: {self.log.read_text()[-1500:]}")

    def look(self, at: float) -> None:
        """Note how things stand."""
        assert self.stream is not None
        resident = opened = 0
        proc = Path(f"/proc/{self.stream.pid}")
        with contextlib.suppress(OSError, IndexError):  # it has just been killed
            status = (proc / "status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) * 1024
            opened = len(list((proc / "fd").iterdir()))
        sizes = []
        for folder, _, names in os.walk(self.home.path):  # passes over what is gone meanwhile
            for name in names:
                with contextlib.suppress(OSError):
                    sizes.append((Path(folder) / name).stat().st_size)
        rows = latency.rows(self.home.snapshot)
        self.looks.append(Look(at, rows, resident, len(sizes), opened, sum(sizes)))


def run(minutes: float, rate: int, seed: int, tell: Callable[[str], None]) -> str:
    """Soak, check, and tell it as a page.

    Raises:
        BenchError: something is lost, twice or other than sent, or the stream ended by itself.
    """
    with (
        topics.started() as broker,
        tempfile.TemporaryDirectory(prefix="millrace-soak-") as at,
    ):
        folder = Path(at)
        home, begin = sales.opened(folder, broker.address)
        soak = Soak(broker, home, folder / "log", random.Random(seed))
        words = [broker.address, str(rate), str(minutes * 60), str(begin)]
        soak.start()
        sender = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.sales", *words],
            cwd=measure.ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            started = time.monotonic()
            next_end = soak.dice.uniform(10, 40)
            while sender.poll() is None:
                time.sleep(_LOOK)
                passed = time.monotonic() - started
                soak.look(passed)
                if passed > next_end and passed < minutes * 60 - 30:
                    soak.end()
                    next_end = passed + soak.dice.uniform(10, 40)
                    tell(
                        f"{passed:5.0f} s, {soak.ended.total()} ended, {soak.looks[-1].rows:,} rows"
                    )
            told, _ = sender.communicate()
            if sender.returncode:
                raise BenchError("the sender failed")
            end = int(told)
            assert soak.stream is not None
            latency.until(
                lambda: latency.rows(home.snapshot) == latency.wanted(end), soak.stream, soak.log
            )
            soak.look(time.monotonic() - started)
            soak.stop()
        finally:
            sender.kill()
            if soak.stream is not None:
                soak.stream.kill()
        latency.check(home.snapshot, end)
        checks = _checks(home.warehouse, end)
        return _page(minutes, rate, seed, soak, end, checks)


def _checks(warehouse: Path, count: int) -> list[tuple[str, int, int]]:
    """What, wanted, found."""
    poison = sum(1 for n in range(count) if sales.is_poison(n))
    raw, book = (
        "raw_shop.sales",
        "raw_shop._loads join raw_shop._dlt_loads on load_id = _dlt_load_id",
    )
    asked = [
        ("rows in raw", count - poison, f"select count(*) from {raw}"),
        (
            "different messages among them",
            count - poison,
            f"select count(distinct (_topic, _partition, _offset)) from {raw}",
        ),
        ("dead letters", poison, "select count(*) from raw_shop._dead_letters"),
        (
            "different ones among them",
            poison,
            "select count(distinct _source) from raw_shop._dead_letters",
        ),
        ("accepted, by the book", count - poison, f"select sum(rows_accepted) from {book}"),
        ("dead, by the book", poison, f"select sum(rows_dead) from {book}"),
    ]
    with duckdb.connect(str(warehouse), read_only=True) as con:
        found = [(what, n, int(con.execute(sql).fetchall()[0][0])) for what, n, sql in asked]
    if wrong := [each for each in found if each[1] != each[2]]:
        raise BenchError(f"not as sent: {wrong}")
    return found


def _page(
    minutes: float, rate: int, seed: int, soak: Soak, sent: int, checks: list[tuple[str, int, int]]
) -> str:
    step = max(1.0, minutes / 6)
    lines = []
    for nth in range(6):
        here = [look for look in soak.looks if nth * step <= look.at / 60 < (nth + 1) * step]
        alive = [look.resident / 2**20 for look in here if look.resident]
        if not alive:
            continue
        last = here[-1]
        lines.append(
            f"| {nth * step:.0f} to {(nth + 1) * step:.0f} | {last.rows:,} | "
            f"{median(alive):,.0f}, {max(alive):,.0f} | {last.files:,} | "
            f"{max(look.opened for look in here)} | {last.disk / 1e6:,.0f} |"
        )
    return _PAGE.format(
        minutes=minutes,
        rate=rate,
        seed=seed,
        sent=sent,
        ended="\n".join(f"- {kind}: {soak.ended[kind]} times" for kind in KINDS),
        slices="\n".join(lines),
        checks="\n".join(f"| {what} | {wanted:,} | {found:,} |" for what, wanted, found in checks),
    )
