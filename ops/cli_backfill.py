"""`millrace backfill` and `millrace rewind-stream`: what was read is read again."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.declaration import Source, load_sources
from ingest.errors import DeclarationError, IngestError
from ingest.readers.rewound import SinceError, since
from ingest.readers.stretch import StretchError, named, stretch_of
from ops.cli_run import LogJson, Target, as_run, logged, opened
from ops.codes import MISDECLARED, OK, SOURCE_FAILED, CallError
from ops.log import Log
from ops.settings import Settings

if TYPE_CHECKING:
    from ingest.load import Loader, SourceResult

    Again = tuple[Source, Callable[[Loader, str], SourceResult]]
    """A source, and what its loader is asked for in a run."""


def backfill(
    table: Annotated[str, typer.Argument(help="A table with a cursor, as `source.table`.")],
    low: Annotated[str, typer.Option("--from", help="The first value of the cursor: 2017-01-01.")],
    high: Annotated[str, typer.Option("--to", help="The first value that is not read any more.")],
    chunk: Annotated[
        str | None,
        typer.Option(
            help="How much is one load: 12h, 7d, 4w, or a number; a window of rows if not."
        ),
    ] = None,
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Read a stretch of a table again, from a value of its cursor up to another.

    What raw holds already is recognised; what is new or was changed comes in as numbered loads.
    Where the next ordinary read begins stays as it is. After a kill, the same command goes on
    where it was. Nothing is built: the next `millrace run` takes the new rows into the marts.

    \b
    Examples:
      millrace backfill pos.transactions --from 2017-01-01 --to 2017-02-01
      millrace backfill pos.transactions --from 2017-01-01 --to 2018-01-01 --chunk 7d
      millrace backfill shop.orders --from 1000000 --to 2000000 --chunk 100000
    """
    words = " ".join(["backfill", table, "--from", low, "--to", high])
    with logged(as_json=log_json) as log, opened(target, words) as here:
        asked = partial(_stretch, here, (table, low, high, chunk))
        code = taken(here, log, "backfill", words, asked)
    raise typer.Exit(code)


def rewind_stream(
    table: Annotated[str, typer.Argument(help="A topic's table, as `source.table`.")],
    to: Annotated[
        str, typer.Option(help="An offset of every partition, or a time: 2017-01-31T10:00.")
    ],
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Read a topic again, from an offset or a time up to where its reading stands.

    Messages that raw holds as they are, are recognised; those that come to other rows by now, as
    when a column was declared since, come in as numbered loads and rank where they first stood.
    The table's own position stays. After a kill, the same command goes on where it was.

    \b
    Examples:
      millrace rewind-stream scanner.scans --to 2017-01-31T10:00
      millrace rewind-stream scanner.scans --to 0
    """
    words = " ".join(["rewind-stream", table, "--to", to])
    with logged(as_json=log_json) as log, opened(target, words) as here:
        code = taken(here, log, "rewind-stream", words, partial(since_offset, here, table, to))
    raise typer.Exit(code)


def _stretch(here: Settings, asked: tuple[str, str, str, str | None]) -> "Again":
    word, low, high, chunk = asked
    source, table = named(load_sources(here.project, here.env), word)
    stretch = stretch_of(source, table, low, high, chunk)
    return source, lambda loader, run_id: loader.backfill(table, stretch, run_id)


def since_offset(here: Settings, word: str, to: str) -> "Again":
    """A topic's source, and how its loader reads it again from a point on."""
    source, table = named(load_sources(here.project, here.env), word)
    asked = since(to, table)
    return source, lambda loader, run_id: loader.rewind_stream(table, asked, run_id)


def taken(here: Settings, log: Log, step: str, command: str, asked: Callable[[], "Again"]) -> int:
    """Do it as a run of one step in the journal; the exit code.

    Raises:
        CallError: the words name nothing that can be read again.
    """
    try:
        source, read = asked()
    except (StretchError, SinceError) as error:
        raise CallError(str(error)) from None
    from ingest.load import Loader  # and with it dlt

    scratch = here.scratch / "load" / source.name
    loader = Loader(
        source,
        here.warehouse,
        scratch,
        here.env,
        lambda line: log.say("load", f"  {line}"),
        here.guard,
    )
    errors: list[IngestError] = []

    def work(run_id: str) -> tuple[str, int]:
        with log.alone(here.logs / "tools.log"):
            result = read(loader, run_id)
        errors.extend(result.errors)
        rows = sum(load.read for load in result.loads)
        dead = sum(load.dead for load in result.loads)
        told = f"{rows:,} rows were new or had changed, {dead:,} of them dead letters"
        return told, _verdict(result.errors)

    begun = time.monotonic()
    detail, code = as_run(here, log, step, command, work)
    for problem in errors:
        log.error("source_failed", str(problem))
    seconds = time.monotonic() - begun
    status = "success" if code == OK else "failed"
    log.say("step", f"{step}: {detail} ({seconds:.1f} s)", status=status, seconds=seconds)
    if not detail.startswith("0 "):
        log.say("next", "`millrace run` takes them into the marts", style="dim")
    return code


def _verdict(errors: list[IngestError]) -> int:
    if not errors:
        return OK
    wrong = any(isinstance(error, DeclarationError) for error in errors)
    return MISDECLARED if wrong else SOURCE_FAILED
