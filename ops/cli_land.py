"""`millrace land`: a reader that lands a topic's messages for the load, on any machine."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from ingest.declaration import load_sources
from ingest.errors import IngestError, SourceDownError, SourceError, redact
from ingest.faults import explained, patience, patiently
from ingest.readers import secrets
from ingest.readers.land import Lander, Round, Share
from ingest.readers.stretch import StretchError, named
from ops import settings as settings_module
from ops.cli_run import LogJson, logged, seconds, told_to_stop
from ops.codes import CallError
from ops.log import Log


def land(
    table: Annotated[str, typer.Argument(help="A topic's table with a landing: `source.table`.")],
    partitions: Annotated[
        str | None, typer.Option(help="Only these, by number: 0,1. All if not given.")
    ] = None,
    share: Annotated[
        str | None, typer.Option(help="One of equal shares of the partitions: 1/2, and 2/2.")
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="Go on for ever, and look so often: 1s, 1m.")
    ] = None,
    log_json: LogJson = False,
) -> None:
    """Read a topic's messages and land them as files, for the one load that takes them in.

    Several may run, each with a share of the partitions, where the folder of the table's `landing`
    can be reached; none needs the warehouse. After a kill, the same command goes on. Where the load
    is far behind, the rest stays in the broker.

    \b
    Examples:
      millrace land shop_events.orders                          all partitions, to their ends
      millrace land shop_events.orders --share 1/2 --every 1s   half of them, until Ctrl-C
      millrace land shop_events.orders --partitions 0,3
    """
    mine = _share(partitions, share)
    pause = None if every is None else seconds(every)
    with logged(as_json=log_json) as log:
        here = settings_module.load(None)
        try:
            source, found = named(load_sources(here.project, here.env), table)
        except StretchError as error:
            raise CallError(str(error)) from None
        if found.ingest.topic is None:
            raise CallError(f"{found.label} is no topic: nothing of it lands")
        hidden = secrets(source, here.env)
        lander = Lander(source, found, here.env, mine)
        if pause is not None:
            _for_ever(lander, log, found.label, hidden, pause)
            return
        try:
            done = patiently()(_round, lander, log)
        except Exception as error:
            raise explained(error, found.label, hidden) from None
        if done.problem or done.full:
            raise done.problem or _full(done, found.label)


def _for_ever(lander: Lander, log: Log, label: str, hidden: tuple[str, ...], pause: float) -> None:
    """Round after round until Ctrl-C or SIGTERM; the piece at work lands well."""
    stop, trouble, tries = told_to_stop(), "", 0
    while not stop.is_set():
        wait, problem = pause, None
        try:
            done = _round(lander, log, stop.is_set)
            problem = done.problem
        except Exception as error:
            problem = explained(error, label, hidden)
            wait = patience(tries + 1, pause)
        told = redact(str(problem), hidden) if problem else ""
        # a broker that is away is one trouble, in whichever words the client has it
        now = "away" if isinstance(problem, SourceDownError) else told
        if now and now != trouble:
            log.error("source_failed", f"{told}\n  it is tried again, and told when it is well")
        if trouble and not now:
            log.say("source_back", f"{label} can be read again")
        trouble, tries = now, tries + 1 if now else 0
        stop.wait(wait)
    log.say("stopped", "stopped")


def _round(lander: Lander, log: Log, stop: Callable[[], bool] = lambda: False) -> Round:
    begun = time.monotonic()
    done = lander.round(stop)
    if done.files:
        took = time.monotonic() - begun
        log.say(
            "landed",
            f"{done.messages:,} messages in {done.files:,} files, {done.size:,} bytes; "
            f"{done.messages / took:,.0f} messages/s"
            + ("; the load is behind, and the rest stays in the broker" if done.full else ""),
            messages=done.messages,
            files=done.files,
            bytes=done.size,
            seconds=took,
            full=len(done.full),
        )
    return done


def _full(done: Round, label: str) -> IngestError:
    """What is told where the landing holds all that it may."""
    told = ", ".join(f"{topic}/{number}" for topic, number in sorted(done.full)[:5])
    return SourceError(
        f"{label}: so much of {told} waits for the load that the rest was left in the broker",
        mend=f"millrace load {label}, and land again",
    )


def _share(partitions: str | None, share: str | None) -> Share:
    """The partitions that the words mean.

    Raises:
        typer.BadParameter: they mean none.
    """
    if partitions is not None and share is not None:
        raise typer.BadParameter("name partitions, or a share of them", param_hint="--share")
    try:
        if partitions is not None:
            return Share(numbers=frozenset(int(word) for word in partitions.split(",")))
        if share is None:
            return Share()
        nth, of = map(int, share.split("/"))
    except ValueError:
        word = "--share" if partitions is None else "--partitions"
        raise typer.BadParameter("write 0,1,2 or 1/2", param_hint=word) from None
    if not 1 <= nth <= of:
        raise typer.BadParameter("the first of two shares is 1/2", param_hint="--share")
    return Share(nth=nth - 1, of=of)
