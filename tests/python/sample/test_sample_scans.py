"""The tills' scans on a real topic: what the plan says, once each, also after a kill."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
import topics
from services import kafka
from topics import Message

from sample import Retailer, broker_client, dataset, scans, versions
from sample.broker import Broker
from sample.errors import ClientMissingError, ScannerUnreachableError, TopicNotOursError
from sample.scanner import DELIVERED, Scanner
from sample.scans_oracle import ScansOracle

pytestmark = pytest.mark.xdist_group("scans")

PROJECT = Path(__file__).parents[3]
SEED = 7
# Has days with aborted transactions, the message of 5 MB, and all poison.
FIRST, NEXT, LAST = date(2017, 1, 5), date(2017, 1, 6), date(2017, 1, 7)


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
    assert len(at_once) > 20_000
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


def test_a_delivery_that_is_cut_off_again_and_again_is_mended(
    broker: Broker, scanner: Scanner, planned: list[tuple[object, ...]]
) -> None:
    scanner.deliver(date(2017, 1, 1), afresh=True)
    # the topic is to be made anew; a day is written and not committed; one is, and nothing after;
    # a transaction that was to be aborted stays open
    _killed(broker, date(2016, 12, 31), "commit_transaction", 1, "after")
    _killed(broker, FIRST, "commit_transaction", 3, "before")
    _killed(broker, FIRST, "commit_transaction", 4, "after")
    _killed(broker, LAST, "abort_transaction", 1, "before")
    scanner.deliver(LAST, afresh=False)
    assert [message.content for message in topics.messages(broker.address)] == planned


def test_without_the_signature_a_day_would_come_twice(
    broker: Broker,
    scanner: Scanner,
    planned: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scanner.deliver(LAST, afresh=False)
    monkeypatch.setattr(Scanner, "_delivered_until", lambda *_: date(2017, 1, 6))
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

    scanner.deliver(date(2017, 1, 1), afresh=True)
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


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(ClientMissingError, match=r"pip install 'millrace\[kafka\]'"):
        Scanner(dataset.connect(SEED), "127.0.0.1:9", SEED).deliver(FIRST, afresh=True)
