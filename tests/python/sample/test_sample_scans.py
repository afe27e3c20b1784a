"""The tills' scans on a real topic: what the plan says, once each, also after a kill."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import rules
import topics
from services import kafka
from topics import Message

from sample import Retailer, broker_client, dataset, scans, versions
from sample.broker import Broker
from sample.errors import ScannerUnreachableError, TopicNotOursError
from sample.scanner import DELIVERED, Scanner
from sample.scans_oracle import ScansOracle

SEED = 7
# Has days with aborted transactions, the message of 5 MB, and all poison.
FIRST, NEXT, LAST = date(2017, 1, 6), date(2017, 1, 7), date(2017, 1, 9)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with kafka() as found:
        yield found


@pytest.fixture(scope="module")
def scanner(broker: Broker) -> Scanner:
    con = dataset.connect(SEED)
    versions.create(con)
    scans.create(con)
    return Scanner(con, broker.address, SEED)


@pytest.fixture(scope="module")
def oracle() -> ScansOracle:
    return ScansOracle(SEED, LAST)


@pytest.fixture(scope="module")
def planned(oracle: ScansOracle) -> list[tuple[object, ...]]:
    return contents(oracle)


def contents(oracle: ScansOracle) -> list[tuple[object, ...]]:
    """The plan in the form of `Message.content`."""
    found = oracle.messages().project("partition, key, value, headers, event_time").fetchall()
    return [(part, key, value, _headers(headers), at) for part, key, value, headers, at in found]


def _headers(planned: list[dict[str, str | None]] | None) -> tuple[topics.Header, ...]:
    return tuple(
        (each["name"] or "", each["value"].encode() if each["value"] is not None else None)
        for each in planned or ()
    )


@pytest.fixture(scope="module")
def at_once(broker: Broker, scanner: Scanner) -> list[Message]:
    """What is on the topic when all of it was delivered at once."""
    scanner.deliver(LAST, afresh=True)
    return topics.messages(broker.address)


def test_the_topic_holds_what_the_plan_says(
    at_once: list[Message], planned: list[tuple[object, ...]]
) -> None:
    assert [message.content for message in at_once] == planned
    assert {message.partition for message in at_once} == {0, 1, 2}
    assert len(at_once) > 30_000
    names = Counter(tuple(name for name, _ in message.headers) for message in at_once)
    assert names["store", "till", "hop", "hop"] > 100
    assert names[()] == 1
    assert any(value is None for message in at_once for name, value in message.headers)
    assert sum(len(message.value or b"") > 5_000_000 for message in at_once) == 1
    of_new_year = [message for message in at_once if message.event_time < datetime(2017, 1, 2)]
    late = [message for message in of_new_year if message.offset > 3_000]
    assert len(of_new_year) > 10 * len(late) > 100


def test_aborted_transactions_are_there_and_not_to_be_seen(
    broker: Broker, at_once: list[Message], oracle: ScansOracle
) -> None:
    everything = topics.messages(broker.address, committed=False)
    unseen = set(everything) - set(at_once)
    assert len(everything) - len(at_once) == len(unseen) == oracle.aborted() > 100
    # what they say would count: it is newer than what is true, or deletes it
    keys = {message.key for message in at_once}
    assert {message.key for message in unseen} <= keys
    assert {message.value is None for message in unseen} == {False, True}


def test_steps_give_what_one_delivery_gives_with_the_same_offsets(
    broker: Broker, scanner: Scanner, at_once: list[Message]
) -> None:
    scanner.deliver(FIRST, afresh=True)
    for day in (NEXT, LAST, LAST):
        scanner.deliver(day, afresh=False)
    assert topics.messages(broker.address) == at_once


_DELIVER = """
import os, signal, sys
from datetime import date
import confluent_kafka
from sample import dataset, scans, versions
from sample.scanner import Scanner

address, seed, day, call, count, when = sys.argv[1:]
left = int(count)

