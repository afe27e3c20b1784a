"""The `millrace` command: reads the words, calls what does the work, and tells the result."""

import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table as RichTable

from ingest.errors import DeclarationError, IngestError, redact
from ops import settings as settings_module
from ops.codes import FAILED, HELD, MISDECLARED, USAGE
from ops.lock import HeldError
from ops.log import Log
from ops.settings import Settings, SettingsError
from ops.steps import STEPS
from sample.errors import SampleError

EXIT_CODES = (
    "Exit codes: 0 all went well; 1 something unforeseen; 2 the command was called wrongly; "
    "3 a source failed, and all others were built and published; 4 a model or test failed, and "
    "readers keep the former snapshot; 5 another run is at work; 6 a declaration is wrong."
)

app = typer.Typer(
    help="Millrace: rows in exactly once, tested marts out, in one dbt project.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Target = Annotated[
    str | None, typer.Option(help="dev, ci, staging or prod; MILLRACE_TARGET when not given.")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="One JSON object a line.")]
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
        _loop(_seconds(every), target, log_json)
        return
    _run(steps, "run", target, log_json, thorough=not quick)


@app.command(epilog=EXIT_CODES)
def load(tables: Tables = None, target: Target = None, log_json: LogJson = False) -> None:
    """Bring new rows in from the sources, and nothing else; the next run builds from them.

    \b
    Examples:
      millrace load                            every source
      millrace load pos                        one source
      millrace load pos.products promo         one table, and one more source
    """
    words = tuple(tables or ())
    _run(("load",), " ".join(["load", *words]), target, log_json, tables=words)


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
    _run(("build",), " ".join(["build", *words]), target, log_json, arguments=words)


@app.command(epilog=EXIT_CODES)
def publish(target: Target = None, log_json: LogJson = False) -> None:
    """Give readers the marts as they are now, unless the last build failed its tests.

    All marts are replaced at once; who is reading goes on reading the former ones.

    \b
    Example:
      millrace build && millrace publish
    """
    _run(("publish",), "publish", target, log_json)


@app.command(epilog=EXIT_CODES)
def report(target: Target = None, log_json: LogJson = False) -> None:
    """Write the start page, the dbt docs and the Elementary report.

    They are in published/site: index.html, docs.html and quality.html, each one file that asks
    nothing of the network.
    """
    _run(("report",), "report", target, log_json)


@app.command()
def status(target: Target = None) -> None:
    """What ran last, what is running, and which loads wait for a build."""
    from ops.lock import holder
    from ops.run import Runner

    here, log = settings(target), Log()
    held = holder(here.scratch)
    log.say("status", held or "no run is going on")
    if held:
        return
    runner = Runner(here, log)
    for row in runner.journal.last_runs(5):
        took = (
            f"{(row.finished_at - row.started_at).total_seconds():.0f} s"
            if row.finished_at
            else "-"
        )
        log.say("run", f"  {row.run_id}  {row.command:<10} {row.status:<8} {took}")
    waiting = runner.waiting() if here.warehouse.exists() else {}
    for (source, table), number in sorted(waiting.items()):
        log.say("waiting", f"  {source}.{table}: load {number} waits for a build")
    if not waiting:
        log.say("waiting", "every finished load is built")


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

    here, log = settings(None), Log()
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
    from ops import cli_dead_letters, cli_sample

    app.add_typer(cli_dead_letters.app, name="dead-letters")
    app.add_typer(cli_sample.app, name="sample")


def main() -> None:
    """The entry point: expected errors end in one message, never in a traceback."""
    _register()
    try:
        app()
    except Exception as error:
        code, event, text = _said(error)
        Log(as_json="--log-json" in sys.argv).error(event, text)
        sys.exit(code)


def _said(error: Exception) -> tuple[int, str, str]:
    """The exit code, the event and the text for an error that reached the top."""
    expected: tuple[tuple[type[Exception], int, str], ...] = (
        (SettingsError, USAGE, "settings"),
        (HeldError, HELD, "held"),
        (DeclarationError, MISDECLARED, "misdeclared"),
        (IngestError, FAILED, "failed"),
        (SampleError, FAILED, "failed"),
    )
    for kind, code, event in expected:
        if isinstance(error, kind):
            return code, event, str(error)
    text = f"{type(error).__name__}: {redact(str(error))}"
    return FAILED, "unforeseen", f"{text}\n  a fault of Millrace; its trace is in {_traced()}"


def _traced() -> str:
    """Put the trace of the present error into the log folder; the file's path."""
    path = settings_module.log_folder() / "millrace-trace.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(redact(traceback.format_exc()) + "\n")
    return str(path)


def settings(target: str | None) -> Settings:
    """The settings of this call."""
    return settings_module.load(target)


@contextmanager
def opened(target: str | None, command: str) -> Iterator[Settings]:
    """The settings with the sample's systems up and the run lock held.

    Raises:
        HeldError: another run holds the lock.
    """
    import sample
    from ops.lock import run_lock

    here = settings(target)
    with run_lock(here.scratch, command), sample.services(here.sample_home):
        yield here


def _run(
    steps: tuple[str, ...],
    command: str,
    target: str | None,
    log_json: bool,
    *,
    tables: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
    thorough: bool = True,
) -> None:
    from ops.run import Runner

    log = Log(as_json=log_json)
    with opened(target, command) as here:
        summary = Runner(here, log).run(
            steps, command, tables=tables, arguments=arguments, thorough=thorough
        )
    if summary.idle and "load" in steps:
        log.say("idle", "nothing new; nothing to build")
    raise typer.Exit(summary.code)


def _loop(pause: float, target: str | None, log_json: bool) -> None:
    from ops.run import Runner

    log = Log(as_json=log_json)
    steps = tuple(step.name for step in STEPS if step.name != "freshness")
    with opened(target, "run --every") as here:
        runner, stop = Runner(here, log), _told_to_stop()
        while not stop.is_set():
            begun = time.monotonic()
            try:
                summary = runner.run(steps, "run --every", thorough=False)
            except Exception as error:  # the next tick begins afresh, as after a kill
                _, event, text = _said(error)
                log.error(event, text)
                runner = Runner(here, log)
                stop.wait(pause)
                continue
            took = time.monotonic() - begun
            if not summary.idle:
                log.say("tick", f"tick took {took:.2f} s", seconds=took, code=summary.code)
            stop.wait(max(0.0, pause - took))
        log.say("stopped", "stopped")


def _told_to_stop() -> threading.Event:
    """Set by Ctrl-C or SIGTERM: the tick at work ends well; a second one ends it at once.

    Nothing is said in the handler: it may have interrupted the very stream it would write to.
    """
    stop = threading.Event()

    def told(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, told)
    return stop


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        return float(text[:-1]) * units[text[-1]]
    except (ValueError, KeyError, IndexError):
        raise typer.BadParameter("write it as 5s, 10m or 1h", param_hint="--every") from None


def table(title: str, columns: list[str], rows: list[list[str]]) -> RichTable:
    """A small table for the terminal; all columns but the first stand right."""
    made = RichTable(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        made.add_row(*row)
    return made


if __name__ == "__main__":
    main()
