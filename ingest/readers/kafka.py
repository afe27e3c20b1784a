"""Topics of Kafka: a batch is what stood in them when its reading began.

Its end is fixed first: the last stable offset of each partition. It is read in pieces that fit into
memory, and where it ended is in the state, which comes in with the rows and nowhere else.
"""

import json
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest.declaration import Source, Table
from ingest.readers import (
    Batch,
    Environment,
    Reader,
    Seen,
    TableState,
    described,
    resolve,
)
from ingest.readers.kafka_broker import Broker, Partition
from ingest.readers.messages import Messages, record_batch
from ingest.readers.positions import Gap, Positions, positions, refuse_loss
from ingest.types import literal

_ROWS = 200_000  # of one piece,
_BYTES = 64 << 20  # or so many bytes of values,
_SECONDS = 30.0  # or so long, after which what is there is loaded


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """The reader of a source of kind `kafka`.

    Raises:
        UnsetError: a variable of the settings is not set.
        SourceError: confluent-kafka is not installed.
    """
    settings = resolve(source.ingest.client or {}, env, source.where)
    settings["bootstrap.servers"] = resolve(source.ingest.brokers, env, source.where)
    yield KafkaReader(source.name, con, settings)


class KafkaReader:
    """Reads the topics of one cluster."""

    def __init__(
        self, source: str, con: duckdb.DuckDBPyConnection, settings: Mapping[str, Any]
    ) -> None:
        self._source, self._con, self._settings = source, con, settings

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
        broker = Broker(self._settings, table.ingest.isolation, table.where)
        where = positions(broker, table, state)
        if not accept_loss:
            refuse_loss(table, where.gaps)
        pieces = _Pieces(broker, where)
        given = False
        for batches, low, high, joins in pieces:
            lost = () if given else where.gaps
            yield self._batch(table, broker, where, batches, low, high, joins, lost)
            given = True
        if not given and where.state(where.begins)["kafka"] != state.get("kafka"):
            # the first look at a topic, or a loss: from here on it counts
            yield self._batch(
                table, broker, where, [], where.begins, where.begins, False, where.gaps
            )

    def _batch(
        self,
        table: Table,
        broker: Broker,
        where: Positions,
        batches: list[pa.RecordBatch],
        low: Mapping[Partition, int],
        high: Mapping[Partition, int],
        joins: bool,
        lost: tuple[Gap, ...],
    ) -> Batch:
        rows, letters = Messages(self._con, table).relations(batches)
        return Batch(
            rows,
            described(self._con, rows),
            state=where.state(high),
            cursor_from=_shown(low),
            cursor_to=_shown(high),
            unparsable=" union all ".join([letters, *map(_letter, lost)]),
            origin=" ".join(topic.id for topic in where.topics),
            joins=joins,
            kept=True,
            taken=partial(broker.tell_group, f"millrace.{table.label}", dict(high)),
        )


class _Pieces:
    """A batch in pieces: (messages in columns, next offsets before, after, whether it goes on).

    Partitions that are new come last and by themselves, so that all that a key had in the partition
    it left is of an earlier load.
    """

    def __init__(self, broker: Broker, where: Positions) -> None:
        self._broker, self._where = broker, where

    def __iter__(
        self,
    ) -> Iterator[tuple[list[pa.RecordBatch], dict[Partition, int], dict[Partition, int], bool]]:
        where = self._where
        following = {one: at for one, at in where.begins.items() if one not in where.fresh}
        for fresh in (False, True):
            begins = {one: at for one, at in where.begins.items() if (one in where.fresh) == fresh}
            following |= begins
            ends = {one: where.ends[one] for one in begins}
            low, batches, began = dict(following), list[pa.RecordBatch](), time.monotonic()
            rows = size = 0
            for messages, at in self._broker.messages(begins, ends):
                following |= at
                if messages:
                    batches.append(record_batch(messages))
                    rows += len(messages)
                    size += batches[-1].nbytes
                late = time.monotonic() - began > _SECONDS
                if rows >= _ROWS or size >= _BYTES or (late and rows):
                    yield batches, low, dict(following), not late
                    low, batches, rows, size = dict(following), [], 0, 0
                    began = time.monotonic() if late else began
            if low != following or batches:
                yield batches, low, dict(following), False


def _shown(offsets: Mapping[Partition, int]) -> str:
    """Offsets as the book keeps them: topic to partition to the next one, as JSON."""
    told: dict[str, dict[str, int]] = {}
    for (topic, number), at in sorted(offsets.items()):
        told.setdefault(topic, {})[str(number)] = at
    return json.dumps(told)


def _letter(gap: Gap) -> str:
    """SQL of the dead letter that stands for what is lost."""
    topic, number = gap.partition
    payload = json.dumps({"from": gap.low, "to": gap.high, "why": gap.why})
    return (
        f"select {literal(payload)} as payload, '[\"lost\"]' as broken_rules, "
        f"{literal(f'{topic}/{number}/{gap.low}')} as _source"
    )
