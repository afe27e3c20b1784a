"""A topic whose messages have landed: what the one load takes, and what it waits for.

Each message comes once by the state alone, which names topic id, partition and next offset: files
are taken in the order of offsets, and of those that overlap the state's part is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa

from ingest.declaration import Table
from ingest.errors import SourceError
from ingest.readers import Environment, TableState
from ingest.readers.landing import Files, Landing, covered, next_offsets
from ingest.readers.offsets import Partition, Place, Topic
from ingest.readers.positions import Positions, positions

if TYPE_CHECKING:  # it needs confluent-kafka, which not everybody has
    from ingest.readers.kafka import Read
    from ingest.readers.kafka_broker import Broker


@dataclass(frozen=True)
class Landed:
    """What had landed of a table when its reading began.

    Attributes:
        landing: the landing.
        files: what had landed.
        own: the part of the state that says whose landing this is.
    """

    landing: Landing
    files: Files
    own: TableState

    @classmethod
    def of(cls, table: Table, env: Environment, state: TableState) -> "Landed":
        """Look into the table's landing.

        Args:
            table: the declaration.
            env: where `env:NAME` is looked up.
            state: what the table's last finished load left.

        Raises:
            DeclarationError: the table's landing is no folder.
            SourceError: the load of another warehouse takes from it, or there is what nobody
                landed.
        """
        landing = Landing.of(table, env)
        own = {"landing": state.get("landing") or uuid4().hex}
        told = landing.position()
        if told is not None and told["committer"] != own["landing"]:
            raise SourceError(
                f"the load of another warehouse takes what lands in {landing.folder}",
                where=table.where,
                mend="give each its own `landing`; where that warehouse is no more, delete "
                "position.json there",
            )
        return cls(landing, landing.files(), own)

    def looks(self, broker: "Broker", state: TableState) -> Iterator[Positions]:
        """Where reading stands, and up to where has landed; once more where that was in trouble.

        What has landed is there whatever the broker has by now: where it is away, or has lost
        messages, that comes first.

        Raises:
            ConnectionError: no broker answers.
            SourceError: it refuses, there is no topic; or, when all else has been taken, a stretch
                has not landed though later ones have.
        """
        if "landing" in state:  # a former load may have been killed before it came to this
            self.landing.settle(state)
        rest, where = self._of_state(state), None
        try:
            where = self.look(broker, state)
        except (ConnectionError, SourceError):
            if rest is None:
                raise
        if rest is not None and (where is None or where.gaps):
            yield rest
            state = {**state, **rest.state(rest.ends)}
            where = self.look(broker, state)
        assert where is not None
        taken = replace(where, ends=self._ends(where))
        yield taken
        self.refuse_left(taken, state)

    def look(self, broker: "Broker", state: TableState) -> Positions:
        """Where reading stands by the broker; its ends are those of the topics.

        Raises:
            ConnectionError: no broker answers.
            SourceError: it refuses, or there is no topic.
        """
        known = next_offsets(state)
        landed = {
            place: min(left)
            for place, files in self.files.items()
            if (left := [file.first for file in files if file.next > known.get(place, 0)])
        }
        return positions(broker, self.landing.table, state, landed)

    def waits(self, where: Positions, state: TableState) -> bool:
        """Whether anything has landed that a load would take."""
        return self._ends(where) != where.begins or self._of_state(state) is not None

    def read(self, where: Positions) -> "Read":
        """Reads what has landed of these topics, the partitions in turn."""
        places = _places(where)

        def read(
            begins: Mapping[Partition, int], ends: Mapping[Partition, int]
        ) -> Iterator[tuple[pa.RecordBatch | None, Mapping[Partition, int]]]:
            at = dict(begins)
            turns = [
                (turn, one, file)
                for one in begins
                for turn, file in enumerate(self.files.get(places[one], ()))
            ]
            for _, one, file in sorted(turns, key=lambda turn: turn[:2]):
                if file.next <= at[one] or file.first >= ends[one]:
                    continue
                for batch in self.landing.read(file, at[one], ends[one]):
                    at[one] = batch["offset"][-1].as_py() + 1
                    yield batch, dict(at)
                at[one] = file.next
                yield None, dict(at)

        return read

    def hole(self, where: Positions) -> str:
        """What has not landed though later messages have, behind these ends; nothing, if not."""
        # A list of a folder is not of one moment: it may have a file and not the one that landed
        # before it. So what lies beyond is of the first list, and what is missing of a later one.
        files = self.landing.files()
        for (topic, number), place in _places(where).items():
            at = covered(files.get(place, []), where.ends[topic, number])
            if beyond := [file.first for file in self.files.get(place, ()) if file.first > at]:
                return (
                    f"{topic}/{number}: the messages from offset {at:,} up to {min(beyond):,} have "
                    "not landed, though later ones have; they are waited for, and nothing was "
                    "skipped"
                )
        return ""

    def refuse_left(self, where: Positions, state: TableState) -> None:
        """Stop where something has landed that cannot be taken, once all else is.

        Args:
            where: with the ends of what can be taken.
            state: up to where was taken.

        Raises:
            SourceError: what stands before it has not landed, or its topic is no more.
        """
        table = self.landing.table
        if hole := self.hole(where):
            raise SourceError(hole, where=table.where, mend=f"millrace land {table.label}")
        ids, known = {place[1] for place in _places(where).values()}, next_offsets(state)
        for place, files in self.files.items():
            if place[1] not in ids and files[-1].next > known.get(place, 0):
                raise SourceError(
                    f"{files[-1].path.parent} holds messages of a topic that is no more; they are "
                    "not taken",
                    where=table.where,
                    mend="look at them, and move them away",
                )

    def _of_state(self, state: TableState) -> Positions | None:
        """What has landed of the topics that the state knows; None where that is nothing."""
        if not (kept := state.get("kafka")):
            return None
        topics = tuple(
            Topic(name, topic["id"], tuple(sorted(map(int, topic["next"]))))
            for name, topic in kept["topics"].items()
        )
        begins = {(topic, number): at for (topic, _, number), at in next_offsets(state).items()}
        where = Positions(kept["cluster"], topics, begins, {}, frozenset(), ())
        ends = self._ends(where)
        return None if ends == begins else replace(where, ends=ends)

    def _ends(self, where: Positions) -> dict[Partition, int]:
        return {
            one: covered(self.files.get(place, []), where.begins[one])
            for one, place in _places(where).items()
        }


def _places(where: Positions) -> dict[Partition, Place]:
    """Of each partition the place where it lands."""
    return {one: place for topic in where.topics for one, place in topic.places.items()}
