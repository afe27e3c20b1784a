"""Topics of Kafka: a batch is what stood in them when its reading began.

Its end is fixed first: the last stable offset of each partition. It is read in pieces that fit into
memory, and where it ended is in the state, which comes in with the rows and nowhere else.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from ingest.declaration import Source, Table
from ingest.errors import IngestError, SourceError
from ingest.readers import (
    Batch,
    Environment,
    Reader,
    Seen,
    TableState,
    breaking,
    described,
    resolve,
)
from ingest.readers.ahead import ahead
from ingest.readers.formats import Formats
from ingest.readers.landed import Landed
from ingest.readers.messages import Messages, record_batch
from ingest.readers.offsets import Partition, told
from ingest.readers.positions import Gap, Positions, positions, refuse_loss
from ingest.readers.rewound import FIRST_READ, LOADS, Since, held
from ingest.types import literal

if TYPE_CHECKING:  # it needs confluent-kafka, which not everybody has
    from ingest.readers.kafka_broker import Broker

_ROWS = 200_000  # of one piece,
_BYTES = 64 << 20  # or so many bytes of values,
_SECONDS = 30.0  # or so long, after which what is there is loaded


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """The reader of a source of kind `kafka`."""
    formats = Formats(source, scratch, env)
    try:
        yield KafkaReader(source, con, env, formats)
    finally:
        formats.close()


def open_broker(source: Source, table: Table, env: Environment) -> "Broker":
    """The cluster, for the topics of one table.

    Raises:
        UnsetError: a variable of the settings is not set.
        SourceError: confluent-kafka is not installed.
    """
    try:
        from ingest.readers.kafka_broker import Broker
    except ModuleNotFoundError:
        raise SourceError(
            "the client of Kafka is not installed",
            where=table.where,
            mend="pip install 'millrace[kafka]'",
        ) from None
    settings = dict(resolve(source.ingest.client or {}, env, source.where))
    settings["bootstrap.servers"] = resolve(source.ingest.brokers, env, source.where)
    return Broker(settings, table.ingest.isolation, table.where)


class KafkaReader:
    """Reads the topics of one cluster."""

    def __init__(
        self, source: Source, con: duckdb.DuckDBPyConnection, env: Environment, formats: Formats
    ) -> None:
        self._source, self._con, self._env, self._formats = source, con, env, formats

    def behind_loss(self, table: Table, state: TableState) -> Generator[Batch, None, None]:
        """The same, where messages were lost and a person has said that it goes on."""
        return self.batches(table, state, accept_loss=True)

    def batches(
        self, table: Table, state: TableState, *, accept_loss: bool = False
    ) -> Generator[Batch, None, None]:
        """What came since the state, in pieces.

        Raises:
            ConnectionError: the broker is away, also after some seconds.
            SourceError: it refuses, or messages are lost that were never read.
        """
        broker = open_broker(self._source, table, self._env)
        landed = Landed.of(table, self._env, state) if table.ingest.landing is not None else None
        looks = landed.looks(broker, state) if landed else [positions(broker, table, state)]
        for where in looks:
            if not accept_loss:
                refuse_loss(table, where.gaps)
            given, read = False, landed.read(where) if landed else from_broker(broker)
            for batches, low, high, joins in ahead(pieces(read, where, table.ingest.window)):
                lost = () if given else where.gaps
                make = partial(
                    self._batch, table, broker, where, batches, low, high, joins, lost, landed
                )
                yield from _given(table, make)
                given = True
            own = {**where.state(where.begins), **(landed.own if landed else {})}
            if not given and any(state.get(key) != value for key, value in own.items()):
                # the first look at a topic, or a loss: from here on it counts
                at = where.begins
                yield self._batch(table, broker, where, [], at, at, False, where.gaps, landed)
            state = {**state, **where.state(where.ends)}

    def again(
        self, table: Table, state: TableState, asked: Since, book: pa.Table
    ) -> Generator[Batch, None, None]:
        """What was read since a point, once more, up to where the reading stands.

        Args:
            table: the declaration.
            state: what the table's last load left.
            asked: the point.
            book: which offsets each load read first, see `rewound.loads`.

        Raises:
            ConnectionError: the broker is away, also after some seconds.
            SourceError: it refuses, or the topic is not the one that was read.
        """
        broker = open_broker(self._source, table, self._env)
        where = positions(broker, table, state)
        refuse_loss(table, tuple(gap for gap in where.gaps if gap.high is None))
        ends = {one: at for one, at in where.begins.items() if one not in where.fresh}
        begins = asked.begins(broker, broker.first(sorted(ends)), ends)
        begins |= asked.goes_on(state) or {}
        read = from_broker(broker)
        self._con.register(LOADS, book)
        try:
            there = replace(where, begins=begins, ends=ends, fresh=frozenset())
            for batches, low, high, joins in ahead(pieces(read, there, table.ingest.window)):
                done = None if high == ends else {"to": asked.text, "next": told(high)}
                # the book says where messages were first read: not here
                changes = {
                    "state": {"rewind": done},
                    "cursor_from": None,
                    "cursor_to": None,
                    "held": held(low, high),
                    "replayed_from": FIRST_READ,
                    "taken": lambda: None,
                }
                make = partial(self._batch, table, broker, there, batches, low, high, joins, ())
                yield from _given(table, make, changes)
        finally:
            self._con.unregister(LOADS)

    def _batch(
        self,
        table: Table,
        broker: "Broker",
        where: Positions,
        batches: list[pa.RecordBatch],
        low: Mapping[Partition, int],
        high: Mapping[Partition, int],
        joins: bool,
        lost: tuple[Gap, ...],
        landed: Landed | None = None,
        *,
        alike: bool = False,
    ) -> Batch:
        messages = Messages(self._con, table, self._formats.of(table))
        rows, letters = messages.relations(batches, alike=alike)
        state = {**where.state(high), **(landed.own if landed else {})}
        hole = landed.hole(where) if landed else ""
        return Batch(
            rows,
            described(self._con, rows),
            state=state,
            cursor_from=json.dumps(told(low)),
            cursor_to=json.dumps(told(high)),
            unparsable=" union all ".join(filter(None, [letters, *map(_letter, lost)])) or None,
            origin=_ids(where),
            places=True,
            joins=joins,
            kept=True,
            notes=(f"{table.label}: {hole}: millrace land {table.label}",) if hole else (),
            taken=partial(_taken, broker, table, landed, state, dict(high)),
        )


def _given(
    table: Table, make: Callable[..., Batch], changes: Mapping[str, Any] | None = None
) -> Generator[Batch, None, None]:
    """The batch, first as if its messages were all alike; thrown back, the one for all others."""
    if table.ingest.format in (None, "json"):
        try:
            yield replace(make(alike=True), **(changes or {}))
            return
        except (duckdb.Error, IngestError):
            pass
    yield replace(make(), **(changes or {}))


Read = Callable[
    [Mapping[Partition, int], Mapping[Partition, int]],
    Iterator[tuple[pa.RecordBatch | None, Mapping[Partition, int]]],
]
"""Given where to begin and where to end: messages, if any, and the next offsets after them."""
Piece = tuple[list[pa.RecordBatch], dict[Partition, int], dict[Partition, int], bool]
"""Messages, the next offsets before and after them, and whether it goes on."""


def from_broker(broker: "Broker") -> Read:
    """Reads what stands in the topics."""

    def read(
        begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Iterator[tuple[pa.RecordBatch | None, Mapping[Partition, int]]]:
        for messages, at in broker.messages(begins, ends):
            yield record_batch(messages) if messages else None, at

    return read


def pieces(read: Read, where: Positions, window: int) -> Iterator[Piece]:
    """What is to be read, in pieces that fit into memory.

    Partitions that are new come last and by themselves, so that all that a key had in the partition
    it left is of an earlier load. From that load on they are known: who takes one load at a time
    would otherwise wait for a moment at which the others bring nothing.
    """
    most = min(_ROWS, window)
    following = {one: at for one, at in where.begins.items() if one not in where.fresh}
    for fresh in (False, True):
        begins = {one: at for one, at in where.begins.items() if (one in where.fresh) == fresh}
        following |= begins
        ends = {one: where.ends[one] for one in begins}
        low, batches, began = dict(following), list[pa.RecordBatch](), time.monotonic()
        rows = size = 0
        goes_on = False
        for messages, at in read(begins, ends):
            following |= at
            if messages is not None:
                batches.append(messages)
                rows += messages.num_rows
                size += messages.nbytes
            late = time.monotonic() - began > _SECONDS
            if rows >= most or size >= _BYTES or (late and rows):
                goes_on = not late
                yield batches, low, dict(following), goes_on
                low, batches, rows, size = dict(following), [], 0, 0
                began = time.monotonic() if late else began
        known = {} if fresh else {one: where.begins[one] for one in where.fresh}
        if low != following or batches or (known and goes_on):
            yield batches, {**low, **known}, {**following, **known}, False


def _taken(
    broker: "Broker",
    table: Table,
    landed: Landed | None,
    state: TableState,
    high: Mapping[Partition, int],
) -> None:
    """A load is in: tell readers, and the broker's group."""
    if landed:
        landed.landing.settle(state)
    broker.tell_group(f"millrace.{table.label}", high)


def _ids(where: Positions) -> str:
    """SQL over a `_source`: the id of its topic, which is another one when it is made anew."""
    ids = " ".join(f"when {literal(t.name)} then {literal(t.id)}" for t in where.topics)
    return f"case split_part(_source, '/', 1) {ids} else '' end"


def _letter(gap: Gap) -> str:
    """SQL of the dead letter that stands for what is lost."""
    topic, number = gap.partition
    payload = json.dumps({"from": gap.low, "to": gap.high, "why": gap.why})
    place = f"{topic}/{number}/{gap.low}-{'' if gap.high is None else gap.high}"
    return f"select {literal(payload)} as payload, {breaking('lost')}, {literal(place)} as _source"
