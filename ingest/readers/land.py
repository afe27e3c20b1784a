"""A reader that lands messages for the load: any number of them, on any machine, with no lock.

What has landed is known from the names of the files, so a reader keeps nothing: it lands what is
missing up to the ends of its partitions. Where two read the same, or one was killed and begins with
other cuts, files overlap, and the load leaves out what it has.
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from ingest.declaration import Source, Table
from ingest.errors import IngestError, SourceError
from ingest.readers import Environment
from ingest.readers.ahead import ahead
from ingest.readers.kafka import Piece, from_broker, open_broker, pieces
from ingest.readers.landing import File, Landing, by_partition, missing, next_offsets
from ingest.readers.messages import SCHEMA
from ingest.readers.offsets import Partition, Place
from ingest.readers.positions import Gap, Positions, refuse_loss

_BYTES = 256 << 20  # of one partition that wait in the landing, at most about,
_FILES = 1_000  # and so many files; more stays in the broker
_WINDOW = 200_000  # messages that are landed at once, about


@dataclass(frozen=True)
class Share:
    """The partitions that are one reader's: some by number, or one of several equal shares.

    Attributes:
        numbers: of partitions; empty for a share.
        nth: which share, from 0.
        of: how many shares there are.
    """

    numbers: Collection[int] = ()
    nth: int = 0
    of: int = 1

    def has(self, one: Partition) -> bool:
        """Whether it is of this share; it stays so whatever other partitions there are."""
        topic, number = one
        if self.numbers:
            return number in self.numbers
        return (zlib.crc32(topic.encode()) + number) % self.of == self.nth


@dataclass
class Round:
    """What one look at the topics came to. Sizes are bytes of the files.

    Attributes:
        full: partitions of which so much waits for the load that no more was landed.
        problem: what could not be landed, when all else was; None where all was well.
    """

    messages: int = 0
    files: int = 0
    size: int = 0
    full: set[Partition] = field(default_factory=set)
    problem: IngestError | None = None


@dataclass(frozen=True)
class _Plan:
    """Where each partition is to be read, one stretch of each, and what cannot be."""

    begins: dict[Partition, int]
    ends: dict[Partition, int]
    gaps: tuple[Gap, ...]


class Lander:
    """Lands the messages of one table's topics.

    Args:
        source: the declaration.
        table: one of its tables, with a `landing`.
        env: where `env:NAME` is looked up.
        share: its partitions.

    Raises:
        UnsetError: a variable of the settings is not set.
        DeclarationError: the table has no landing.
        SourceError: confluent-kafka is not installed.
    """

    def __init__(self, source: Source, table: Table, env: Environment, share: Share) -> None:
        self._table, self._share = table, share
        self._landing = Landing.of(table, env)
        self._broker = open_broker(source, table, env)

    def round(self, stop: Callable[[], bool] = lambda: False) -> Round:
        """Land what is missing up to where the topics end now.

        Args:
            stop: asked after each piece; where it says so, the rest is left.

        Raises:
            ConnectionError: the broker is away, also after some seconds.
            SourceError: it refuses; or no load has said yet where reading begins.
        """
        cluster, topics = self._broker.topics(str(self._table.ingest.topic))
        places = {
            one: place
            for topic in topics
            for one, place in topic.places.items()
            if self._share.has(one)
        }
        ends, first = self._broker.end(sorted(places)), self._broker.first(sorted(places))
        done, gaps = Round(), dict[str, Gap]()
        while not stop():
            plan = self._plan(places, first, ends, done)
            gaps |= {gap.told: gap for gap in plan.gaps}
            if not plan.begins:
                break
            where = Positions(cluster, tuple(topics), plan.begins, plan.ends, frozenset(), ())
            for piece in ahead(pieces(from_broker(self._broker), where, _WINDOW)):
                if self._lands(places, cluster, piece, done) or stop():
                    break
        done.problem = _problem(self._table, tuple(gaps.values()))
        return done

    def _plan(
        self,
        places: Mapping[Partition, Place],
        first: Mapping[Partition, int],
        ends: Mapping[Partition, int],
        done: Round,
    ) -> _Plan:
        """The first stretch of each partition that has not landed."""
        # what the load deletes between the two looks, its position then tells
        files, told = self._landing.files(), self._landing.position()
        if told is None:
            raise SourceError(
                f"no load has said yet where the reading of {self._table.label} begins",
                where=self._table.where,
                mend=f"millrace load {self._table.label}",
            )
        known = next_offsets(told)
        ids = {topic: topic_id for topic, topic_id, _ in known}
        begins, until, gaps = dict[Partition, int](), dict[Partition, int](), list[Gap]()
        for one, place in places.items():
            if ids.get(one[0], place[1]) != place[1]:
                why = "the topic was deleted and made anew, or is another cluster's"
                gaps.append(Gap(one, known.get((one[0], ids[one[0]], one[1]), 0), None, why))
                continue
            there = files.get(place, [])
            at = known.get(place, first[one])
            gaps += self._cut_back(one, there, ends[one])
            for low, high in missing(there, at, ends[one]):
                if low < first[one]:
                    why = "the broker kept them no longer (retention)"
                    gaps.append(Gap(one, low, min(first[one], high), why))
                    low = min(first[one], high)
                # a hole is landed in any case: the load waits for it
                is_last = not any(file.first >= high for file in there)
                if low < high and is_last and _is_full(there, at):
                    done.full.add(one)
                elif low < high:
                    begins[one], until[one] = low, high
                    break
        return _Plan(begins, until, tuple(gaps))

    def _cut_back(self, one: Partition, files: list[File], end: int) -> Iterator[Gap]:
        """Whether more has landed than the topic has by now, open transactions included."""
        reached = max((file.next for file in files), default=end)
        if reached > end and reached > self._broker.high(one):
            yield Gap(one, end, reached, f"the log was cut back to {end:,}")

    def _lands(
        self, places: Mapping[Partition, Place], cluster: str, piece: Piece, done: Round
    ) -> bool:
        """Land a piece, a file for each partition; whether one has enough now."""
        batches, low, high, _ = piece
        rows = pa.Table.from_batches(batches, SCHEMA)
        moved = [one for one in sorted(high) if high[one] > low[one]]
        for one in moved:
            own = rows if len(moved) == 1 else by_partition(rows, one)
            size = self._landing.write(places[one], cluster, own, low[one], high[one])
            if size:
                done.messages += own.num_rows
                done.files += 1
                done.size += size
        files, known = self._landing.files(), next_offsets(self._landing.position() or {})
        return any(_is_full(files.get(places[one], []), known.get(places[one], 0)) for one in moved)


def _is_full(files: list[File], at: int) -> bool:
    """Whether so much of a partition waits for the load that more is left in the broker."""
    waiting = [file.size for file in files if file.next > at]
    return len(waiting) >= _FILES or sum(waiting) >= _BYTES


def _problem(table: Table, gaps: tuple[Gap, ...]) -> IngestError | None:
    try:
        refuse_loss(table, gaps)
    except SourceError as error:
        return error
    return None
