"""Where a resource's items come from: a REST API, or any function that gives a dlt resource."""

import copy
import importlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from ingest.declaration import Source, Table
from ingest.errors import DeclarationError, IngestError, SourceDownError, SourceError, redact
from ingest.faults import SEE, explained, is_transient
from ingest.readers import Environment, resolve, secrets
from ingest.readers.rest_session import TRIES, Adapter, open_session


class Rest:
    """dlt's REST source, with the page that each item came on.

    Its client tries again by itself; what lasts longer than that is the next run's business. Where
    a host did not answer for one table, it is tried once for the next: that need not wait as long.
    """

    def __init__(self, source: Source, client: dict[str, Any], env: Environment) -> None:
        self._source, self._client, self._env = source, client, env
        self._hidden = secrets(source, env)
        self._adapter = Adapter((), (), source.name)
        self._host = ""  # of the table that is read
        self._silent: set[str] = set()  # hosts that did not answer when they were last asked

    def items(self, table: Table, low: str | None, kind: str) -> Iterator[tuple[Any, str]]:
        """The items of every page.

        Raises:
            DeclarationError: dlt does not take the configuration.
            SourceDownError: the API does not answer, or says that it cannot just now.
            SourceError: it refuses, or answers what is no JSON.
        """
        try:
            resource = self._resource(table, low)
        except IngestError:
            raise
        except Exception as error:
            raise DeclarationError(
                f"dlt does not take this REST configuration: {str(error).splitlines()[0]}",
                where=table.where,
            ) from None
        page = shown = ""
        try:
            for item in resource:
                if page != self._adapter.url:
                    page, shown = self._adapter.url, self._page()
                    self._adapter.brought(item)
                yield item, shown
        except Exception as error:
            told = explained(error, table.label, self._hidden)
            if isinstance(told, SourceDownError) and not self._adapter.url:
                self._silent.add(self._host)
            if type(told) is SourceError and told.mend == SEE:
                told.message = f"what the API answered cannot be taken: {told.message}"
            raise told from None
        finally:
            if self._adapter.url:
                self._silent.discard(self._host)

    def _resource(self, table: Table, low: str | None) -> Any:
        from dlt.sources.rest_api import rest_api_resources

        endpoint = self._endpoint(table, low)
        base, path = str(self._client.get("base_url")), str(endpoint.get("path"))
        self._adapter = Adapter((base, path), self._hidden, table.label)
        self._host = urlsplit(urljoin(base, path)).netloc
        session = open_session(self._adapter, 1 if self._host in self._silent else TRIES)
        config: Any = {
            "client": {**copy.deepcopy(self._client), "session": session},
            "resources": [{"name": table.name, "endpoint": endpoint}],
        }
        (resource,) = rest_api_resources(config)
        return resource

    def _endpoint(self, table: Table, low: str | None) -> dict[str, Any]:
        """The endpoint with `{cursor}` filled in; at first the parameter is left out."""
        endpoint = resolve(dict(table.ingest.endpoint or {}), self._env, table.where)
        params = {}
        for key, value in dict(endpoint.get("params") or {}).items():
            if isinstance(value, str) and "{cursor}" in value:
                if low is None:
                    continue
                value = value.replace("{cursor}", low.replace(" ", "T"))
            params[key] = value
        return {**endpoint, "params": params}

    def _page(self) -> str:
        """The page, as it is kept with each row: without a key that its query may hold."""
        parts = urlsplit(self._adapter.url)
        page = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return redact(page, self._hidden)


class Function:
    """Any function that gives a dlt source or resource, or an iterable of items."""

    def __init__(self, source: Source, arguments: dict[str, Any], env: Environment) -> None:
        self._source, self._arguments, self._env = source, arguments, env
        self._hidden = secrets(source, env)

    def items(self, table: Table, low: str | None, kind: str) -> Iterator[tuple[Any, str]]:
        """The items of the function's resource of that name.

        Raises:
            DeclarationError: there is no such function.
            SourceError: it has no such resource, or it failed.
        """
        wanted = table.ingest.resource or table.name
        try:
            resource = self._resource(table, low, wanted)
            for number, item in enumerate(resource, 1):
                yield item, f"{wanted}:{number}"
        except IngestError:
            raise
        except Exception as error:
            if is_transient(error):
                raise
            root: BaseException = error
            while root.__cause__ is not None:
                root = root.__cause__
            raise SourceError(
                f"{self._source.ingest.function} failed: {type(root).__name__}: "
                f"{' '.join(redact(str(root), self._hidden).split())}",
                where=table.label,
                mend="mend the function, or its arguments",
            ) from None

    def _resource(self, table: Table, low: str | None, wanted: str) -> Any:
        path = str(self._source.ingest.function)
        module, _, name = path.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
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
        if not hasattr(resource, "resources"):
            return resource
        if wanted not in resource.resources:
            raise SourceError(
                f"{path} has no resource {wanted!r}; it has {', '.join(resource.resources)}",
                where=table.where,
            )
        return resource.resources[wanted]
