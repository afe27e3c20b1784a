"""An API on loopback that answers as a test says, and remembers what it was asked."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request: path, values of the query, headers in lower case, and all of it as text."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    text: str


@dataclass(frozen=True)
class Answer:
    """What is answered; what is no bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    reason: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    parts: int = 0  # the body is sent so many times more
    cut: bool = False  # more is promised than is sent


@dataclass
class Api:
    """A server: where it is, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def api(answer: Callable[[Asked], Answer]) -> Iterator[Api]:
    """Serve until the block ends."""
    here = Api("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(
                parts.path, parse_qs(parts.query), headers, f"{self.path}\n{self.headers}"
            )
            here.asked.append(asked)
            given = answer(asked)
            body = given.body if isinstance(given.body, bytes) else json.dumps(given.body).encode()
            self.send_response(given.status, given.reason)
            for name, value in given.headers.items():
                self.send_header(name, value)
            size = len(body) * (1 + given.parts) + (1000 if given.cut else 0)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            try:
                for _ in range(1 + given.parts):
                    self.wfile.write(body)
            except OSError:
                pass  # who asked has gone
            if given.cut:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here.url = f"http://127.0.0.1:{server.server_port}"
        yield here
        server.shutdown()
