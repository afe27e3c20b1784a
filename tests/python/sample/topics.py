"""What a topic holds, message by message, for whoever reads it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sample.scans import PARTITIONS, TOPIC

Header = tuple[str, bytes | None]


@dataclass(frozen=True)
class Message:
    """One message; `event_time` is UTC without a zone."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    event_time: datetime

    @property
    def content(self) -> tuple[object, ...]:
        """All but where it is."""
        return self.partition, self.key, self.value, self.headers, self.event_time


def messages(address: str, committed: bool = True, topic: str = TOPIC) -> list[Message]:
    """All messages up to the end, by partition and offset."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "test",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.queue.backoff.ms": 5,
            "fetch.wait.max.ms": 10,
        }
    )
    found: list[Message] = []
    open_ends = set(range(PARTITIONS))
    try:
        consumer.assign([TopicPartition(topic, part, 0) for part in open_ends])
        while open_ends:
            batch = consumer.consume(5000, timeout=0.2)
            for message in batch:
                error = message.error()
                if error is None:
                    found.append(_message(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_ends.discard(message.partition())
                else:
                    raise AssertionError(error)
    finally:
        consumer.close()
    return sorted(found, key=lambda message: (message.partition, message.offset))


def _message(message: Any) -> Message:
    return Message(
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
        datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC).replace(tzinfo=None),
    )
