"""Offsets of partitions, as readers have them and as state and book keep them."""

from collections.abc import Mapping

Partition = tuple[str, int]
"""A topic's name and the number of one of its partitions."""


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
