"""The stream: what stands in the topics is loaded, built and published, again and again.

A tick is a run like any other, of one load at most: what is more waits in the broker. Between the
ticks only the brokers are asked, which costs nothing here and leaves no trail in the journal.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb

from ingest.declaration import Source, pick
from ingest.errors import DeclarationError, SourceDownError, redact
from ingest.faults import explained, patience
from ingest.readers import TableState, secrets
from ingest.readers.watch import Lag, Watch
from ingest.types import quote
from ops.codes import CallError
from ops.log import Log
from ops.run import Runner
from ops.settings import Settings
from ops.steps import STEPS
from ops.stream_metrics import Metrics
from ops.summary import Summary

PAGE = 60.0
"""Seconds from one start page to the next; an edit of the project is seen as late."""

_QUICK = ("load", "build", "publish")
_AGAIN = "it is tried again, and told when it is back"


@dataclass
class Topic:
    """A table that is read from topics, as the stream sees it.

    Attributes:
        watch: looks at its topics.
        hidden: what no error may show.
        state: where its last load ended.
        lag: what waited when last looked at.
        trouble: why nobody could look; empty while it goes well.
        tries: how often in a row that was.
        again_at: when to try again, on the monotonic clock.
    """

    source: Source
    watch: Watch
    hidden: tuple[str, ...]
    state: TableState = field(default_factory=dict)
    lag: Lag = field(default_factory=dict)
    trouble: str = ""
    tries: int = 0
    again_at: float = 0.0

    @property
    def label(self) -> str:
        return self.watch.table.label


class Stream:
    """What the ticks of one process share.

    Args:
        settings: with the lock held.
        log: for one line a tick.
        words: tables and sources that it keeps to; every topic for none.
        pause: seconds between two looks, and after a tick.

    Raises:
        CallError: a word names no topic, or there is none.
        DeclarationError: the declarations are wrong, or a variable is not set.
    """

    def __init__(self, settings: Settings, log: Log, words: tuple[str, ...], pause: float) -> None:
        self._settings, self._log, self._words, self._pause = settings, log, words, pause
        log.untold = frozenset({"step"})
        self._runner = Runner(settings, log, once=True)
        self._metrics = Metrics(settings.metrics / "stream.prom")
        self._declared: tuple[Source, ...] = ()
        self._topics: list[Topic] = []
        self._page_at, self._fruitless = -PAGE, 0
        self._refresh()

    def tick(self) -> float:
        """Look at the topics; where anything waits, a run that loads and builds it.

        Returns:
            seconds until the next tick.
        """
        self._look()
        begun = time.monotonic()
        paged = begun - self._page_at >= PAGE
        well = [topic for topic in self._topics if not topic.trouble]
        waits = any(topic.watch.waits for topic in well)
        if not well or not (waits or paged or self._fruitless):
            return self._pause
        if paged:
            self._page_at = begun
        self._refresh()
        well = [topic for topic in self._topics if not topic.trouble]
        summary = self._runner.run(
            [step.name for step in STEPS] if paged else _QUICK,
            "stream",
            tables=tuple(topic.label for topic in well),
            thorough=None if paged else False,
            brief=not paged,
        )
        at = datetime.now(UTC)
        self._read(well)
        self._look()
        if summary.loads:
            self._tell(summary, at, time.monotonic() - begun)
        self._metrics.write([(t.label, t.lag, not t.trouble) for t in self._topics])
        if summary.code and not summary.published:
            self._fruitless += 1
            return patience(self._fruitless, self._pause)
        self._fruitless = 0
        return self._pause

    def _refresh(self) -> None:
        """Watch the topics that are declared now."""
        declared = self._runner.loads.sources()
        if declared is self._declared:
            return
        topics = tuple(source for source in declared if source.ingest.kind == "kafka")
        tables = [table.label for source in topics for table in source.tables]
        if not tables:
            raise CallError("this project declares no topic: no source is of `kind: kafka`")
        try:
            chosen = pick(declared, self._words or tuple(source.name for source in topics))
        except DeclarationError as error:
            raise CallError(str(error)) from None
        for source in chosen:
            if source.ingest.kind != "kafka":
                raise CallError(
                    f"source {source.name!r} has no topics; there are {', '.join(tables)}. "
                    "`millrace run --every` reads all kinds"
                )
        env = self._settings.env
        self._topics = [
            Topic(source, Watch(source, table, env), secrets(source, env))
            for source in chosen
            for table in source.tables
        ]
        self._declared = declared
        self._read(self._topics)

    def _read(self, topics: list[Topic]) -> None:
        """Take over where the last load of these ended."""
        for source in pick(self._declared, tuple(topic.label for topic in topics)):
            states = self._runner.loads.loader(source).states()
            for topic in topics:
                if topic.source.name == source.name:
                    topic.state = states[topic.watch.table.name]

    def _look(self) -> None:
        """Ask the brokers what waits; who does not answer is told of once, and left a while."""
        for topic in self._topics:
            if topic.trouble and time.monotonic() < topic.again_at:
                continue
            try:
                topic.lag = topic.watch.lag(topic.state)
            except Exception as error:
                problem = explained(error, topic.label, topic.hidden)
                told = redact(str(problem), topic.hidden)
                # a broker that is away is one trouble, in whichever words the client has it
                trouble = "away" if isinstance(problem, SourceDownError) else told
                if trouble != topic.trouble:
                    self._log.error("source_failed", f"{told}\n  {_AGAIN}")
                topic.trouble, topic.tries = trouble, topic.tries + 1
                topic.again_at = time.monotonic() + patience(topic.tries, self._pause)
                continue
            if topic.trouble:
                self._log.say("source_back", f"{topic.label} can be read again")
                topic.trouble, topic.tries = "", 0

    def _tell(self, summary: Summary, at: datetime, took: float) -> None:
        """One line of a tick, and its numbers for the metrics."""
        rows = sum(load.read for load in summary.loads)
        dead = sum(load.dead for load in summary.loads)
        waiting = sum(sum(topic.lag.values()) for topic in self._topics)
        behind = self._behind(summary, at) if summary.published else None
        parts = [
            f"{rows:,} rows" + (f", {dead:,} of them dead letters" if dead else ""),
            f"{rows / took:,.0f} rows/s",
            f"{waiting:,} waiting",
            f"{behind:,.1f} s behind" if behind is not None else "not published",
            ", ".join(f"{step} {seconds:.2f} s" for step, seconds in summary.seconds.items()),
        ]
        self._log.say(
            "tick",
            "; ".join(parts),
            rows=rows,
            dead=dead,
            rows_per_second=rows / took,
            lag_messages=waiting,
            lag_seconds=behind,
            seconds=summary.seconds,
            code=summary.code,
        )
        self._metrics.tick(summary, at, behind)

    def _behind(self, summary: Summary, at: datetime) -> float | None:
        """Seconds from the newest message of these loads to the moment at which it is published."""
        tables = {topic.label: topic for topic in self._topics}
        newest = []
        with duckdb.connect(str(self._settings.warehouse)) as con:
            for load in summary.loads:
                schema = tables[f"{load.source}.{load.table}"].source.raw_schema
                newest += con.execute(
                    f"select max(_timestamp) from {quote(schema)}.{quote(load.table)} "
                    "where _load_number = ? having max(_timestamp) is not null",
                    [load.number],
                ).fetchall()
        if not newest:
            return None
        return float((at - max(moment for (moment,) in newest).replace(tzinfo=UTC)).total_seconds())
