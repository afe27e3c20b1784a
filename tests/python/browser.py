"""A real browser for the tests: opens a page, tells what it rendered, logged and asked for.

It speaks the Chrome DevTools Protocol over a pipe (`--remote-debugging-pipe`: JSON messages, each
ended by a zero byte, on descriptors 3 and 4), so nothing listens on a port. Names do not resolve:
a page that asks for the outside is found out and gets nothing.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL = "Chromium is not installed. Run: apt-get install chromium"

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_PLACED = """import os, sys
for there, end in enumerate(sys.argv[1:3], 3):
    os.dup2(int(end), there)
os.execv(sys.argv[3], sys.argv[3:])
"""
_INSIDE = ("file:", "data:", "blob:", "about:")


def find() -> str | None:
    """The browser's program, or None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass(frozen=True)
class View:
    """A page as the browser shows it."""

    text: str
    """What a person can read, as rendered."""
    html: str
    """The document as it stands after its scripts ran."""
    errors: list[str]
    """Console errors and uncaught exceptions."""
    outside: list[str]
    """Addresses asked for that are not local files, blocked ones too."""
    width: int
    """Pixels that the content needs; more than the window's width means sideways scrolling."""
    result: Any
    """What the given script returned."""


class Browser:
    """One running browser; each look is a tab of its own."""

    def __init__(self, program: str, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # The browser wants 3 and 4; ours may have those numbers, so move them out of the way.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]

        # by a process between, for `preexec_fn` would copy the map of all this one's memory: where
        # a test before has reserved more than the machine has, the system refuses that
        browser = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PLACED, *map(str, ends), *browser],
            pass_fds=ends,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, *ends):
            os.close(end)
        self._in, self._out = ours_in, ours_out
        self._buffer, self._number = b"", 0
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come first are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 30
        while True:
            answer = self._message(until)
            if answer is None:
                raise TimeoutError(f"the browser did not answer {method}")
            if answer.get("id") != self._number:
                self._events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            else:
                return dict(answer["result"])

    def look(
        self,
        url: str,
        *,
        ready: str = "true",
        script: str = "null",
        shot: Path | None = None,
        width: int = 1280,
        dark: bool = False,
        media: str = "screen",
        seconds: float = 20.0,
    ) -> View:
        """Open `url`, wait until the JavaScript expression `ready` is true, and tell what is seen.

        `script` is evaluated then (a promise is waited for); `shot` takes a PNG of the whole page.
        """
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", tab)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            tab,
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", tab, media=media, features=[scheme])
        self.call("Page.navigate", tab, url=url)
        until = time.monotonic() + seconds
        condition = f"document.readyState === 'complete' && Boolean({ready})"
        while not self._evaluate(tab, condition):
            if time.monotonic() > until:
                raise TimeoutError(
                    f"{url} was not ready ({ready}) after {seconds} s: {_errors(self._events)}"
                )
            self._idle(0.05)
        result = self._evaluate(tab, script)
        self._idle(0.2)
        html = self._evaluate(tab, "document.documentElement.outerHTML")
        text = self._evaluate(tab, "document.body.innerText")
        needed = self._evaluate(tab, "document.documentElement.scrollWidth")
        if shot is not None:
            image = self.call("Page.captureScreenshot", tab, captureBeyondViewport=True)["data"]
            shot.write_bytes(base64.b64decode(image))
        view = View(text, html, _errors(self._events), _outside(self._events), needed, result)
        self.call("Target.closeTarget", targetId=target)
        return view

    def close(self) -> None:
        """End the browser."""
        with suppress(TimeoutError, RuntimeError, OSError):
            self.call("Browser.close")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)
        os.close(self._out)

    def _evaluate(self, tab: str, expression: str) -> Any:
        answer = self.call(
            "Runtime.evaluate", tab, expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def _idle(self, seconds: float) -> None:
        """Keep the events of the next `seconds`."""
        until = time.monotonic() + seconds
        while (event := self._message(until)) is not None:
            self._events.append(event)

    def _message(self, until: float) -> dict[str, Any] | None:
        """The next message, or None when there is none before the moment `until`."""
        while b"\0" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                return None
            piece = os.read(self._in, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self._buffer += piece
        raw, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(raw))


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in the folder `profile`; see `find` for whether there is one.

    Raises:
        FileNotFoundError: there is no browser on this machine.
    """
    program = find()
    if program is None:
        raise FileNotFoundError(INSTALL)
    browser = Browser(program, profile)
    try:
        yield browser
    finally:
        browser.close()


def _errors(events: list[dict[str, Any]]) -> list[str]:
    found = []
    for event in events:
        method, told = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            found.append(str(details.get("exception", {}).get("description", details["text"])))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            found.append(" ".join(str(a.get("value", a.get("description"))) for a in told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            found.append(f"{told['entry']['text']} {told['entry'].get('url', '')}".strip())
    return found


def _outside(events: list[dict[str, Any]]) -> list[str]:
    sent = (
        event["params"]
        for event in events
        if event.get("method") in ("Network.requestWillBeSent", "Network.webSocketCreated")
    )
    urls = (str(told["request"]["url"] if "request" in told else told["url"]) for told in sent)
    return [url for url in urls if not url.startswith(_INSIDE)]
