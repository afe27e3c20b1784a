"""A stretch of a table's cursor that is read again, piece by piece: what `millrace backfill` asks.

Each piece is a load of its own, and how far it came is in the state that is committed with it. The
table's own position stays as it is.
"""

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol, runtime_checkable

import duckdb

from ingest.declaration import Source, Table, nearest
from ingest.errors import IngestError
from ingest.readers import Batch, Reader, TableState, cursor_kind
from ingest.readers.bounds import at_least, between, is_number, is_time, moment, shown
from ingest.types import INTEGERS, cast, literal, quote

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MOST = 10_000  # pieces of one backfill

Chunk = timedelta | Decimal | None


class StretchError(IngestError):
    """A backfill was asked for in words that name none."""


@dataclass(frozen=True)
class Stretch:
    """From `low` up to, and without, `high`.

    Attributes:
        column: the cursor.
        kind: the DuckDB type that it is declared with.
        low: the first value.
        high: the first value that is not of it any more.
        chunk: the width of a piece; None for pieces of about a window's rows.
    """

    column: str
    kind: str
    low: str
    high: str
    chunk: Chunk

    @property
    def name(self) -> dict[str, str]:
        """What tells it from another stretch, as the state keeps it."""
        return {"column": self.column, "from": self.low, "to": self.high}

    def left(self, state: TableState) -> "Stretch":
        """What is left of it, where a backfill of just this stretch did not come to its end."""
        kept = state.get("backfill") or {}
        if {key: kept.get(key) for key in self.name} != self.name:
            return self
        return replace(self, low=str(kept["done_to"]))

    def goes_on(self, state: TableState) -> str:
        """What is to be told of a backfill that did not come to its end; nothing without one."""
        if not (kept := state.get("backfill")):
            return ""
        if self.left(state) is not self:
            return f"goes on at {kept['done_to']}, where it was"
        reach = f"from {kept['from']} to {kept['to']}"
        return f"a backfill {reach}, done up to {kept['done_to']}, is given up for this one"

    def pieces(
        self, counted: Callable[[], tuple[int, Any, Any]], window: int
    ) -> Iterator[tuple[str, str]]:
        """Where each piece begins and ends.

        Args:
            counted: gives how many rows the stretch has, and the first and the last cursor.
            window: about so many rows to a piece.
        """
        low = self.low
        for end in [*self._ends(counted, window), self.high]:
            if at_least(end, self.high, self.kind) and end != self.high:
                continue
            if end != low:
                yield low, end
            low = end

    def _ends(self, counted: Callable[[], tuple[int, Any, Any]], window: int) -> Iterator[str]:
        if self.chunk is None:
            count, first, last = counted()
            windows = -(-int(count) // window)
            yield from between(first, last, windows) if windows > 1 else []
        elif isinstance(self.chunk, Decimal):
            for number in range(1, self.count):
                yield format(Decimal(self.low) + number * self.chunk, "f")
        else:
            for number in range(1, self.count):
                when = moment(self.low) + number * self.chunk
                yield when.date().isoformat() if self.kind == "DATE" else shown(when)

    @property
    def count(self) -> int:
        """How many pieces a chunk makes of it, at most; 1 without a chunk."""
        if isinstance(self.chunk, Decimal):
            return int((Decimal(self.high) - Decimal(self.low)) // self.chunk) + 1
        if self.chunk is not None:
            return (moment(self.high) - moment(self.low)) // self.chunk + 1
        return 1

    def asked(self, whole: "Stretch", end: str) -> Batch:
        """The batch of a piece, without its rows.

        Args:
            whole: the stretch as it was asked for.
            end: where the piece ends.
        """
        done = None if end == whole.high else {**whole.name, "done_to": end}
        return Batch("", {}, {"backfill": done}, self.low, cursor_to=end, backfill=True)


@runtime_checkable
class StretchReader(Protocol):
    """A reader of tables with a cursor."""

    def stretch(
        self, table: Table, whole: Stretch, state: TableState
    ) -> Generator[Batch, None, None]:
        """The pieces that are left of the stretch, each to be loaded before the next."""
        ...


def again(
    reader: Reader, table: Table, whole: Stretch, state: TableState
) -> Generator[Batch, None, None]:
    """The batches of a stretch, from any reader that can read one."""
    assert isinstance(reader, StretchReader)  # `stretch_of` refuses the others
    return reader.stretch(table, whole, state)


def within(whole: Stretch, column_type: str, low: str, high: str) -> str:
    """A condition, for DuckDB: the cursor, of this type, is once it is cast in the piece."""
    value, kind = cast(quote(whole.column), column_type, whole.kind), whole.kind
    return (
        f"{value} >= cast({literal(low)} as {kind}) and {value} < cast({literal(high)} as {kind})"
    )


def stretch_of(source: Source, table: Table, low: str, high: str, chunk: str | None) -> Stretch:
    """The stretch that a person's words mean.

    Args:
        source: the declaration.
        table: one of its tables.
        low: the first value of the cursor.
        high: the first value after the last one.
        chunk: the width of a piece, as `7d` or a number.

    Raises:
        StretchError: the table cannot be read in stretches, or the words do not fit its cursor.
    """
    cursor = table.ingest.cursor
    if source.ingest.kind == "files":
        raise StretchError(
            f"{table.label} is read from files, which are known by content, not by a cursor",
            mend="have the files sent again: what is new in them is loaded by `millrace load`",
        )
    if source.ingest.kind == "kafka":
        raise StretchError(
            f"{table.label} is a topic, which is read by its offsets",
            mend=f"millrace rewind-stream {table.label} --to 2017-01-31",
        )
    if cursor is None:
        raise StretchError(
            f"{table.label} has no cursor: it is read and compared whole with every load",
            mend=f"millrace load {table.label}",
        )
    with duckdb.connect() as con:
        kind = cursor_kind(con, table)
    first, last = (_value(text, kind, table, word) for text, word in ((low, "from"), (high, "to")))
    if at_least(first, last, kind) or first == last:
        raise StretchError(
            f"--from {low} does not come before --to {high}",
            mend="--from is the first value that is read, --to the first that is not read any more",
        )
    made = Stretch(cursor, kind, first, last, _chunk(chunk, kind, table))
    if made.count > _MOST:
        raise StretchError(
            f"--chunk {chunk} makes {made.count:,} loads of this; {_MOST:,} at most",
            mend="give a wider chunk, or none",
        )
    return made


def _value(text: str, kind: str, table: Table, word: str) -> str:
    """The word in the cursor's own form."""
    what = f"--{word} {text}: {table.label} has the cursor {table.ingest.cursor!r}"
    if is_time(kind):
        try:
            when = moment(text.strip())
        except (ValueError, OverflowError):
            raise StretchError(
                f"{what}, a time", mend="write it as 2017-01-31, or '2017-01-31 10:00:00' (UTC)"
            ) from None
        if kind != "DATE":
            return shown(when)
        if shown(when) != f"{when.date()} 00:00:00":
            raise StretchError(f"{what}, a day", mend="write it as 2017-01-31")
        return when.date().isoformat()
    if is_number(kind):
        try:
            number = Decimal(text.strip())
            if number.is_finite() and (kind not in INTEGERS or number == number.to_integral()):
                return format(number, "f") if kind not in INTEGERS else str(int(number))
        except InvalidOperation:
            pass
        whole = "a whole number" if kind in INTEGERS else "a number"
        raise StretchError(f"{what}, {whole}", mend=f"--{word} 1000")
    return text


def _chunk(text: str | None, kind: str, table: Table) -> Chunk:
    what = f"--chunk {text}: {table.label} has the cursor {table.ingest.cursor!r}"
    if text is None:
        return None
    if is_number(kind):
        number = r"\d+" if kind in INTEGERS else r"\d+(\.\d+)?"
        if re.fullmatch(number, text.strip()) and Decimal(text) > 0:
            return Decimal(text)
        raise StretchError(f"{what}, a number", mend="--chunk 100000")
    if not is_time(kind):
        raise StretchError(f"{what}, which is text", mend="leave --chunk away")
    match = re.fullmatch(r"(\d{1,6})\s*([smhdw])", text.strip())
    width = timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else timedelta(0)
    if width <= timedelta(0) or (kind == "DATE" and width % timedelta(days=1)):
        units = "7d or 4w" if kind == "DATE" else "30m, 12h, 7d or 4w"
        raise StretchError(
            f"{what}, a {'day' if kind == 'DATE' else 'time'}", mend=f"--chunk {units}"
        )
    return width


def named(sources: tuple[Source, ...], word: str) -> tuple[Source, Table]:
    """The table that `source.table` names.

    Raises:
        StretchError: there is none; the nearest is given.
    """
    tables = {table.label: (source, table) for source in sources for table in source.tables}
    if word in tables:
        return tables[word]
    near = nearest(word, tables)
    if not near:
        parts = [label for label in tables if word in label.split(".")]
        near = f"; did you mean {parts[0]!r}?" if parts else ""
    raise StretchError(f"there is no table {word!r}; write it as source.table{near}")
