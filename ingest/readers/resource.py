"""Any dlt resource: a REST API by dlt's own configuration, a verified source, a SQLAlchemy table.

The pages of a resource are put down as JSON and read by DuckDB; dlt's client does the paging, the
waiting and the trying again.
"""

import importlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
from dlt.sources.helpers.requests import Client

from ingest.declaration import Source, Table
from ingest.errors import DeclarationError, SourceError
from ingest.readers import Batch, Environment, Reader, Seen, TableState, described, resolve
from ingest.readers.json_rows import json_relation
from ingest.types import literal

_PAGE = 10_000  # items put down at a time


@contextmanager
def open_source(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, env: Environment, seen: Seen
) -> Iterator[Reader]:
    """The reader for a source of kind `rest` or `dlt`."""
    if source.ingest.kind == "rest":
        client = resolve(source.ingest.client, env, source.where)
        yield ResourceReader(con, scratch, _Rest(source, client))
    else:
        arguments = resolve(source.ingest.arguments, env, source.where)
        yield ResourceReader(con, scratch, _Function(source, arguments, env))


@contextmanager
def open_sqlalchemy(
    source: Source, con: duckdb.DuckDBPyConnection, scratch: Path, url: str
) -> Iterator[Reader]:
    """The reader for a database that DuckDB has no scanner for: dlt's `sql_table`."""
    yield ResourceReader(con, scratch, _SqlTable(source, url))


class ResourceReader:
    """Reads what `origin.items(table, cursor)` yields: (item, where it came from)."""

    def __init__(self, con: duckdb.DuckDBPyConnection, scratch: Path, origin: Any) -> None:
        self._con, self._scratch, self._origin = con, scratch, origin

    def batches(self, table: Table, state: TableState) -> Iterator[Batch]:
        """One batch: everything since the state's cursor less the lag."""
        low = state.get("cursor")
        lag = table.ingest.lag
        if low is not None and isinstance(lag, timedelta):
            low = (datetime.fromisoformat(low) - lag).isoformat()
        elif low is not None:
            low = str(int(low) - int(float(str(lag))))
        folder = self._scratch / "pages" / table.name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        pages = self._put_down(self._origin.items(table, low), folder)
        rows = "select null::json as item, null::varchar as _source where false"
        if pages:
            rows = (
                "select item, _source from read_json("
                f"{literal(str(folder / '*.json'))}, format='newline_delimited', "
                "columns={'_source': 'VARCHAR', 'item': 'JSON'}, maximum_object_size=67108864)"
            )
        relation = json_relation(self._con, table, rows)
        yield Batch(
            relation,
            described(self._con, relation),
            cursor_from=low,
            may_overlap=low is not None,
        )

    def _put_down(self, items: Iterable[tuple[Any, str]], folder: Path) -> int:
        number = 0
        iterator = iter(items)
        while part := list(islice(iterator, _PAGE)):
            with (folder / f"{number:06d}.json").open("w", encoding="utf-8") as file:
                for item, origin in part:
                    json.dump({"_source": origin, "item": item}, file, default=str)
                    file.write("\n")
            number += 1
        return number


class _Rest:
    """dlt's REST source, with the page that each item came on."""

    def __init__(self, source: Source, client: dict[str, Any]) -> None:
        self._source, self._client, self._page = source, client, ""

    def items(self, table: Table, low: str | None) -> Iterator[tuple[Any, str]]:
        from dlt.sources.rest_api import rest_api_resources

        # a few short waits: what lasts longer is another run's business
        session = Client(
            request_timeout=30, request_max_attempts=6, request_backoff_factor=0.2
        ).session
        session.hooks["response"].append(self._remember)
        config = {
            "client": {**self._client, "session": session},
            "resources": [{"name": table.name, "endpoint": self._endpoint(table, low)}],
        }
        try:
            (resource,) = rest_api_resources(config)  # type: ignore[arg-type]
        except (ValueError, TypeError, KeyError) as error:
            raise DeclarationError(
                f"dlt does not take this REST configuration: {str(error).splitlines()[0]}",
                where=table.where,
            ) from None
        for item in resource:
            yield item, self._page

    def _endpoint(self, table: Table, low: str | None) -> dict[str, Any]:
        """The endpoint with `{cursor}` filled in; at first the parameter is left out."""
        endpoint = dict(table.ingest.endpoint or {})
        params = {}
        for key, value in dict(endpoint.get("params") or {}).items():
            if isinstance(value, str) and "{cursor}" in value:
                if low is None:
                    continue
                value = value.replace("{cursor}", low)
            params[key] = value
        return {**endpoint, "params": params}

    def _remember(self, response: Any, *args: object, **kwargs: object) -> None:
        parts = urlsplit(response.url)
        self._page = f"{parts.path}?{parts.query}" if parts.query else parts.path


class _Function:
    """Any function that gives a dlt source or resource."""

    def __init__(self, source: Source, arguments: dict[str, Any], env: Environment) -> None:
        self._source, self._arguments, self._env = source, arguments, env

    def items(self, table: Table, low: str | None) -> Iterator[tuple[Any, str]]:
        path = str(self._source.ingest.function)
        module, _, name = path.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise DeclarationError(
                f"there is no function {path!r}: {error}", where=self._source.where
            ) from None
        own = resolve(table.ingest.arguments, self._env, table.where)
        given = {
            key: low if value == "{cursor}" else value
            for key, value in {**self._arguments, **own}.items()
            if value != "{cursor}" or low is not None
        }
        resource = function(**given)
        wanted = table.ingest.resource or table.name
        if hasattr(resource, "resources"):
            if wanted not in resource.resources:
                raise SourceError(
                    f"{path} has no resource {wanted!r}; it has {', '.join(resource.resources)}",
                    where=table.where,
                )
            resource = resource.resources[wanted]
        for number, item in enumerate(resource, 1):
            yield item, f"{wanted}:{number}"


class _SqlTable:
    """A table through SQLAlchemy."""

    def __init__(self, source: Source, url: str) -> None:
        self._source, self._url = source, url

    def items(self, table: Table, low: str | None) -> Iterator[tuple[Any, str]]:
        try:
            from dlt.sources.sql_database import sql_table
        except ImportError:
            raise DeclarationError(
                "this database is read through SQLAlchemy, which is not installed",
                where=self._source.where,
                mend="pip install 'millrace[sqlalchemy]' and the database's driver",
            ) from None
        import sqlalchemy

        engine = sqlalchemy.create_engine(self._url)
        cursor = table.ingest.cursor

        def since(query: Any, reflected: Any) -> Any:
            if cursor is None or low is None:
                return query
            column = reflected.c[cursor]
            bound = column.type.python_type(low) if str(low).isdigit() else low
            if hasattr(column.type.python_type, "fromisoformat"):
                bound = column.type.python_type.fromisoformat(low)
            return query.where((column >= bound) | (column.is_(None)))

        resource = sql_table(
            credentials=engine,
            table=table.ingest.table or table.name,
            schema=table.ingest.database_schema or self._source.ingest.database_schema,
            query_adapter_callback=since,
        )
        for item in resource:
            yield item, table.label
