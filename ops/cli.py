"""The `millrace` command: reads the words, calls what does the work, and tells the result."""

import gc
import sys
from enum import StrEnum
from typing import Annotated

import typer

from ingest.declaration import Accept
from ops import settings as settings_module
from ops.cli_run import LogJson, Target, loop, once, said, seconds
from ops.log import Log
from ops.steps import STEPS

EXIT_CODES = (
    "Exit codes: 0 all went well; 1 something else failed, and the message says what; "
    "2 the command was called wrongly; "
    "3 a source failed, and all others were built and published; 4 a model or test failed, and "
    "readers keep the former snapshot; 5 another run is at work; 6 a declaration is wrong; "
    "130 Ctrl-C."
)

app = typer.Typer(
    help="Millrace: rows in exactly once, tested marts out, in one dbt project.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Tables = Annotated[
    list[str] | None, typer.Argument(help="Words like `pos` or `pos.transactions`; all if none.")
]


class Origin(StrEnum):
    """Where dbt packages may come from."""

    auto = "auto"
    hub = "hub"
    cache = "cache"
    stand_ins = "stand-ins"


@app.command(epilog=EXIT_CODES)
def run(
    every: Annotated[
        str | None, typer.Option(help="Go on for ever, so often: 5s, 10m, 1h.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", "--quick-report", help="Leave the deep tests, the docs and quality pages."
        ),
    ] = False,
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Load, build, test, publish and report. With nothing new it builds nothing.

    After a kill, the same command goes on where the killed one was: what did not finish is undone,
    and readers keep the former snapshot until a build has passed all its tests.

    \b
    Examples:
      millrace run                   everything, once
      millrace run --every 10m       for ever, every ten minutes, until Ctrl-C
      millrace run --target prod     in prod's own warehouse
      millrace run --log-json        for a log store: one JSON object a line, on standard error
    """
    steps = tuple(step.name for step in STEPS)
    if every is not None:
        loop(seconds(every), target, log_json)
        return
    once(steps, "run", target, log_json, thorough=not quick)


@app.command(epilog=EXIT_CODES)
def load(
    tables: Tables = None,
    accept_deletes: Annotated[
        bool,
        typer.Option(
            "--accept-deletes",
            help="Compare the tables' keys now, and take all that is gone for deleted.",
        ),
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Go on behind messages of a topic that are gone unread."
        ),
    ] = False,
    target: Target = None,
    log_json: LogJson = False,
) -> None:
    """Bring new rows in from the sources, and nothing else; the next run builds from them.

    \b
    Examples:
      millrace load                            every source
      millrace load pos                        one source
      millrace load pos.products promo         one table, and one more source
      millrace load pos.products --accept-deletes    the many rows that are gone are rightly gone
      millrace load scanner.scans --accept-loss      the topic's lost messages are told in the books
    """
    words = tuple(tables or ())
    if accept_deletes and accept_loss:
        raise typer.BadParameter("accept one after the other", param_hint="--accept-loss")
    accept: Accept = "deletes" if accept_deletes else "loss" if accept_loss else ""
    command = " ".join(["load", *words, *([f"--accept-{accept}"] if accept else [])])
    once(("load",), command, target, log_json, tables=words, accept=accept)


@app.command(
    epilog=EXIT_CODES, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def build(context: typer.Context, target: Target = None, log_json: LogJson = False) -> None:
    """Build and test what new rows or edits reach; further words go to `dbt build`.

    \b
    Examples:
      millrace build                           what new loads or edits reach
      millrace build --select fct_baskets+     one model and all that comes after it
      millrace build --full-refresh            everything anew from raw
    """
    words = tuple(context.args)
    once(("build",), " ".join(["build", *words]), target, log_json, arguments=words)


@app.command(epilog=EXIT_CODES)
def publish(target: Target = None, log_json: LogJson = False) -> None:
    """Give readers the marts as they are now, unless the last build failed its tests.

    All marts are replaced at once; who is reading goes on reading the former ones.

    \b
    Example:
      millrace build && millrace publish
    """
    once(("publish",), "publish", target, log_json)


@app.command(epilog=EXIT_CODES)
def report(target: Target = None, log_json: LogJson = False) -> None:
    """Write the start page, the dbt docs and the Elementary report.

    They are in published/site (of another target than dev in published/<target>/site): index.html,
    docs.html and quality.html, each one file that asks nothing of the network.
    """
    once(("report",), "report", target, log_json)


@app.command()
def deps(
    source: Annotated[Origin, typer.Option(help="Where they may come from.")] = Origin.auto,
    refresh: Annotated[bool, typer.Option(help="Ask the hub again.")] = False,
) -> None:
    """Install the dbt packages: from the hub, else from your cache, else our stand-ins.

    \b
    Examples:
      millrace deps                       the first of the three that there is
      millrace deps --refresh             ask the hub again, though they are installed
      millrace deps --source stand-ins    ours, with no network and no cache
    """
    from ops import packages

    here, log = settings_module.load(None), Log()
    try:
        done = packages.install(
            here.project, source=source.value, cache=here.cache, refresh=refresh
        )
    except packages.PackagesError as error:
        log.error("deps", str(error))
        raise typer.Exit(1) from None
    for note in done.notes:
        log.say("deps", f"  {note}", style="yellow")
    pins = ", ".join(f"{name} {version}" for name, version in done.packages.items())
    log.say("deps", f"{pins}: from {done.origin}")


def _register() -> None:
    from ops import (
        cli_backfill,
        cli_dead_letters,
        cli_kafka,
        cli_land,
        cli_rebuild,
        cli_rewind,
        cli_sample,
        cli_status,
        cli_stream,
    )

    app.command("status")(cli_status.status)
    app.command(epilog=EXIT_CODES)(cli_backfill.backfill)
    app.command("rewind-stream", epilog=EXIT_CODES)(cli_backfill.rewind_stream)
    app.command(epilog=EXIT_CODES)(cli_rebuild.rebuild)
    app.command(epilog=EXIT_CODES)(cli_rewind.rewind)
    app.command(epilog=EXIT_CODES)(cli_land.land)
    app.command(epilog=EXIT_CODES)(cli_stream.stream)
    app.add_typer(cli_dead_letters.app, name="dead-letters")
    cli_sample.app.add_typer(cli_kafka.app, name="kafka")
    app.add_typer(cli_sample.app, name="sample")


def main() -> None:
    """The entry point: expected errors end in one message, never in a traceback."""
    # dbt makes hundreds of thousands of objects that stay: looking through all of them at Python's
    # usual pace is a tenth of a build's processor time
    gc.set_threshold(50_000, 10, 10)
    _register()
    try:
        app()
    except Exception as error:
        code, event, text = said(error)
        Log(as_json="--log-json" in sys.argv).error(event, text)
        sys.exit(code)


if __name__ == "__main__":
    main()
