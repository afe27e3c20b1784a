"""The table `shop.lines`, as the tests over topics have it."""

from typing import Any

from projects import Project

from ingest.load import SourceResult

COLUMNS: dict[str, Any] = {"id": {"data_type": "bigint", "required": True}, "amount": "integer"}


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
