"""The table `shop.lines`, as the tests over topics have it."""

from typing import Any

from projects import Project, source, table
from real_topics import Topic

from ingest.load import SourceResult

COLUMNS: dict[str, Any] = {"id": {"data_type": "bigint", "required": True}, "amount": "integer"}


def declared(topic: Topic, columns: Any = None, **ingest: Any) -> dict[str, Any]:
    """The declaration of one topic as `shop.lines`, whose messages have the key `id`."""
    own = {"topic": topic.name, "primary_key": ["id"], "max_dead": 1} | ingest
    made = table("lines", columns or COLUMNS, **own)
    return source("shop", made, kind="kafka", brokers=topic.address)


def rows(count: int, first: int = 0) -> list[tuple[str, dict[str, int]]]:
    """Good messages: a key and a value for each."""
    return [(str(n), {"id": n, "amount": n * 2}) for n in range(first, first + count)]


def well(result: SourceResult) -> SourceResult:
    """The result of a load that had no error."""
    assert not result.errors, [str(error) for error in result.errors]
    return result


def ids(project: Project) -> list[int]:
    """All that is in raw, in order."""
    return [key for (key,) in project.raw("shop.lines", "id")]


def with_schema(
    kind: str, topic: Topic, registry: str | None, columns: Any = None, **ingest: Any
) -> dict[str, Any]:
    """The declaration of one topic of a format that has a schema, of a registry or a file."""
    own = {"topic": topic.name, "format": kind, "primary_key": ["id"], "max_dead": 1} | ingest
    where = {} if registry is None else {"registry": registry}
    made = table("lines", columns or COLUMNS, **own)
    return source("shop", made, kind="kafka", brokers=topic.address, **where)


def unparsable(project: Project) -> dict[int, bytes]:
    """Of each dead letter that is no row: its offset, and its bytes."""
    return dict(
        project.sql(
            "select split_part(_source, '/', 3)::int, payload::blob from raw_shop._dead_letters "
            "where broken_rules = '[\"unparsable\"]'"
        )
    )
