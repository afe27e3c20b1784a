"""The HTTP session of a REST source: what an API answers is bounded, and a secret stays at home."""

import hashlib
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from dlt.sources.helpers.requests import Client
from requests.adapters import HTTPAdapter

from ingest.errors import SourceError

TRIES = 6
"""Of one request: some six seconds."""
_PAGE_BYTES = 256 << 20  # of one answer, unpacked; as Python's objects it takes some times that
_STALE_PAGES = 1000  # one after another: an API may not know the parameter of its pages
_CHUNK = 1 << 16  # compressed bytes at a time: unpacked they may be a thousand times that


def open_session(adapter: "Adapter", tries: int) -> requests.Session:
    """dlt's session, which tries again by itself, over our adapter."""
    client = Client(request_timeout=30, request_max_attempts=tries, request_backoff_factor=0.2)
    session = client.session
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


class Adapter(HTTPAdapter):
    """Sends one request and takes its answer. Each redirect and each new try is one of its own.

    An answer too long to hold, an address that is asked for twice and pages that bring nothing new
    end the read: nothing else ends it where an API's next page leads back to an earlier one.

    Args:
        own: the addresses that the declaration names.
        hidden: the source's secrets, which no other host may get.
        where: the table, for errors.
    """

    def __init__(self, own: Collection[str], hidden: Collection[str], where: str) -> None:
        super().__init__()
        self._own = {_host(url) for url in own}
        self._hidden, self._where = hidden, where
        self._asked: set[bytes] = set()
        self._last: object = None
        self._stale = 0
        self.url = ""  # of the last answer, whatever it says; of none yet

    def brought(self, items: object) -> None:
        """What the last page brought: other items than the page before, or it leads nowhere."""
        if items != self._last:
            self._stale = 0
        self._last = items

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        """The answer, whole.

        Raises:
            SourceError: it is too long, the pages have no end, or another host would get a secret.
        """
        self._keep_at_home(request)
        response = super().send(request, *args, **options)
        self.url = response.url
        self._take(response)
        if response.ok and not response.is_redirect:
            self._turn(request, response)
        return response

    def _keep_at_home(self, request: requests.PreparedRequest) -> None:
        """Another host, by a redirect or as the next page, gets no header that holds a secret."""
        scheme, host = _host(request.url or "")
        # who is asked without encryption may answer with it, not the other way round
        if (scheme, host) in self._own or ("http", host) in self._own:
            return
        for name, value in list(request.headers.items()):
            if name.lower() == "authorization" or self._holds_secret(_text(value)):
                del request.headers[name]
        if self._holds_secret(request.url or "") or self._holds_secret(_text(request.body or "")):
            raise SourceError(
                f"the API sends us to {scheme}://{host} with a secret of this source; "
                "it was not asked",
                where=self._where,
                mend="correct base_url, where that host is the API's own",
            )

    def _holds_secret(self, text: str) -> bool:
        return any(secret in text or secret in unquote(text) for secret in self._hidden)

    def _take(self, response: requests.Response) -> None:
        """Read the answer, as far as it may go."""
        parts, size = [], 0
        for part in response.iter_content(_CHUNK):
            size += len(part)
            if size > _PAGE_BYTES:
                response.close()
                raise SourceError(
                    f"an answer of {urlsplit(response.url).path} is longer than "
                    f"{_PAGE_BYTES:,} bytes",
                    where=self._where,
                    mend="ask for smaller pages: the endpoint's parameters or its paginator",
                )
            parts.append(part)
        taken: Any = response  # as `content` keeps it
        taken._content = b"".join(parts)

    def _turn(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """One page more: a new one."""
        asked = _digest(f"{request.method} {request.url} {_text(request.body or '')}".encode())
        self._stale += 1
        if asked in self._asked or self._stale > _STALE_PAGES:
            raise SourceError(
                f"the API's pages have no end: {urlsplit(response.url).path} came again, or "
                f"{_STALE_PAGES:,} of them with nothing new",
                where=self._where,
                mend="correct the paginator in the declaration, or have the API mended",
            )
        self._asked.add(asked)


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or ""


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
