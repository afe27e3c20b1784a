"""What the sample asks of a broker, by way of the confluent-kafka package."""

import importlib.util
from dataclasses import dataclass

from sample.errors import ClientMissingError

SECONDS = 5.0
"""How long an answer is waited for."""


@dataclass(frozen=True)
class Topic:
    """A topic of a broker.

    Attributes:
        partitions: how many it has.
        messages: how many messages it can hold at most: the markers of transactions, and what
            was compacted or aborted, have offsets too.
    """

    partitions: int
    messages: int


def check() -> None:
    """Look whether the client is there.

    Raises:
        ClientMissingError: it is not.
    """
    if importlib.util.find_spec("confluent_kafka") is None:
        raise ClientMissingError


def answers(address: str, cluster: str) -> bool:
    """Whether the broker at the address is of this cluster, and leads all its partitions."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        found = AdminClient(settings(address)).list_topics(timeout=1)
    except KafkaException:
        return False
    return (
        found.cluster_id == cluster
        and bool(found.brokers)
        and all(
            part.leader in found.brokers
            for topic in found.topics.values()
            for part in topic.partitions.values()
        )
    )


def topics(address: str) -> dict[str, Topic] | None:
    """The topics by name, Kafka's own left out; None where nobody answers within 5 s.

    Raises:
        ClientMissingError: the client is not installed.
    """
    check()
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    # it joins no group: none but a consumer can be asked for offsets, and no consumer has no group
    consumer = Consumer({**settings(address), "group.id": "millrace-sample"})
    try:
        found = consumer.list_topics(timeout=SECONDS).topics
        return {
            name: Topic(
                len(found[name].partitions),
                sum(
                    last - first
                    for first, last in (
                        consumer.get_watermark_offsets(TopicPartition(name, part), SECONDS)
                        for part in found[name].partitions
                    )
                ),
            )
            for name in sorted(found)
            if not name.startswith("__")
        }
    except KafkaException:
        return None
    finally:
        consumer.close()


def settings(address: str) -> dict[str, str | int | float | bool]:
    """What every client of ours is told."""
    return {
        "bootstrap.servers": address,
        # the terminal belongs to the command: what is wrong comes as an error
        "log_level": 0,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
    }
