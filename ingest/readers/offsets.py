"""Offsets of partitions, as readers have them and as state and book keep them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from ingest.readers.bounds import moment

Partition = tuple[str, int]
"""A topic's name and the number of one of its partitions."""
Place = tuple[str, str, int]
"""The same with the topic's id between the two, as a folder can be called."""


@dataclass(frozen=True)
class Topic:
    """A topic as it was seen: its id is another one when it was made anew."""

    name: str
    id: str
    partitions: tuple[int, ...]

    @property
    def places(self) -> "dict[Partition, Place]":
        """Each partition, and its name for good."""
        return {(self.name, n): place_of(self.name, self.id, n) for n in self.partitions}


def place_of(topic: str, topic_id: str, number: int) -> Place:
    """The place of a partition; ids are base64."""
    return topic, topic_id.replace("/", "_").replace("+", "-"), number


def milliseconds(text: str) -> int:
    """A day or a time (UTC where it has no zone) as Kafka counts it, from 1970 on.

    Raises:
        ValueError: it is none.
    """
    return int(moment(text).replace(tzinfo=UTC).timestamp() * 1000)


def told(found: Mapping[Partition, int]) -> dict[str, dict[str, int]]:
    """Offsets by topic, and below it by the partition's number as text."""
    by_topic: dict[str, dict[str, int]] = {}
    for (topic, number), at in sorted(found.items()):
        by_topic.setdefault(topic, {})[str(number)] = at
    return by_topic


def read(by_topic: Mapping[str, Mapping[str, int]]) -> dict[Partition, int]:
    """The same the other way round."""
    return {
        (topic, int(number)): int(at)
        for topic, numbers in by_topic.items()
        for number, at in numbers.items()
    }
