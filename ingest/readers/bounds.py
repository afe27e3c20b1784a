"""Cursors: where the next read starts, and where a long read is cut into windows."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation, localcontext

from ingest.declaration import Table
from ingest.types import INTEGERS, is_decimal

FIRST_YEAR = 1000
"""Times before it are read each time from SQLite, whose times are text."""


def is_time(kind: str) -> bool:
    """The DuckDB type is a date or a moment."""
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def is_number(kind: str) -> bool:
    """The DuckDB type is a number."""
    return kind in INTEGERS or kind == "DOUBLE" or is_decimal(kind)


def lower_bound(
    cursor: str | None, kind: str, table: Table, stall: timedelta = timedelta(0)
) -> str | None:
    """The cursor less the table's lag; None, so that all is read, where there is none.

    Args:
        cursor: where the last load ended, as text.
        kind: the DuckDB type that the cursor is declared with.
        table: the declaration.
        stall: go back by so much more, where the cursor is a time.

    Returns:
        text of the same form: `2017-02-15 10:00:00` in UTC, `2017-02-15` for a date, or a number.
    """
    lag = table.ingest.lag
    if cursor is None:
        return None
    try:
        if is_time(kind):
            when = moment(cursor) - stall - (lag if isinstance(lag, timedelta) else timedelta(0))
            return when.date().isoformat() if kind == "DATE" else shown(when)
        if is_number(kind) and not isinstance(lag, timedelta):
            with localcontext(prec=80):  # no digit of a decimal(38, …) is rounded away
                return format(Decimal(cursor) - Decimal(str(lag)), "f")
    except (ValueError, OverflowError, InvalidOperation):
        return None
    return cursor


def at_least(cursor: str | None, other: str | None, kind: str) -> bool:
    """The cursor is not below the other; no where either is none, or not of the type."""
    if cursor is None or other is None:
        return False
    try:
        if is_time(kind):
            return moment(cursor) >= moment(other)
        return Decimal(cursor) >= Decimal(other) if is_number(kind) else cursor >= other
    except (ValueError, InvalidOperation):
        return False


def moment(text: str) -> datetime:
    """The text of a day or a time as a UTC time.

    Raises:
        ValueError: it is none.
    """
    when = datetime.fromisoformat(text)
    return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when


def shown(when: datetime) -> str:
    """The moment as databases write it, without the microseconds that are none."""
    # not strftime, which writes the year 1 as "1"
    return when.isoformat(sep=" ", timespec="microseconds").removesuffix(".000000")


def between(first: object, last: object, windows: int) -> list[str]:
    """Where to cut the way from first to last into so many windows of equal width.

    No cuts where the cursor is neither a whole number nor a time.
    """
    try:
        if isinstance(first, date) or not str(first).lstrip("-").isdigit():
            start, end = moment(str(first)), moment(str(last))
            step = (end - start) / windows
            cuts = [shown((start + step * i).replace(microsecond=0)) for i in range(1, windows)]
        else:
            width = (int(str(last)) - int(str(first))) / windows
            cuts = [str(int(str(first)) + int(width * i)) for i in range(1, windows)]
    except (ValueError, TypeError, OverflowError):
        return []
    return list(dict.fromkeys(cuts))
