"""The loyalty programme's web API, over real HTTP on the loopback.

GET /campaigns, /campaign_targets, /redemptions with
- `updated_since`: ISO time, inclusive; items without `updated_at` always come;
- `page` (from 1) and `page_size`.

The answer: {"items": [...], "next": "/redemptions?...&page=2" or null}. It knows what the clock
has reached. Every fifteenth answer is a 429 or a 503, as real services give them.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import duckdb

from sample import clock, dataset, versions
from sample.errors import SampleError
from sample.versions import API, Table

PAGE_SIZE, LARGEST_PAGE = 1000, 5000
FAILS_EVERY, FAILS_FIRST_AT = 15, 4


class BadRequestError(Exception):
    """A query that the API does not understand; answered with 400."""


class _Shelf:
    """The API's whole year in memory, opened at the clock's day."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._seed: int | None = None
        self._con: duckdb.DuckDBPyConnection | None = None

    def page(
        self, table: Table, since: datetime | None, page: int, size: int
    ) -> tuple[list[dict[str, Any]], bool]:
        """The items of one page, and whether another follows."""
        now = clock.read(self._home)
        if now is None:
            return [], False
        with self._lock:
            cursor = self._stocked(now.seed).cursor()
        rows = cursor.execute(
            f"""select {_as_text(table)} from {table.name}
            where arrives_on <= $day and (leaves_on is null or leaves_on > $day)
                and (updated_at is null or $since is null or updated_at >= $since)
            order by updated_at nulls first, {table.key_list}
            limit {size + 1} offset {(page - 1) * size}""",
            {"day": now.day, "since": since},
        ).fetchall()
        items = [dict(zip(table.columns, row, strict=True)) for row in rows[:size]]
        return items, len(rows) > size

    def close(self) -> None:
        """Give back the memory."""
        with self._lock:
            if self._con is not None:
                self._con.close()
                self._con = None

    def _stocked(self, seed: int) -> duckdb.DuckDBPyConnection:
        if self._con is None or self._seed != seed:
            con = dataset.connect(seed)
            versions.create(con)
            for table in API:
                con.execute(f"create table {table.name} as {versions.all_of(table)}")
            self._con, self._seed = con, seed
        return self._con


def _as_text(table: Table) -> str:
    """The columns as JSON has them: numbers as numbers, days and times as ISO text."""
    as_json = {"date": "{}::varchar", "timestamp": "strftime({}, '%Y-%m-%dT%H:%M:%S')"}
    return ", ".join(as_json.get(kind, "{}").format(name) for name, kind in table.columns.items())


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequestError(f"updated_since is not an ISO time: {text!r}") from None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _number(query: dict[str, str], name: str, default: int, largest: int) -> int:
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= largest):
        raise BadRequestError(f"{name} is not a number from 1 to {largest}: {text!r}")
    return int(text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, home: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.shelf = _Shelf(home)
        self._lock = threading.Lock()
        self._requests = 0

    def failure(self) -> int | None:
        """The status of this request's failure, or None: a function of the count alone."""
        with self._lock:
            count, self._requests = self._requests, self._requests + 1
        turn, place = divmod(count, FAILS_EVERY)
        return (429, 503)[turn % 2] if place == FAILS_FIRST_AT else None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news: say nothing, the terminal is not ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body in one packet, or Nagle's wait costs 40 ms an answer on a kept connection.
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def do_GET(self) -> None:
        """Answer one page, a failure, or what is wrong with the question."""
        status = self.server.failure()
        if status is not None:
            self._answer(status, {"error": "try again"}, {"Retry-After": "0"})
            return
        url = urlsplit(self.path)
        table = next((each for each in API if f"/{each.name}" == url.path), None)
        if table is None:
            self._answer(404, {"error": f"no such path: {url.path}"})
            return
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        try:
            since = _time(query.get("updated_since", ""))
            page = _number(query, "page", 1, 1_000_000)
            size = _number(query, "page_size", PAGE_SIZE, LARGEST_PAGE)
        except BadRequestError as error:
            self._answer(400, {"error": str(error)})
            return
        try:
            items, more = self.server.shelf.page(table, since, page, size)
        except (SampleError, duckdb.Error) as error:
            self._answer(500, {"error": str(error)})
            return
        following = f"{url.path}?{urlencode({**query, 'page': page + 1})}" if more else None
        self._answer(200, {"items": items, "next": following})

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to the command that serves."""


@contextmanager
def serve(home: Path) -> Iterator[str]:
    """Serve the retailer below `home` from a thread; gives the URL, http://127.0.0.1:PORT."""
    server = _Server(home)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        server.shelf.close()
