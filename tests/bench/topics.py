"""The topic benchmark: messages of a real Kafka into DuckDB, side by side, in turns.

Every contender is a process of its own, from the start of its interpreter or of Java to its end,
and its rows are counted and summed afterwards. `python -m tests.bench.topics ADDRESS COUNT` makes
the messages: JSON of about 200 bytes, in three partitions.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from tests.bench import measure
from tests.bench.measure import BenchError, Cost
from tests.crash.client import PATHS

LIMIT, DIRECT, MILLRACE, PYTHON = "limit", "duckdb alone", "millrace", "dlt python"
LAND, TAKE = "millrace land", "its load"
WHAT = {
    LIMIT: "Kafka's own ConsumerPerformance, which reads and counts",
    DIRECT: "the same client and DuckDB, parsed and typed: no contract, no state, no ledger",
    MILLRACE: "parsed, every column typed, rules on seven, into the raw table",
    LAND: "a reader that lands the messages as Parquet",
    TAKE: "what has landed, parsed, typed and checked, into the raw table",
    PYTHON: "confluent-kafka and json.loads in a dlt resource, into DuckDB",
}
TOPIC, PARTITIONS = "sales", 3
_SUMS = "count(*), sum(event_id), sum(quantity), sum(amount)::decimal(18, 2), count(sold_at)"
_DECLARED = """sources:
  - name: shop
    schema: raw_shop
    config: {meta: {ingest: {kind: kafka, brokers: "env:BENCH_URL"}}}
    tables:
      - name: sales
        config: {meta: {ingest: {topic: sales, primary_key: [event_id]}}}
        columns:
          - {name: event_id, data_type: bigint, config: {meta: {required: true}}}
          - {name: customer_id, data_type: bigint, config: {meta: {required: true}}}
          - {name: product, data_type: varchar, config: {meta: {required: true}}}
          - name: quantity
            data_type: integer
            config: {meta: {required: true, check: "quantity between 1 and 100"}}
          - {name: amount, data_type: "decimal(12,2)", config: {meta: {check: "amount >= 0"}}}
          - {name: currency, data_type: varchar, config: {meta: {accepted_values: [EUR, USD]}}}
          - {name: channel, data_type: varchar}
          - {name: sold_at, data_type: timestamp, config: {meta: {required: true}}}
          - {name: note, data_type: varchar}
"""


@dataclass(frozen=True)
class Line:
    """One contender's medians, and all its runs."""

    name: str
    cost: Cost
    runs: tuple[Cost, ...]


def run(count: int, rounds: int, python: int, tell: Callable[[str], None]) -> list[Line]:
    """Measure the contenders in turns.

    Args:
        count: messages.
        rounds: how often each runs; the medians count.
        python: rounds of the Python way among them, which takes minutes; 0 leaves it out.
        tell: called with each line of progress.

    Raises:
        BenchError: one failed or lost messages, or what it needs is not here.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in WHAT}
    with started() as broker, tempfile.TemporaryDirectory(prefix="millrace-bench-") as at:
        home, address = Path(at), broker.address
        limit = _limit(address, count)
        tell(f"making {count:,} messages")
        made = [sys.executable, "-m", "tests.bench.topics", address, str(count)]
        measure.run(made, home / "log.txt")
        expected = _expected(count)
        for number in range(rounds):
            names = [name for name in WHAT if name != PYTHON or number < python]
            # every other round goes the other way, so that no one always runs after the same one
            turns = [n for n in (names if number % 2 == 0 else names[::-1]) if n != TAKE]
            landing = turns.index(LAND) + 1
            for name in [*turns[:landing], TAKE, *turns[landing:]]:
                command = limit if name == LIMIT else None
                cost = _one(name, address, home, command, expected)
                costs[name].append(cost)
                tell(
                    f"round {number + 1} {name}: {cost.wall:.1f} s, cpu {cost.cpu:.1f} s, "
                    f"peak {cost.peak / 2**20:.0f} MiB"
                )
    return [Line(n, measure.middle(runs), tuple(runs)) for n, runs in costs.items() if runs]


def _one(
    name: str, address: str, home: Path, command: list[str] | None, expected: tuple[Any, ...]
) -> Cost:
    folder = home / "run"

    def ours(word: str) -> list[str]:
        return [sys.executable, "-m", "tests.bench.contenders", word, address, str(folder)]

    if name != TAKE:
        shutil.rmtree(folder, ignore_errors=True)
        declared = folder / "models" / "staging" / "shop"
        declared.mkdir(parents=True)
        landing = f", landing: {folder / 'landing'}" if name == LAND else ""
        told = _DECLARED.replace("[event_id]}", f"[event_id]{landing}}}")
        (declared / "_shop__sources.yml").write_text(told)
    if name == LAND:  # the load says first where reading begins
        measure.run(ours("millrace"), home / "log.txt")
    word = {LAND: "land", DIRECT: "direct", PYTHON: "dlt_consumer"}.get(name, "millrace")
    cost = measure.run(command or ours(word), home / "log.txt")
    if name == LAND:
        return cost  # its load shows that nothing is lost
    if command is None:
        _check(name, folder / "out.duckdb", expected)
    else:
        _read(home / "log.txt", expected[0])
    return cost


def _check(name: str, file: Path, expected: tuple[Any, ...]) -> None:
    """Nobody wins by losing rows."""
    with duckdb.connect(str(file), read_only=True) as con:
        found = con.execute(
            "select schema_name from duckdb_tables() where table_name = 'sales'"
        ).fetchall()
        got = con.execute(f'select {_SUMS} from "{found[0][0]}".sales').fetchone()
    if got != expected:
        raise BenchError(f"{name} brought {got}, the topic has {expected}")


def _read(log: Path, count: int) -> None:
    """ConsumerPerformance read all of them: its last line has their number."""
    fields = log.read_text().strip().splitlines()[-1].split(",")
    if len(fields) < 5 or int(fields[4]) < count:
        raise BenchError(f"the limit did not read {count} messages:\n{log.read_text()[-500:]}")


def _expected(count: int) -> tuple[Any, ...]:
    with duckdb.connect() as con:
        row = con.execute(
            "select count(*), sum(i), sum(1 + i % 7), "
            "sum((i % 10000)::decimal(12, 2) / 100)::decimal(18, 2), count(*) "
            f"from range({count}) t(i)"
        ).fetchone()
    assert row is not None
    return tuple(row)


@contextmanager
def started() -> Iterator[Any]:
    """A throw-away broker, the tests' own."""
    sys.path[:0] = map(str, PATHS)
    from services import kafka

    with kafka() as found:
        yield found


