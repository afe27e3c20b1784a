"""Topics of a real broker for tests: made, written to, cut, and read in the plainest way."""

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import tenacity

pytest.importorskip("confluent_kafka", reason="install the extra `kafka`")

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

Sent = tuple[Any, Any]
"""A key and a value: bytes or text as they are, None, or something that becomes JSON."""


def as_bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def is_fenced(error: BaseException) -> bool:
    """Whether a topic could not be made since the cluster counts on no broker just now."""
    return (
        isinstance(error, KafkaException)
        and error.args[0].code() == KafkaError.INVALID_REPLICATION_FACTOR
    )


@dataclass
class Topic:
    """A topic of its own on a broker.

    Attributes:
        address: of the broker.
        partitions: how many it begins with.
        config: of the topic.
    """

    address: str
    partitions: int = 3
    config: dict[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"t-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        self.make()

    @tenacity.retry(
        # a broker that the machine kept waiting is left out until it is heard again
        retry=tenacity.retry_if_exception(is_fenced),
        wait=tenacity.wait_fixed(0.1),
        stop=tenacity.stop_after_delay(20),
        reraise=True,
    )
    def make(self) -> None:
        """Make it; after `delete` it is another topic of the same name."""
        new = NewTopic(self.name, self.partitions, 1, config=self.config)
        self.admin.create_topics([new])[self.name].result(20)

    def delete(self) -> None:
        """Delete it, and wait until it is gone."""
        self.admin.delete_topics([self.name])[self.name].result(20)
        ends = time.monotonic() + 20
        while self.name in self.admin.list_topics(timeout=10).topics:
            assert time.monotonic() < ends
            time.sleep(0.05)

    def grow(self, partitions: int) -> None:
        """Add partitions."""
        self.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(20)
        ends = time.monotonic() + 20
        while len(self.admin.list_topics(self.name, 10).topics[self.name].partitions) < partitions:
            assert time.monotonic() < ends
            time.sleep(0.05)

    def cut(self, offsets: dict[int, int]) -> None:
        """Delete what is before these offsets, as retention does."""
        given = [TopicPartition(self.name, number, at) for number, at in offsets.items()]
        for future in self.admin.delete_records(given).values():
            future.result(20)

    def send(
        self,
        messages: Iterable[Sent],
        partition: int | None = None,
        transaction: str = "",
        **more: Any,
    ) -> None:
        """Produce, and wait until all is there.

        Args:
            messages: keys and values.
            partition: where to; by the key if not given.
            transaction: `commit` or `abort`: in one transaction that ends so.
            more: `headers`, `timestamp`.
        """
        settings = {"bootstrap.servers": self.address, "message.max.bytes": 20_000_000}
        if transaction:
            settings["transactional.id"] = uuid.uuid4().hex
        producer = Producer({**settings, "log_level": 0})
        if transaction:
            producer.init_transactions(20)
            producer.begin_transaction()
        where = {} if partition is None else {"partition": partition}
        for key, value in messages:
            producer.produce(self.name, as_bytes(value), as_bytes(key), **where, **more)
            producer.poll(0)
        assert not producer.flush(20)
        if transaction == "commit":
            producer.commit_transaction(20)
        elif transaction == "abort":
            producer.abort_transaction(20)

    def group(self, name: str) -> dict[int, int]:
        """The offsets that a group has committed, by partition."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": name})
        asked = [TopicPartition(self.name, number) for number in range(self.partitions)]
        found = consumer.committed(asked, 20)
        consumer.close()
        return {one.partition: one.offset for one in found}
