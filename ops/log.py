"""What a run says: plain lines for people, or one JSON object a line for a log store."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops.secrecy import without


class Log:
    """Says things once, in the form that was asked for; every JSON line carries the run id."""

    def __init__(self, *, as_json: bool = False, stream: TextIO | None = None) -> None:
        self._json = as_json
        self._stream = stream or _own_stderr()
        self.console = Console(file=self._stream, highlight=False, soft_wrap=True)
        self.run_id = ""
        self.hidden: tuple[str, ...] = ()
        self.untold: frozenset[str] = frozenset()  # events that somebody else sums up

    def say(self, event: str, text: str, *, style: str = "", **fields: Any) -> None:
        """One line: `text` for people, `event` with its fields for machines; no hidden text."""
        if event in self.untold:
            return
        if self._json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = {"at": now, "run_id": self.run_id, "event": event, "text": text, **fields}
            told = json.dumps(without(line, self.hidden), default=str)
            print(told, file=self._stream, flush=True)
        else:
            self.console.print(escape(without(text, self.hidden)), style=style)

    def error(self, event: str, text: str, **fields: Any) -> None:
        """A line that someone must read."""
        self.say(event, text, style="bold red", level="error", **fields)

    @contextmanager
    def alone(self, file: Path) -> Iterator[None]:
        """What tools print by themselves meanwhile goes to the end of a file, not between lines."""
        if self._stream is sys.stderr:
            yield
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = [(fd, os.dup(fd)) for fd in (1, 2)]
        with file.open("ab") as sink:
            for fd, _ in kept:
                os.dup2(sink.fileno(), fd)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, before in kept:
                os.dup2(before, fd)
                os.close(before)

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar at a terminal, nothing elsewhere. What it yields takes (done, of all)."""
        if self._json or not self.console.is_terminal:
            yield lambda done, total: None
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(escape(text), total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


def _own_stderr() -> TextIO:
    """Standard error by a way of its own; as it is where it is not the process's."""
    try:
        own = sys.stderr.fileno() == 2
    except (OSError, ValueError):  # a test's, in memory
        own = False
    return os.fdopen(os.dup(2), "w", buffering=1) if own else sys.stderr
