"""Delivery of the scans to Kafka, in one transaction a clock day.

The same transaction writes the day into a topic of its own. So a delivery that was cut off ends at
the last whole day, and the next one goes on behind it: nothing comes twice.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Any

import duckdb

from sample import broker_client, scans
from sample.errors import ScannerUnreachableError, TopicNotOursError
from sample.scans import LARGEST, PARTITIONS, TOPIC

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

DELIVERED = "scanner.delivered"
"""The topic that says up to which day the scans are delivered: the newest message counts."""

_KEY = TOPIC.encode()
_PATIENCE = 30.0
_ROWS = 5_000
_MESSAGE = "partition, key, value, headers, epoch_ms(event_time)"


class Scanner:
    """The scans on a topic of Kafka.

    Args:
        con: a DuckDB connection with the plan (`versions.create`, `scans.create`).
        brokers: host:port, several by commas.
        seed: the seed of the plan.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, brokers: str, seed: int) -> None:
        self._con, self._brokers, self._seed = con, brokers, seed

    def deliver(self, day: date, afresh: bool) -> None:
        """Make the topic hold everything up to the end of `day`.

        Args:
            day: the clock's day.
            afresh: make the topic anew also where it holds just what came before.

        Raises:
            ClientMissingError: confluent-kafka is not installed.
            ScannerUnreachableError: no broker answers, or one refuses.
            TopicNotOursError: there is such a topic, and the sample did not make it.
        """
        broker_client.check()
        from confluent_kafka import KafkaException

        try:
            topics = self._topics()
            # what another delivery has begun is aborted by that, and it can do no more
            with self._producer("scans") as producer, self._producer("aborted") as other:
                before = self._delivered_until(topics)
                if afresh or before is None or before > day:
                    self._make_topics(topics, producer)
                    before = None
                if before is None or before < day:
                    self._send(before, day, producer, other)
        except KafkaException as error:
            raise ScannerUnreachableError(self._brokers, error.args[0].str()) from None

    def _topics(self) -> set[str]:
        from confluent_kafka.admin import AdminClient

        admin = AdminClient(broker_client.settings(self._brokers))
        return set(admin.list_topics(timeout=broker_client.SECONDS).topics)

    @contextlib.contextmanager
    def _producer(self, name: str) -> "Iterator[Producer]":
        from confluent_kafka import KafkaException, Producer

        producer = Producer(
            {
                **broker_client.settings(self._brokers),
                "transactional.id": f"millrace-sample-{name}",
                "message.max.bytes": LARGEST,
                "linger.ms": 20,
            }
        )
        producer.init_transactions(_PATIENCE)
        try:
            yield producer
        except BaseException:
            with contextlib.suppress(KafkaException):
                producer.abort_transaction(broker_client.SECONDS)
            raise

    def _delivered_until(self, topics: set[str]) -> date | None:
        """The day of the last whole delivery, None where there is none of this seed.

        Raises:
            TopicNotOursError: the topic of the scans is there, and none of ours that says so.
        """
        signed = self._last_signature() if DELIVERED in topics else None
        if signed is None and TOPIC in topics:
            raise TopicNotOursError(TOPIC)
        if signed is None or TOPIC not in topics or signed["seed"] != self._seed:
            return None
        return date.fromisoformat(signed["day"]) if signed["day"] else None

    def _last_signature(self) -> dict[str, Any] | None:
        from confluent_kafka import (
            OFFSET_BEGINNING,
            Consumer,
            KafkaError,
            KafkaException,
            TopicPartition,
        )

        consumer = Consumer(
            {
                **broker_client.settings(self._brokers),
                "group.id": "millrace-sample",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,  # at the end of a topic the broker waits for more
            }
        )
        try:
            consumer.assign([TopicPartition(DELIVERED, 0, OFFSET_BEGINNING)])
            found = None
            while (message := consumer.poll(_PATIENCE)) is not None:
                error = message.error()
                if error is None:
                    found = json.loads(message.value() or b"null")
                elif error.code() == KafkaError._PARTITION_EOF:
                    return found
                else:
                    raise KafkaException(error)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        finally:
            consumer.close()

    def _make_topics(self, topics: set[str], producer: "Producer") -> None:
        """Both anew; what is signed before tells that the topic of the scans is the sample's."""
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        admin = AdminClient(broker_client.settings(self._brokers))
        new = {
            DELIVERED: NewTopic(DELIVERED, 1, config={"cleanup.policy": "compact"}),
            TOPIC: NewTopic(
                TOPIC,
                PARTITIONS,
                # the events are of 2017, and Kafka forgets by the events' own times
                config={"retention.ms": "-1", "max.message.bytes": str(LARGEST)},
            ),
        }
        if DELIVERED not in topics:
            _done(admin.create_topics([new[DELIVERED]]))
        producer.begin_transaction()
        self._sign(None, producer)
        producer.commit_transaction(_PATIENCE)
        if TOPIC in topics:
            _done(admin.delete_topics([TOPIC], operation_timeout=_PATIENCE))
        _created(admin, new[TOPIC])

    def _send(
        self, before: date | None, day: date, producer: "Producer", other: "Producer"
    ) -> None:
        """One transaction a day, and around it the one that is aborted, if that day has one."""
        reached = before
        for come, rows in groupby(self._messages(before, day), key=lambda row: row[0]):
            parts: tuple[list[Any], ...] = ([], [], [])
            for _, stage, *message in rows:
                parts[stage].append(message)
            if parts[0] or parts[2]:
                other.begin_transaction()
                _write(other, parts[0])
            producer.begin_transaction()
            _write(producer, parts[1])
            self._sign(come, producer)
            producer.commit_transaction(_PATIENCE)
            if parts[0] or parts[2]:
                _write(other, parts[2])
                other.abort_transaction(_PATIENCE)
            reached = come
        if reached != day:  # nothing came on the last day
            producer.begin_transaction()
            self._sign(day, producer)
            producer.commit_transaction(_PATIENCE)

    def _messages(self, before: date | None, day: date) -> Iterator[tuple[Any, ...]]:
        """Day, stage, and what a message is made of, in order."""
        found = self._con.execute(
            f"select arrives_on, stage, {_MESSAGE} from {scans.messages(before, day)} "
            f"order by {scans.ORDER}"
        )
        while rows := found.fetchmany(_ROWS):
            yield from rows

    def _sign(self, day: date | None, producer: "Producer") -> None:
        signed = {"seed": self._seed, "day": day.isoformat() if day else None}
        producer.produce(DELIVERED, json.dumps(signed).encode(), _KEY, partition=0)


def _write(producer: "Producer", messages: list[Any]) -> None:
    """Write them, and wait until they are on the topic."""
    for partition, key, value, headers, milliseconds in messages:
        named = [(header["name"], header["value"]) for header in headers or ()]
        producer.produce(
            TOPIC, value, key, partition=partition, timestamp=milliseconds, headers=named
        )
    producer.flush(_PATIENCE)


def _done(futures: "dict[str, Future[None]]") -> None:
    for future in futures.values():
        future.result()


def _created(admin: "AdminClient", topic: "NewTopic") -> None:
    """Make it; one of its name that was just deleted may be there for a moment longer."""
    from confluent_kafka import KafkaError, KafkaException

    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            return _done(admin.create_topics([topic]))
        except KafkaException as error:
            exists = error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
            if not exists or time.monotonic() > ends:
                raise
            time.sleep(0.1)