def _limit(address: str, count: int) -> list[str]:
    """ConsumerPerformance's command; Maven brings it the first time."""
    from ops.packages import default_cache
    from sample import broker_jars

    pom = Path(__file__).parent / "kafka_tools" / "pom.xml"
    cache = Path(os.environ.get("MILLRACE_CACHE") or default_cache())
    tools = broker_jars.find(cache, os.environ, pom)
    return [
        *(tools.java, "-Xmx512m", "-cp", f"{tools.jars}/*"),
        "org.apache.kafka.tools.ConsumerPerformance",
        *("--bootstrap-server", address, "--topic", TOPIC),
        *("--num-records", str(count), "--timeout", "60000"),
    ]


def table(lines: list[Line], count: int) -> list[list[str]]:
    """The rows of the table: name, seconds, messages a second, CPU, peak."""
    return [
        [
            line.name,
            f"{line.cost.wall:.1f}",
            f"{count / line.cost.wall:,.0f}",
            f"{line.cost.cpu:.1f}",
            f"{line.cost.peak / 2**20:,.0f}",
        ]
        for line in lines
    ]


def verdicts(lines: list[Line]) -> list[str]:
    """The targets, each with what was reached."""
    found = {line.name: line.cost for line in lines}
    said = []
    if LIMIT in found:
        said.append(f"{found[LIMIT].wall / found[MILLRACE].wall:.2f} of the limit (aim ≥ 0.5)")
        said.append(f"{found[MILLRACE].wall / found[DIRECT].wall:.2f} × DuckDB alone")
    if PYTHON in found:
        said.append(
            f"{found[PYTHON].wall / found[MILLRACE].wall:.1f} × the Python way (aim ≥ 5), "
            f"{found[PYTHON].cpu / found[MILLRACE].cpu:.1f} × by CPU"
        )
    return [*said, f"peak {found[MILLRACE].peak / 2**20:,.0f} MiB (aim ≤ 1,024)"]


def as_json(lines: list[Line]) -> list[dict[str, Any]]:
    """The lines as plain data: seconds and bytes, every run."""
    return [{**asdict(line), "what": WHAT[line.name]} for line in lines]


def make(address: str, count: int) -> None:
    """Fill the topic, each partition in turn."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(20)
    producer = Producer(
        {
            "bootstrap.servers": address,
            "log_level": 0,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 200_000,
        }
    )
    now = int(time.time() * 1000)
    for i in range(count):
        value = (
            f'{{"event_id": {i}, "customer_id": {i % 100_003}, "product": "product-{i % 5000:06}", '
            f'"quantity": {1 + i % 7}, "amount": {i % 10_000 / 100}, "currency": "EUR", '
            f'"channel": "web", "sold_at": "2026-01-{1 + i % 28:02} {i % 24:02}:{i % 60:02}:00", '
            f'"note": "{"as it was told " if i % 2 else "with no receipt"}"}}'
        )
        while True:
            try:
                producer.produce(TOPIC, value, str(i), partition=i % PARTITIONS, timestamp=now)
                break
            except BufferError:
                producer.poll(0.05)
        if i % 1000 == 0:
            producer.poll(0)
    if producer.flush(60):
        raise BenchError("the broker did not take all messages")


if __name__ == "__main__":
    make(sys.argv[1], int(sys.argv[2]))