def watched(name):
    def call_it(self, *words):
        global left
        left -= name == call
        if name == call and left == 0 and when == "before":
            os.kill(os.getpid(), 9)
        getattr(Known, name)(self, *words)
        if name == call and left == 0 and when == "after":
            os.kill(os.getpid(), 9)
    return call_it

Known = confluent_kafka.Producer
names = ("commit_transaction", "abort_transaction")
confluent_kafka.Producer = type("Watched", (Known,), {name: watched(name) for name in names})
con = dataset.connect(int(seed))
versions.create(con)
scans.create(con)
Scanner(con, address, int(seed)).deliver(date.fromisoformat(day), afresh=False)
"""


def _killed(broker: Broker, day: date, call: str, count: int, when: str) -> None:
    """Deliver in a process of its own, which is killed at a call of the producer."""
    words = [broker.address, str(SEED), day.isoformat(), call, str(count), when]
    done = subprocess.run(
        [sys.executable, "-c", _DELIVER, *words], capture_output=True, text=True, cwd=PROJECT
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


PROJECT = Path(__file__).parents[3]


def test_a_delivery_that_is_cut_off_again_and_again_is_mended(
    broker: Broker, scanner: Scanner, planned: list[tuple[object, ...]]
) -> None:
    scanner.deliver(date(2017, 1, 1), afresh=True)
    # signed that the topic is to be made anew; a day written and not committed; one committed,
    # and one whose other transaction was never ended
    _killed(broker, date(2016, 12, 31), "commit_transaction", 1, "after")
    _killed(broker, FIRST, "commit_transaction", 3, "before")
    _killed(broker, FIRST, "commit_transaction", 2, "after")
    _killed(broker, LAST, "abort_transaction", 1, "before")
    scanner.deliver(LAST, afresh=False)
    assert [message.content for message in topics.messages(broker.address)] == planned


def test_without_the_signature_a_day_would_come_twice(
    broker: Broker,
    scanner: Scanner,
    planned: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scanner, "_delivered_until", lambda *_: date(2017, 1, 8))
    scanner.deliver(LAST, afresh=False)
    doubled = [message.content for message in topics.messages(broker.address)]
    assert len(doubled) > len(planned) + 3_000
    assert set(doubled) == set(planned)


def test_a_retailer_delivers_scans_where_there_is_a_broker(broker: Broker, tmp_path: Path) -> None:
    retailer = Retailer(tmp_path, seed=8, brokers=broker.address)
    retailer.start(date(2017, 1, 1))
    retailer.advance(1)
    found = [message.content for message in topics.messages(broker.address)]
    assert found == contents(ScansOracle(8, date(2017, 1, 2)))


def test_a_topic_of_others_is_left_alone(broker: Broker, scanner: Scanner) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(broker_client.settings(broker.address))
    admin.delete_topics([DELIVERED])[DELIVERED].result()
    there = topics.messages(broker.address)
    for afresh in (True, False):
        with pytest.raises(TopicNotOursError, match=r"scanner\.scans.*unset MILLRACE_SCANNER"):
            scanner.deliver(LAST, afresh)
    assert topics.messages(broker.address) == there != []


def test_a_broker_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_client, "SECONDS", 0.3)
    with pytest.raises(ScannerUnreachableError, match=r"127\.0\.0\.1:9 .*sample kafka status"):
        Retailer(tmp_path, brokers="127.0.0.1:9").start(date(2017, 1, 1))
    assert Retailer(tmp_path).clock() is None


def test_fates_are_those_that_the_declaration_gives(
    at_once: list[Message], oracle: ScansOracle
) -> None:
    judged = _judged(at_once)
    known = {
        (part, place): (fate, rule)
        for part, place, fate, rule in oracle.fates()
        .project("partition, place, fate, rule")
        .fetchall()
    }
    assert judged == known
    fates = Counter(fate for fate, _ in judged.values())
    assert fates.keys() == {
        "accepted", "superseded", "repeated", "deleted", "tombstone", "dead"
    }  # fmt: skip
    assert min(fates.values()) > 10
    dead = Counter(rule for fate, rule in judged.values() if fate == "dead")
    assert dead.keys() >= {
        '["unparsable"]', '["tombstone"]', '["type:quantity"]', '["type:household_id"]',
        '["type:store_id"]', '["type:sales_value"]', '["type:transaction_timestamp"]',
        '["required:household_id"]', '["check:quantity"]', '["check:week"]',
    }  # fmt: skip


def test_the_largest_message_can_be_too_large(oracle: ScansOracle) -> None:
    small = ScansOracle(SEED, LAST, max_message_bytes=1 << 20)
    large = small.fates().filter("rule = '[\"too_large\"]'").project("partition, place").fetchall()
    assert len(large) == 1
    ((partition, place),) = large
    same = oracle.fates().filter(f"partition = {partition} and place = {place}")
    assert same.project("fate, rule").fetchall() == [("repeated", None)]
    assert small.truth().order("all").fetchall() == oracle.truth().order("all").fetchall()


def test_the_truth_is_the_data_set() -> None:
    """A month after the last sale; of the whole year with MILLRACE_TEST_YEAR."""
    whole = bool(os.environ.get("MILLRACE_TEST_YEAR"))
    until, sold = (
        (date(2018, 1, 31), date(2018, 1, 1)) if whole else (date(2017, 2, 20), date(2017, 1, 20))
    )
    truth = ScansOracle(SEED, until).truth()
    columns = [name for name in rules.declared("pos.transactions").types if name != "updated_at"]
    digest = f"count(*), sum(hash({', '.join(columns)})::hugeint)"
    before = f"transaction_timestamp < date '{sold}'"
    of_source = dataset.connect(SEED).sql(
        f"select {digest} from source.transactions where {before}"
    )
    assert truth.filter(before).aggregate(digest).fetchall() == of_source.fetchall()
    assert truth.types[-1] == "TIMESTAMP"


def _judged(found: list[Message]) -> dict[tuple[int, int], tuple[str, str | None]]:
    """Fate and rule by partition and place: a second opinion, from the declaration alone."""
    places: Counter[int] = Counter()
    declared = rules.declared("pos.transactions")
    verdicts: dict[tuple[int, int], tuple[str, str | None]] = {}
    rows: list[dict[str, Any]] = []
    steps: list[tuple[tuple[int, int], Any]] = []
    for message in found:
        where = message.partition, places[message.partition]
        places[message.partition] += 1
        if message.value is None:
            key = _object(message.key)
            if key and key.keys() == set(declared.key):
                verdicts[where] = "tombstone", None
                steps.append((where, tuple(key[name] for name in declared.key)))
            else:
                verdicts[where] = "dead", '["tombstone"]'
        elif (row := _object(message.value)) is None:
            verdicts[where] = "dead", '["unparsable"]'
        else:
            rows.append({name: row.get(name) for name in declared.types})
            steps.append((where, rows[-1]))
    schema = pa.schema([(name, pa.string()) for name in declared.types])
    con = duckdb.connect()
    con.register("rows", pa.Table.from_pylist(rows, schema))
    broken = iter(con.execute(f"select {declared.broken()} from rows").fetchall())
    alive: dict[tuple[str, ...], dict[tuple[Any, ...], tuple[int, int]]] = {}
    for where, step in steps:
        if isinstance(step, tuple):
            for gone in alive.pop(step, {}).values():
                verdicts[gone] = "deleted", None
            continue
        (rule,) = next(broken)
        if rule is not None:
            verdicts[where] = "dead", rule
            continue
        of_key = alive.setdefault(tuple(step[name] for name in declared.key), {})
        content = step["updated_at"] or "", *step.values()
        verdicts[where] = "repeated" if content in of_key else "superseded", None
        of_key.setdefault(content, where)
    for of_key in alive.values():
        verdicts[of_key[max(of_key, key=lambda content: content[0])]] = "accepted", None
    return verdicts


def _object(text: bytes | None) -> dict[str, Any] | None:
    """The members of a JSON object as text, None for anything else."""
    try:
        found = json.loads((text or b"").decode(), parse_int=str, parse_float=str)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in found.items()}
