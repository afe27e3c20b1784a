"""A home whose only source is a topic, for tests of what streams it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from homes import Home, kill
from real_topics import Topic
from streams import stream_project

from sample.broker import Broker

WINDOW = 10_000


class Lines:
    """A home whose only source is a topic, and what was sent to it."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.topic, self.sent, self.log = Topic(broker.address), 0, folder / "log"
        project = stream_project(folder / "project", self.topic.name, WINDOW)
        self.home = Home(folder / "home", project, {"SHOP_BROKERS": broker.address})

    def send(self, count: int) -> None:
        numbers = range(self.sent, self.sent + count)
        self.topic.send((str(n), {"line_id": n, "amount": n}) for n in numbers)
        self.sent += count

    def correct(self, number: int, amount: int) -> None:
        self.topic.send([(str(number), {"line_id": number, "amount": amount})])

    def published(self) -> int:
        return int(self.home.published("select count(*) from fct_lines")[0][0])

    def said(self, words: str) -> int:
        """How many lines of the stream have these words."""
        return sum(words in line for line in self.log.read_text().splitlines())

    def until(self, done: Callable[[], bool], seconds: float = 60) -> None:
        ends = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < ends, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def ticked(self, more: int) -> None:
        """Wait for so many ticks from now on."""
        ticks = self.said('"event": "tick"') + more
        self.until(lambda: self.said('"event": "tick"') >= ticks)

    @contextmanager
    def stream(self) -> Iterator[subprocess.Popen[str]]:
        with self.log.open("a") as log:
            process = self.home.begin("stream", "--log-json", into=log)
            try:
                yield process
            finally:
                kill(process)
