"""`millrace rebuild`: what derives from a table anew from its log, then in its place at once."""

from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from ingest.declaration import Source, Table, load_sources
from ingest.readers.stretch import StretchError, named
from ops.cli_backfill import since_offset, taken
from ops.cli_run import LogJson, Target, logged, opened
from ops.codes import OK, CallError
from ops.settings import Settings


class LogOf(StrEnum):
    """Where the versions of all rows are."""

    raw = "raw"
    topic = "topic"


def rebuild(
    table: Annotated[str, typer.Argument(help="A source's table: `source.table`.")],
    from_log: Annotated[
        LogOf, typer.Option(help="raw, or the topic, which is read again before.")
    ] = LogOf.raw,
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Build all that derives from a table anew, beside the old, and put it in place at once.

    Raw is a log and keeps every version of every row, so the models can be made from their first
    row at any time. Readers, and the tables in use, stay as they are until every test has passed;
    a test that fails changes nothing. With `--from-log topic` the topic is read first from its
    earliest offset on, and what comes to other rows by now is in raw before.

    \b
    Examples:
      millrace rebuild scanner.scans                     from raw
      millrace rebuild scanner.scans --from-log topic    from the topic
    """
    words = f"rebuild {table} --from-log {from_log.value}"
    code = OK
    with logged(as_json=log_json) as log, opened(target, words, log) as here:
        from ops.rebuild import rebuild as anew

        source, found = _found(here, table)
        if from_log is LogOf.topic:
            if found.ingest.topic is None:
                raise CallError(f"{found.label} is read from no topic; its log is raw")
            code = taken(here, log, "rewind-stream", words, partial(since_offset, here, table, "0"))
        if code == OK:
            code = anew(here, log, f"source:{source.name}.{found.name}+", words)
    raise typer.Exit(code)


def _found(here: Settings, word: str) -> tuple[Source, Table]:
    try:
        return named(load_sources(here.project, here.env), word)
    except StretchError as error:
        raise CallError(str(error)) from None
