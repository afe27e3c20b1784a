"""A topic read again from a point on: what `millrace rewind-stream` asks.

What raw holds already is recognised, message by message. What is new (it was dead, or was never
read) or has other columns by now comes in as loads, and stands where it stood when it was first
read. The table's own position stays as it is.
"""

import json
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from ingest.declaration import Table
from ingest.errors import IngestError
from ingest.readers import Batch, Reader, TableState, TopicReader
from ingest.readers.offsets import Partition, milliseconds, read
from ingest.types import literal

if TYPE_CHECKING:  # it needs confluent-kafka, which not everybody has
    from ingest.readers.kafka_broker import Broker

LOADS = "kafka_loads"
FIRST_READ = (
    f"coalesce((select max(l.load_number) from {LOADS} l where l.topic = b._topic "
    'and l."partition" = b._partition and l.low <= b._offset and b._offset < l.high), 0)::bigint'
)
"""SQL over a row: the load that read its message first, by the book; 0 where none did."""


class SinceError(IngestError):
    """A rewind was asked for in words that name no point of a topic."""


@dataclass(frozen=True)
class Since:
    """Where the reading begins again: an offset of each partition, or a time.

    Attributes:
        text: as it was asked for; the state knows an unfinished one by it.
        offset: the offset.
        milliseconds: since 1970, UTC; the other one is None.
    """

    text: str
    offset: int | None = None
    milliseconds: int | None = None

    def begins(
        self, broker: "Broker", first: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> dict[Partition, int]:
        """The offsets to begin at, none before what the broker has or beyond what was read.

        Args:
            broker: the cluster.
            first: the first offset that each partition still has.
            ends: where its own reading stands.
        """
        every = sorted(ends)
        if self.milliseconds is None:
            asked = dict.fromkeys(every, int(self.offset or 0))
        else:
            found = broker.at(every, self.milliseconds)
            asked = {one: ends[one] if found[one] < 0 else found[one] for one in every}
        return {one: min(max(asked[one], first[one]), ends[one]) for one in every}

    def goes_on(self, state: TableState) -> dict[Partition, int] | None:
        """Where the same rewind stopped that did not come to its end."""
        kept = state.get("rewind") or {}
        return read(kept["next"]) if kept.get("to") == self.text else None


def since(text: str, table: Table) -> Since:
    """The point that a person's word means.

    Args:
        text: an offset, or a time (UTC where it has no zone).
        table: the declaration.

    Raises:
        SinceError: the table is no topic, or the word is neither.
    """
    if table.ingest.topic is None:
        raise SinceError(
            f"{table.label} is no topic", mend=f"millrace backfill {table.label} --from … --to …"
        )
    if text.isdecimal():
        return Since(text, offset=int(text))
    try:
        return Since(text, milliseconds=milliseconds(text))
    except ValueError:
        raise SinceError(
            f"--to {text} is no offset and no time",
            mend="write it as 1200, or as 2017-01-31 or '2017-01-31 10:00' (UTC)",
        ) from None


def loads(book: Iterable[Mapping[str, object]]) -> pa.Table:
    """Which offsets each load read first.

    Args:
        book: rows with load_number, cursor_from and cursor_to, of the table's ordinary loads.

    Returns:
        load_number, topic, partition, low, high (without it).
    """
    rows = []
    for row in book:
        if not (row["cursor_from"] and row["cursor_to"]):
            continue
        low = read(json.loads(str(row["cursor_from"])))
        high = read(json.loads(str(row["cursor_to"])))
        for (topic, number), at in high.items():
            if (begin := low.get((topic, number), 0)) < at:
                rows.append((row["load_number"], topic, number, begin, at))
    columns = list(zip(*rows, strict=True)) or [()] * 5
    kinds = {"load_number": pa.int64(), "topic": pa.string(), "partition": pa.int32(),
             "low": pa.int64(), "high": pa.int64()}  # fmt: skip
    return pa.table(
        {name: pa.array(c, kind) for (name, kind), c in zip(kinds.items(), columns, strict=True)}
    )


def again(
    reader: Reader, table: Table, state: TableState, asked: Since, book: pa.Table
) -> Generator[Batch, None, None]:
    """The batches of a rewind, from the reader of a topic."""
    assert isinstance(reader, TopicReader)  # `since` refuses the others
    return reader.again(table, state, asked, book)


def held(begins: Mapping[Partition, int], ends: Mapping[Partition, int]) -> str:
    """SQL: the rows of raw whose messages are in these stretches."""
    parts = [
        f"(_topic = {literal(topic)} and _partition = {number} "
        f"and _offset >= {at} and _offset < {ends[topic, number]})"
        for (topic, number), at in begins.items()
    ]
    return f"({' or '.join(parts) or 'false'})"
