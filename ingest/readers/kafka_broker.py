"""A Kafka cluster through confluent-kafka: what its topics hold, and the messages of a stretch.

Partitions are assigned, never subscribed to: which offsets are read is the state's business alone.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from ingest.errors import SourceError
from ingest.readers.offsets import Partition, Topic

_ANSWER = 4.0  # seconds that a question may take; it is asked up to seven times
_SILENCE = 20.0  # seconds without a message, an end or an error; a restarted broker is back by then
_AT_ONCE = 10_000  # messages,
_WAIT = 0.05  # or what came in so many seconds: fewer messages are waited for to the end of it

_READING: dict[str, Any] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "error",  # what is gone is told, never jumped over
    "enable.partition.eof": True,
    "check.crcs": True,
    # measured on 200-byte messages: with the default of a second the queue runs dry, 4 x slower
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 32_768,
}
_REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}
_PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._RESOLVE,
    KafkaError._WAIT_COORD,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    # a broker that is just back knows less of the partition's leaders than its client
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
}


@dataclass
class Broker:
    """The cluster.

    Args:
        settings: of librdkafka, `bootstrap.servers` among them.
        isolation: read_committed or read_uncommitted.
        where: file and line of the declaration, for errors.
    """

    settings: Mapping[str, Any]
    isolation: str
    where: str
    _heard: list[KafkaError] = field(default_factory=list)
    _client: AdminClient | None = None

    @property
    def _admin(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient(self._with())
        return self._client

    def _with(self, **more: Any) -> dict[str, Any]:
        """The settings, with errors of connections heard, and nothing written to stderr."""
        quiet = {"error_cb": self._heard.append, "log_level": 0}
        # a broker that is back is found within a second; by default it may be looked for after ten
        return {"reconnect.backoff.max.ms": 1_000, **self.settings, **quiet, **more}

    def topics(self, pattern: str) -> tuple[str, list[Topic]]:
        """The cluster's id, and the topics of that name or pattern by name.

        Raises:
            ConnectionError: no broker answers.
            SourceError: the credentials are refused, or there is no topic.
        """
        with _Told(self):
            known = self._admin.list_topics(timeout=_ANSWER)
        by_name = {name: found for name, found in known.topics.items() if _is_meant(name, pattern)}
        if not by_name:
            raise SourceError(
                f"the cluster has no topic {pattern!r}",
                where=self.where,
                mend="correct `topic`, or make it; a topic that was deleted and made anew is told",
            )
        asked = self._admin.describe_topics(
            TopicCollection(sorted(by_name)), request_timeout=_ANSWER
        )
        topics = []
        for name, future in sorted(asked.items()):
            with _Told(self):
                described = future.result()
            numbers = sorted(each.id for each in described.partitions)
            topics.append(Topic(name, str(described.topic_id), tuple(numbers)))
        return str(known.cluster_id), topics

    def first(self, partitions: list[Partition]) -> dict[Partition, int]:
        """The first offset that each partition still has."""
        return self._offsets(partitions, OffsetSpec.earliest())

    def end(self, partitions: list[Partition]) -> dict[Partition, int]:
        """Where each ends: the last stable offset, or the high watermark for read_uncommitted."""
        return self._offsets(partitions, OffsetSpec.latest())

    def at(self, partitions: list[Partition], milliseconds: int) -> dict[Partition, int]:
        """The offset of the first message of that time or later; -1 where there is none."""
        return self._offsets(partitions, OffsetSpec.for_timestamp(milliseconds))

    def high(self, partition: Partition) -> int:
        """Where a partition ends with all that open transactions have written."""
        return self._offsets([partition], OffsetSpec.latest(), "read_uncommitted")[partition]

    def _offsets(
        self, partitions: list[Partition], spec: OffsetSpec, isolation: str = ""
    ) -> dict[Partition, int]:
        if not partitions:
            return {}
        level = IsolationLevel[(isolation or self.isolation).upper()]
        asked = self._admin.list_offsets(
            {TopicPartition(*partition): spec for partition in partitions},
            isolation_level=level,
            request_timeout=_ANSWER,
        )
        found = {}
        for partition, future in asked.items():
            with _Told(self):
                found[partition.topic, partition.partition] = future.result().offset
        return found

    def messages(
        self, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Iterator[tuple[list[Message], dict[Partition, int]]]:
        """All messages from the one offset up to, and without, the other, some at a time.

        Offsets have gaps, where messages were compacted or a transaction has its marks: a
        partition has ended with a message at or beyond its end, or where the broker says so.

        Yields:
            Messages, and the next offset of each partition after them.

        Raises:
            ConnectionError: the broker is away, also after some seconds.
            SourceError: it refuses, or has the messages no more.
        """
        following = dict(begins)
        left = {one for one in begins if begins[one] < ends[one]}
        consumer = Consumer(
            self._with(
                **_READING,
                **{"group.id": "millrace", "isolation.level": self.isolation},
            )
        )
        try:
            consumer.assign([TopicPartition(*one, begins[one]) for one in sorted(left)])
            heard_at = time.monotonic()
            while left:
                given = consumer.consume(_AT_ONCE, timeout=_WAIT)
                if not given and time.monotonic() - heard_at > _SILENCE:
                    raise self._away("the broker has sent nothing for a while")
                if given:
                    heard_at = time.monotonic()
                taken, ended = _taken(given, left, ends, following, self._error)
                left -= ended
                if ended:
                    consumer.incremental_unassign([TopicPartition(*one) for one in ended])
                if taken or ended:
                    yield taken, dict(following)
        finally:
            consumer.close()

    def tell_group(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Tell the broker's group where this reader is, for tools that show lag; best effort."""
        told = [TopicPartition(*one, offset) for one, offset in sorted(offsets.items())]
        try:
            consumer = Consumer(self._with(**{"group.id": group, "enable.auto.commit": False}))
            try:
                consumer.commit(offsets=told, asynchronous=False)
            finally:
                consumer.close()
        except KafkaException:
            pass  # the offsets that count are in the state

    def _error(self, error: KafkaError) -> Exception:
        """The error for people, or one that is tried again."""
        heard = next((each for each in self._heard if each.code() in _REFUSED), None)
        if error.code() in _REFUSED or heard is not None:
            return SourceError(
                f"the cluster refuses: {(heard or error).str()}",
                where=self.where,
                mend="look at the settings under `client`, and at the rights that they have",
            )
        if error.code() in _PASSING or error.retriable():
            return self._away(error.str())
        return SourceError(f"the cluster says: {error.str()}", where=self.where)

    def _away(self, said: str) -> ConnectionError:
        heard = f" ({self._heard[-1].str()})" if self._heard else ""
        return ConnectionError(f"{said}{heard}")


