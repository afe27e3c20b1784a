"""The latency benchmark: from a message's timestamp to the moment at which a reader sees its row.

`millrace stream` runs as users run it. Another process sends at a steady rate, and a third one, the
reader, looks whether there is another snapshot: `python -m tests.bench.latency SNAPSHOT STOP` ends
when the file STOP appears, and tells how many rows it has seen after how many milliseconds.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tests.bench import measure, sales, topics
from tests.bench.measure import BenchError

_WARM = 30  # seconds of messages that come first and do not count


@dataclass(frozen=True)
class Found:
    """What came of one rate.

    Attributes:
        rate: messages a second.
        sent: messages that were sent.
        seen: rows seen, by milliseconds.
        behind: seconds behind, tick by tick, as the stream itself says.
        ticks: how many ticks with rows.
        cpu: seconds of processor of the stream.
        peak: its peak resident bytes.
    """

    rate: int
    sent: int
    seen: Counter[int]
    behind: list[float]
    ticks: int
    cpu: float
    peak: int

    def percentile(self, share: float) -> float:
        """Seconds after which this share of the rows was seen."""
        left = share * self.seen.total()
        for milliseconds, rows in sorted(self.seen.items()):
            left -= rows
            if left <= 0:
                return milliseconds / 1000
        return float("nan")

    @property
    def growth(self) -> float:
        """How far behind the last third of the ticks is, by the first third."""
        third = max(1, len(self.behind) // 3)
        first, last = self.behind[:third], self.behind[-third:]
        return (sum(last) / len(last)) / (sum(first) / len(first))


def run(rate: int, seconds: float, tell: Callable[[str], None]) -> Found:
    """Stream for so many seconds at a rate, and check that every sale is in the mart.

    Raises:
        BenchError: the stream failed, or rows are lost, twice or others.
    """
    with (
        topics.started() as broker,
        tempfile.TemporaryDirectory(prefix="millrace-latency-") as at,
    ):
        folder, address = Path(at), broker.address
        home, begin = sales.opened(folder, address)
        log = folder / "log"
        with log.open("w") as out:
            stream = home.begin("stream", "--log-json", into=out)
        try:
            begin = _sent(address, rate, _WARM, begin)
            reader = _Reader(home.snapshot, folder)
            end = _sent(address, rate, seconds, begin)
            until(lambda: rows(home.snapshot) == wanted(end), stream, log)
            seen = reader.stop()
            cpu, peak = _used(stream.pid)
            stream.send_signal(signal.SIGTERM)
            if stream.wait(60):
                raise BenchError(log.read_text()[-1500:])
        finally:
            stream.kill()
        check(home.snapshot, end)
        ticks = [json.loads(line) for line in log.read_text().splitlines() if '"tick"' in line]
        behind = [tick["lag_seconds"] for tick in ticks if tick.get("lag_seconds") is not None]
        found = Found(rate, end, seen, behind, len(ticks), cpu, peak)
        tell(
            f"{rate:,} a second: {found.ticks} ticks, p50 {found.percentile(0.5):.2f} s, "
            f"p99 {found.percentile(0.99):.2f} s"
        )
        return found


def table(found: list[Found]) -> list[list[str]]:
    """The rows of the table: rate, p50, p99, greatest, ticks, growth, CPU, peak."""
    return [
        [
            f"{one.rate:,}",
            f"{one.percentile(0.5):.2f}",
            f"{one.percentile(0.99):.2f}",
            f"{max(one.seen) / 1000:.2f}",
            f"{one.ticks:,}",
            f"{one.growth:.2f}",
            f"{one.cpu:.0f}",
            f"{one.peak / 2**20:,.0f}",
        ]
        for one in found
    ]


def check(snapshot: Path, count: int) -> None:
    """The published marts are what the first `count` messages leave."""
    with duckdb.connect() as con:
        con.execute(f"attach '{snapshot}' as published (read_only)")
        odd = con.execute(
            f"select count(*) from ({sales.counted(count)}) s full join published.fct_sales f "
            "using (sale_id) where (f.amount * 100)::bigint is distinct from s.cents"
        ).fetchall()[0][0]
        doubled = con.execute(
            "select count(*) - count(distinct sale_id) from published.fct_sales"
        ).fetchall()[0][0]
        windows = con.execute(
            "select count(*) from (select store_id, date_trunc('hour', sold_at) as window_start, "
            "sum(amount) as total from published.fct_sales group by all) r full join "
            "published.fct_store_hours w using (store_id, window_start) "
            "where w.sales_amount is distinct from r.total"
        ).fetchall()[0][0]
    if odd or doubled or windows:
        raise BenchError(f"{odd} sales are not as sent, {doubled} twice, {windows} windows wrong")


def _sent(address: str, rate: int, seconds: float, begin: int) -> int:
    words = [address, str(rate), str(seconds), str(begin)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.sales", *words],
        cwd=measure.ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BenchError(done.stderr[-1500:])
    return int(done.stdout)


class _Reader:
    """The reader's process."""

    def __init__(self, snapshot: Path, folder: Path) -> None:
        self._stop = folder / "stop"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.latency", str(snapshot), str(self._stop)],
            cwd=measure.ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> Counter[int]:
        self._stop.touch()
        told, _ = self._process.communicate(timeout=60)
        return Counter({int(at): rows for at, rows in json.loads(told).items()})


def until(done: Callable[[], bool], stream: "subprocess.Popen[str]", log: Path) -> None:
    """Wait for it, for five minutes at most.

    Raises:
        BenchError: it takes longer, or the stream has ended.
    """
    ends = time.monotonic() + 300
    while not done():
        if time.monotonic() > ends or stream.poll() is not None:
            raise BenchError(f"the stream did not come to the end:\n{log.read_text()[-1500:]}")
        time.sleep(0.2)


def wanted(count: int) -> int:
    """How many sales the first `count` messages leave."""
    return sum(1 for n in range(count) if not sales.is_poison(n) and sales.sale(n) == n)


def rows(snapshot: Path) -> int:
    """How many sales are published."""
    with duckdb.connect(str(snapshot), read_only=True) as con:
        return int(con.execute("select count(*) from fct_sales").fetchall()[0][0])


def _used(pid: int) -> tuple[float, int]:
    """Seconds of processor and peak resident bytes of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(status) * 1024


def read(snapshot: Path, stop: Path) -> dict[int, int]:
    """Look at each snapshot as it comes: rows first seen there, by milliseconds since sent."""
    seen: Counter[int] = Counter()
    newest, last = None, -1
    while not stop.exists():
        now = snapshot.stat().st_ino
        if now == newest:
            time.sleep(0.01)
            continue
        with duckdb.connect(str(snapshot), read_only=True) as con:
            at = int(time.time() * 1000)
            fresh = con.execute(
                "select epoch_ms(sent_at), count(*), max(_load_number) from fct_sales "
                "where _load_number > ? group by 1",
                [last],
            ).fetchall()
        if newest is not None:
            for sent, count, _ in fresh:
                seen[at - sent] += count
        newest, last = now, max([last, *(load for _, _, load in fresh)])
    return seen


def as_json(found: list[Found]) -> list[dict[str, Any]]:
    """The figures as plain data."""
    return [{**vars(one), "seen": dict(one.seen)} for one in found]


if __name__ == "__main__":
    print(json.dumps(read(Path(sys.argv[1]), Path(sys.argv[2]))))
