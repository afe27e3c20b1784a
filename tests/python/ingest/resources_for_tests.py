"""dlt sources as users write them, named in the tests' declarations."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import dlt
import pandas as pd
import pyarrow as pa

ROWS = [
    {"id": 1, "updatedAt": "2017-01-01T10:00:00Z", "name": "a", "tags": [1, 2]},
    {"id": 2, "updatedAt": "2017-01-01T11:00:00Z", "name": "b", "tags": None},
    {"id": 3, "updatedAt": None, "name": "c", "tags": []},
]
asked: list[str | None] = []
numbered: list[dict[str, int]] = []


@dlt.source
def shop(since: str | None = None, token: str = "") -> Any:
    """Three resources: pages of dicts, an Arrow table, a transformer's items."""
    asked.append(since)

    @dlt.resource
    def lines() -> Iterator[Any]:
        yield ROWS[:2]
        yield ROWS[2]

    @dlt.resource
    def arrow() -> Iterator[Any]:
        yield pa.Table.from_pylist([{"id": 1, "price": Decimal("1.25"), "day": date(2017, 1, 1)}])
        yield pa.RecordBatch.from_pylist([{"id": 2, "price": Decimal("2.50"), "day": None}])

    @dlt.transformer(data_from=lines)
    def doubled(items: Any) -> Iterator[Any]:
        for item in items if isinstance(items, list) else [items]:
            yield {"id": item["id"] * 2}

    return lines, arrow, doubled


def plain(count: int = 2) -> list[Any]:
    """No dlt at all: a list, with values of Python's own."""
    rows: list[Any] = [
        {"id": i, "price": Decimal("0.10"), "at": datetime(2017, 1, 1, 10), "data": b"\x00\xff"}
        for i in range(count)
    ]
    return [*rows, "no object", 7, None, {"id": "x"}, {"id": 9, "note": "\ud800"}]


def count() -> list[dict[str, int]]:
    """What a test put there."""
    return list(numbered)


def pandas() -> Iterator[Any]:
    """A page of pandas."""
    yield pd.DataFrame({"id": [1, 2], "price": [1.5, 2.5]})


def fails(kind: str = "") -> Iterator[Any]:
    """Gives one row, then fails."""
    yield {"id": 1}
    if kind == "key":
        raise KeyError("token canary-of-the-function")
    raise TypeError("no such thing")


def nothing() -> None:
    """Gives nothing to go through."""
