"""The numbers of the stream as a file for node_exporter's textfile collector.

The format is Prometheus's text exposition format 0.0.4; the file is replaced at once.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from ingest.readers.watch import Lag
from ops.permissions import open_file
from ops.summary import Summary

_PREFIX = "millrace_stream_"
Labels = dict[str, object]


class Metrics:
    """What the ticks so far came to; counters begin at 0 with each process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: Counter[tuple[str, str, str]] = Counter()
        self._seconds: dict[str, float] = {}
        self._behind: float | None = None
        self._at: datetime | None = None

    def tick(self, summary: Summary, at: datetime, behind: float | None) -> None:
        """Take in a tick with rows.

        Args:
            summary: what it came to.
            at: when it ended.
            behind: seconds from its newest message to then; None where it was not published.
        """
        for load in summary.loads:
            self._rows[load.source, load.table, "accepted"] += load.accepted
            self._rows[load.source, load.table, "dead"] += load.dead
        self._seconds, self._at = dict(summary.seconds), at
        self._behind = self._behind if behind is None else behind

    def write(self, topics: Iterable[tuple[str, Lag, bool]]) -> None:
        """Replace the file.

        Args:
            topics: for each table its `source.table`, what waits, and whether it can be read.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".{self._path.name}.partial-{os.getpid()}")
        partial.write_text("\n".join([*self._lines(list(topics)), ""]), "utf-8")
        open_file(partial)
        partial.replace(self._path)

    def _lines(self, topics: list[tuple[str, Lag, bool]]) -> Iterator[str]:
        yield from _metric(
            "rows_total",
            "counter",
            "Messages loaded since the process began, by fate.",
            [
                ({"source": source, "table": table, "fate": fate}, rows)
                for (source, table, fate), rows in self._rows.items()
            ],
        )
        yield from _metric(
            "lag_messages",
            "gauge",
            "Messages before the last stable offset that no load has taken; at most so many.",
            [
                ({**_named(label), "topic": topic, "partition": partition}, count)
                for label, lag, _ in topics
                for (topic, partition), count in lag.items()
            ],
        )
        yield from _metric(
            "up",
            "gauge",
            "Whether the topics could be read at the last look.",
            [(_named(label), int(well)) for label, _, well in topics],
        )
        if self._behind is not None:
            yield from _metric(
                "lag_seconds",
                "gauge",
                "From the newest message of the last tick to the moment at which it was published.",
                [({}, self._behind)],
            )
        yield from _metric(
            "tick_seconds",
            "gauge",
            "Duration of each step of the last tick with rows.",
            [({"step": step}, seconds) for step, seconds in self._seconds.items()],
        )
        if self._at:
            yield from _metric(
                "last_tick_timestamp_seconds",
                "gauge",
                "When the last tick with rows ended.",
                [({}, self._at.timestamp())],
            )


def _named(label: str) -> Labels:
    source, _, table = label.partition(".")
    return {"source": source, "table": table}


def _metric(name: str, kind: str, told: str, values: list[tuple[Labels, float]]) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {told}"
    yield f"# TYPE {_PREFIX}{name} {kind}"
    for labels, value in values:
        inside = ",".join(f'{key}="{_escaped(str(text))}"' for key, text in labels.items())
        yield f"{_PREFIX}{name}{{{inside}}} {value}" if inside else f"{_PREFIX}{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
