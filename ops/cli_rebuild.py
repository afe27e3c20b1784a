"""`millrace rebuild`: a table and all that comes from it, anew from the log, beside the old."""

from functools import partial
from typing import Annotated

import typer

from ops.cli_backfill import since_offset, taken
from ops.cli_run import LogJson, Target, logged, opened
from ops.codes import OK
from ops.journal import new_run_id


def rebuild(
    table: Annotated[
        str, typer.Argument(help="A source's table, as `source.table`, or a model of dbt.")
    ],
    from_log: Annotated[
        bool,
        typer.Option(
            "--from-log/--from-topic",
            help="From raw, which is the log; or have the topic read again first.",
        ),
    ] = True,
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Build a table and all that comes from it anew, beside the old, and swap when it is tested.

    It works in copies of the warehouse and the marts, which take about as much room as these do.
    Readers have the old snapshot until the new one is there, whole. After a kill, or where a test
    fails, all is as it was, or the next command finishes the swap.

    \b
    Examples:
      millrace rebuild scanner.scans --from-log      all that comes from the scans, from raw
      millrace rebuild scanner.scans --from-topic    the topic is read again before
      millrace rebuild fct_basket_lines              one model and what comes from it
    """
    from ops.rebuild import rebuild as work

    words = " ".join(["rebuild", table, *([] if from_log else ["--from-topic"])])
    with logged(as_json=log_json) as log, opened(target, words, log) as here:
        code = OK
        if not from_log:
            code = taken(here, log, "rewind-stream", words, partial(since_offset, here, table, "0"))
            log.run_id = new_run_id()
        if code == OK:
            code = work(here, log, table, words)
    raise typer.Exit(code)
