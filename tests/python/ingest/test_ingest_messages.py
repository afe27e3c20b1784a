"""Messages that are all alike are read where they are, and come to the same as all others do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from projects import Project, source, table

from ingest.declaration import Table
from ingest.readers.messages import SCHEMA, Messages

GOOD = [
    b'{"id": %d, "Name": "n %d \\n\\u00e9\xc3\xa9", "tags": [1, {"a" : null}], "none": null, '
    b'"big": 12345678901234567890123, "real": 1.50, "tiny": 1e-400, "yes": true}' % (n, n)
    for n in range(3000)
]
LIKE = b'"none": 1, "tags": [], "big": 1, "real": 1, "tiny": 0, "yes": 7'
Value = bytes | None
Make = Callable[..., Table]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("set TimeZone = 'UTC'")
        yield made


@pytest.fixture
def lines(project: Project) -> Make:
    """A table of one topic, declared."""

    def make(**ingest: Any) -> Table:
        columns = {"id": "bigint", "name": "varchar", "absent": "varchar"}
        own = {"topic": "t", "primary_key": ["id"], **ingest}
        declared = source("shop", table("lines", columns, **own), kind="kafka", brokers="b:1")
        return project.declare(declared).tables[0]

    return make


def batches(values: list[Value]) -> list[pa.RecordBatch]:
    """The values as messages, in pieces of some hundred."""
    count = len(values)
    columns = [
        ["t"] * count,
        [n % 3 for n in range(count)],
        list(range(count)),
        [b"key %d" % n for n in range(count)],
        [[{"name": "h", "value": b"\xff"}] if n % 7 == 0 else None for n in range(count)],
        [1_500_000_000_000 + n for n in range(count)],
        ["create"] * count,
        values,
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    whole = pa.record_batch(arrays, schema=SCHEMA)
    return [whole.slice(begin, 700) for begin in range(0, count, 700)]


def found(
    con: duckdb.DuckDBPyConnection, declared: Table, values: list[Value], alike: bool = True
) -> tuple[list[Any], list[Any], bool]:
    """The columns with types and the rows, what is none, and whether they were read in place."""
    rows, letters = Messages(con, declared).relations(batches(values), alike=alike)
    relation = con.sql(rows)
    columns = tuple(zip(relation.columns, map(str, relation.types), strict=True))
    try:
        there = [columns, *con.execute(f"from ({rows}) order by _offset").fetchall()]
    except duckdb.Error:
        assert alike, "the way for all others takes what comes"
        return found(con, declared, values, alike=False)
    none = con.execute(f"from ({letters}) order by all").fetchall() if letters else []
    return there, none, "from kafka_batch" in rows


@pytest.mark.parametrize("deletes", [None, "tombstones"])
def test_they_come_to_what_stored_ones_do(
    con: duckdb.DuckDBPyConnection, lines: Make, deletes: str | None
) -> None:
    declared = lines(**({"deletes": deletes, "key": ["id"]} if deletes else {}))
    here = found(con, declared, list(GOOD))
    assert here[2], "they were stored"
    stored = found(con, declared, list(GOOD), alike=False)
    assert not stored[2]
    assert here[:2] == stored[:2]
    assert len(here[0]) == 1 + len(GOOD)


@pytest.mark.parametrize(
    ("odd", "dead"),
    [
        (None, 1),
        (b"", 1),
        (b"\xff{", 1),
        (b'{"id": 1', 1),
        (b"null", 1),
        (b'{"id": 7, "id": 8, ' + LIKE + b"}", 1),
        (b'{"id": 7, "Name": 1, ' + LIKE + b', "id": 8}', 1),
        (b'{"id": 7, "a\\u0000b": 8}', 1),
        (b"[1]", 1),
        (b'"id"', 1),
        (b"{}", 0),
        (b'{"id": 7, ' + LIKE + b"}", 0),
        (b'{"id": 7, "Name": "x", ' + LIKE + b', "more": 2}', 0),
        (b'{"id": 7, "Name": "%s", %s}' % (b"x" * 500, LIKE), 1),
    ],
)
@pytest.mark.parametrize("place", [0, 1234, len(GOOD)])
def test_with_one_that_is_not_no_message_is_lost(
    con: duckdb.DuckDBPyConnection, lines: Make, odd: Value, dead: int, place: int
) -> None:
    values: list[Value] = [*GOOD[:place], odd, *GOOD[place:]]
    rows, letters, here = found(con, lines(max_message_bytes=400), values)
    assert not here, "it was taken for one of them"
    at = [name for name, _ in rows[0]].index("_offset")
    assert [row[at] for row in rows[1:]] == [
        n for n in range(len(values)) if n != place or not dead
    ]
    assert [source for *_, source in letters] == ([f"t/{place % 3}/{place}"] if dead else [])


@pytest.mark.parametrize("odd", [b'{"id": 1, "id": 2}', b'{"id": 1, "a\\u0000b": 2}'])
def test_objects_that_all_have_a_name_that_is_none_are_none(
    con: duckdb.DuckDBPyConnection, lines: Make, odd: bytes
) -> None:
    rows, letters, _ = found(con, lines(), [odd] * 5)
    assert (len(rows) - 1, len(letters)) == (0, 5)
