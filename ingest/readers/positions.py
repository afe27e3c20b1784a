"""Where the reading of topics stands: the offsets in the state against what the broker has.

The state names the cluster, each topic by its name and id, and the next offset of each of its
partitions. Nothing else is ever a position: not the broker's groups, not a count of messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingest.declaration import Table
from ingest.errors import SourceError
from ingest.readers import TableState
from ingest.readers.offsets import Partition, Place, Topic, milliseconds

if TYPE_CHECKING:  # it needs confluent-kafka, which not everybody has
    from ingest.readers.kafka_broker import Broker


@dataclass(frozen=True)
class Gap:
    """Messages that the broker has no more and that were never read.

    Attributes:
        partition: where.
        low: the first lost offset.
        high: the first offset after them; None where nobody can know.
        why: in words.
    """

    partition: Partition
    low: int
    high: int | None
    why: str

    @property
    def told(self) -> str:
        """In words: how many, where, why."""
        topic, number = self.partition
        count = "an unknown number of" if self.high is None else f"up to {self.high - self.low:,}"
        return (
            f"{topic}/{number}: {count} messages from offset {self.low:,} on are gone: {self.why}"
        )


@dataclass(frozen=True)
class Positions:
    """Where to read from, and up to where.

    Attributes:
        cluster: the cluster's id.
        topics: as they are now.
        begins: the next offset of each partition.
        ends: where each ends by now.
        fresh: partitions that were not there before.
        gaps: what is lost.
    """

    cluster: str
    topics: tuple[Topic, ...]
    begins: dict[Partition, int]
    ends: dict[Partition, int]
    fresh: frozenset[Partition]
    gaps: tuple[Gap, ...]

    def state(self, following: Mapping[Partition, int]) -> TableState:
        """The state that these next offsets are."""
        topics = {
            topic.name: {
                "id": topic.id,
                "next": {
                    str(number): following[topic.name, number]
                    for number in topic.partitions
                    if (topic.name, number) in following
                },
            }
            for topic in self.topics
        }
        return {"kafka": {"cluster": self.cluster, "topics": topics}}


def positions(
    broker: "Broker",
    table: Table,
    state: TableState,
    landed: Mapping[Place, int] | None = None,
) -> Positions:
    """Where the table's reading stands.

    Args:
        broker: the cluster.
        table: the declaration.
        state: what the table's last load left.
        landed: the first offset that has landed and is not in: what the broker keeps no longer is
            not lost where it has.

    Raises:
        ConnectionError: no broker answers.
        SourceError: see `Broker.topics`.
    """
    cluster, topics = broker.topics(str(table.ingest.topic))
    every = [(topic.name, number) for topic in topics for number in topic.partitions]
    # the ends first: what comes meanwhile is the next batch's
    ends, first = broker.end(every), broker.first(every)
    for topic in topics:
        for one, place in topic.places.items():
            first[one] = min(first[one], (landed or {}).get(place, first[one]))
    kept = state.get("kafka") or {}
    begins: dict[Partition, int] = {}
    fresh, gaps = set(), []
    for topic in topics:
        before = kept.get("topics", {}).get(topic.name)
        if before is not None and before["id"] != topic.id:
            gaps += _of_another(topic, before, kept["cluster"] != cluster)
            before = {"id": topic.id, "next": {}}
        known = {int(number): int(at) for number, at in (before or {}).get("next", {}).items()}
        new = [(topic.name, n) for n in topic.partitions if n not in known]
        if before is None and not kept:
            begins |= _started(broker, table, new, first, ends)
        elif before is None:  # it has come since, or is declared since: nothing of it is old
            begins |= {one: first[one] for one in new}
        else:
            begins |= {one: first[one] for one in new}
            fresh |= set(new)
        for number in known.keys() & set(topic.partitions):
            one = (topic.name, number)
            if known[number] > ends[one] and known[number] <= broker.high(one):
                # read with open transactions before, which are waited for now
                ends[one] = known[number]
            begins[one], gap = _against(one, known[number], first[one], ends[one])
            gaps += [gap] if gap else []
    gone = kept.get("topics", {}).keys() - {topic.name for topic in topics}
    # a topic of a pattern that is there no more: what was unread in it, nobody can know
    gaps += [
        Gap((name, int(number)), int(at), None, "the topic was deleted, or is declared no more")
        for name in sorted(gone)
        for number, at in kept["topics"][name]["next"].items()
    ]
    return Positions(cluster, tuple(topics), begins, ends, frozenset(fresh), tuple(gaps))


def _of_another(topic: Topic, before: Mapping[str, Any], cluster: bool) -> list[Gap]:
    why = "this is another cluster" if cluster else "the topic was deleted and made anew"
    return [
        Gap((topic.name, int(number)), int(at), None, why) for number, at in before["next"].items()
    ]


def _against(one: Partition, at: int, first: int, end: int) -> tuple[int, Gap | None]:
    """The next offset of a partition that is known, and what is lost of it."""
    if at < first:
        return first, Gap(one, at, first, "the broker kept them no longer (retention)")
    if at > end:
        why = f"the log was cut back to {end:,}, and what was read after it is no more"
        return end, Gap(one, end, at, why)
    return at, None


def _started(
    broker: "Broker",
    table: Table,
    partitions: list[Partition],
    first: Mapping[Partition, int],
    ends: Mapping[Partition, int],
) -> dict[Partition, int]:
    """Where a topic begins that is read for the first time."""
    start = table.ingest.start
    if start == "earliest":
        return {one: first[one] for one in partitions}
    if start == "latest":
        return {one: ends[one] for one in partitions}
    found = broker.at(partitions, milliseconds(start))
    return {one: ends[one] if at < 0 else at for one, at in found.items()}


def refuse_loss(table: Table, gaps: tuple[Gap, ...]) -> None:
    """Stop where messages are lost: it is a person's to go on.

    Raises:
        SourceError: there are gaps.
    """
    if not gaps:
        return
    more = f"\n  and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    raise SourceError(
        "messages are lost that were never read; nothing was skipped\n  "
        + "\n  ".join(gap.told for gap in gaps[:3])
        + more,
        where=table.where,
        mend="look for another copy of them; to go on without, which the books will say: "
        f"millrace load {table.label} --accept-loss",
    )