@dataclass(frozen=True)
class _Told:
    """Turns what the client raises into the errors of ingestion."""

    broker: Broker

    def __enter__(self) -> None:
        self.broker._heard.clear()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KafkaException):
            # that credentials were refused is heard only when asked for; the question says "away"
            self.broker._admin.poll(0)
            raise self.broker._error(error.args[0]) from None


def _is_meant(name: str, pattern: str) -> bool:
    if pattern.startswith("^"):
        return not name.startswith("__") and re.match(pattern, name) is not None
    return name == pattern


def _taken(
    given: list[Message],
    left: set[Partition],
    ends: Mapping[Partition, int],
    following: dict[Partition, int],
    explained: Any,
) -> tuple[list[Message], set[Partition]]:
    """The messages before the ends, and the partitions that have ended; `following` moves on."""
    # of each partition its last: nearly always none has come to its end, and nothing is left out
    places = zip(map(Message.topic, given), map(Message.partition, given), strict=True)
    last: dict[Any, Any] = dict(zip(places, map(Message.offset, given), strict=True))
    if not any(map(Message.error, given)) and all(
        one in left and at + 1 < ends[one] for one, at in last.items()
    ):
        following.update({one: at + 1 for one, at in last.items()})
        return given, set()
    taken, ended = [], set()
    for message in given:
        one = (str(message.topic()), int(message.partition() or 0))
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise explained(error)
        if one not in left or one in ended:
            continue
        offset = int(message.offset() or 0)
        if error is not None or offset >= ends[one]:
            # all before its end has been seen, marks of transactions as well
            if offset >= ends[one]:
                following[one] = ends[one]
                ended.add(one)
            continue
        taken.append(message)
        following[one] = offset + 1
        if offset + 1 >= ends[one]:
            ended.add(one)
    return taken, ended
