"""How a command takes the pipeline's steps: under the lock, once or for ever, its errors told."""

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer

from ingest.declaration import Accept
from ingest.errors import DeclarationError, IngestError, redact
from ops import settings as settings_module
from ops.codes import FAILED, HELD, INTERRUPTED, MISDECLARED, OK, USAGE, CallError, RebuildError
from ops.history import HistoryError
from ops.journal import new_run_id
from ops.lock import HeldError, LostError
from ops.log import Log
from ops.secrecy import hidden_texts, without
from ops.settings import Settings, SettingsError
from ops.steps import STEPS
from sample.errors import SampleError

Target = Annotated[
    str | None, typer.Option(help="dev, ci, staging or prod; MILLRACE_TARGET when not given.")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="One JSON object a line.")]


def said(error: Exception) -> tuple[int, str, str]:
    """The exit code, the event and the text for an error that reached the top."""
    expected: tuple[tuple[type[Exception], int, str], ...] = (
        (SettingsError, USAGE, "settings"),
        (CallError, USAGE, "usage"),
        (HeldError, HELD, "held"),
        (DeclarationError, MISDECLARED, "misdeclared"),
        (IngestError, FAILED, "failed"),
        (SampleError, FAILED, "failed"),
        (HistoryError, FAILED, "failed"),
        (RebuildError, FAILED, "failed"),
    )
    hidden = hidden_texts()
    for kind, code, event in expected:
        if isinstance(error, kind):
            return code, event, without(str(error), hidden)
    text = f"{type(error).__name__}: {redact(str(error), hidden)}"
    trace = _traced(hidden)
    return FAILED, "unforeseen", f"{text}\n  a fault of Millrace; its trace is in {trace}"


def _traced(hidden: tuple[str, ...]) -> str:
    """Put the trace of the present error into the log folder; the file's path."""
    path = settings_module.log_folder() / "millrace-trace.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(redact(traceback.format_exc(), hidden) + "\n")
    return str(path)


@contextmanager
def logged(*, as_json: bool) -> Iterator[Log]:
    """The log of one run: each line carries the run's id, also that of an error that ends it.

    Raises:
        typer.Exit: an error ended the block; it has been told.
    """
    log = Log(as_json=as_json)
    log.run_id, log.hidden = new_run_id(), hidden_texts()
    try:
        yield log
    except KeyboardInterrupt:
        log.error("interrupted", "interrupted; the same command again goes on")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        code, event, text = said(error)
        log.error(event, text)
        raise typer.Exit(code) from None


@contextmanager
def opened(target: str | None, command: str, log: Log | None = None) -> Iterator[Settings]:
    """The settings with the sample's systems up, the run lock held, and no swap half done.

    Raises:
        HeldError: another run holds the lock.
    """
    import sample
    from ops import swap, vouching
    from ops.lock import run_lock

    here = settings_module.load(target)
    tell = (log or Log()).say
    with run_lock(here.warehouse, command, lambda line: tell("lock", line)) as lock:
        held = replace(here, lock=lock)
        vouching.vouch(held)
        with sample.services(here.sample_home):
            swap.complete(held, Log(as_json="--log-json" in sys.argv))
            yield held


def as_run(
    here: Settings, log: Log, step: str, command: str, work: Callable[[str], tuple[str, int]]
) -> tuple[str, int]:
    """Do the work as a run of one step in the journal; a run that did nothing is forgotten.

    Args:
        here: the settings.
        log: its run id is the run's.
        step: what the step is called.
        command: what was typed.
        work: takes the run id; gives what it did in words, none for nothing, and the exit code.
    """
    from ops.journal import Journal, now

    journal, run_id, begun = Journal(here.warehouse, here.guard), log.run_id, now()
    journal.start(run_id, command, here.target)
    journal.begin_step(run_id, step, begun)
    detail, code = "", FAILED
    try:
        detail, code = work(run_id)
    except BaseException as error:
        detail = str(error) or type(error).__name__
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
        raise
    finally:
        if detail:
            status = "success" if code == OK else "failed"
            journal.end_step(run_id, step, begun, status, detail)
            journal.finish(run_id, status, code)
        else:
            journal.forget(run_id)
    return detail, code


def once(
    steps: tuple[str, ...],
    command: str,
    target: str | None,
    log_json: bool,
    *,
    tables: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
    thorough: bool = True,
    accept: Accept = "",
) -> None:
    """Take the steps once; see `Runner.run`.

    Raises:
        typer.Exit: always, with the exit code.
    """
    from ops.run import Runner

    with logged(as_json=log_json) as log, opened(target, command, log) as here:
        summary = Runner(here, log).run(
            steps,
            command,
            tables=tables,
            arguments=arguments,
            thorough=thorough,
            accept=accept,
            run_id=log.run_id,
        )
        if summary.idle and "load" in steps:
            log.say("idle", "nothing new; nothing to build")
    raise typer.Exit(summary.code)


def loop(pause: float, target: str | None, log_json: bool) -> None:
    """Take the quick steps every `pause` seconds, once in a day all of them."""
    from ops.run import Runner

    steps = tuple(step.name for step in STEPS)

    def ticking(here: Settings, log: Log) -> Callable[[], float]:
        runner = Runner(here, log)

        def tick() -> float:
            begun = time.monotonic()
            summary = runner.run(steps, "run --every", thorough=None)
            took = time.monotonic() - begun
            if not summary.idle:
                log.say("tick", f"tick took {took:.2f} s", seconds=took, code=summary.code)
            return max(0.0, pause - took)

        return tick

    for_ever("run --every", target, log_json, ticking, pause)


def for_ever(
    command: str,
    target: str | None,
    log_json: bool,
    ticking: Callable[[Settings, Log], Callable[[], float]],
    patience: float,
) -> None:
    """Tick after tick under the lock, until Ctrl-C or SIGTERM; the tick at work ends well.

    Args:
        command: what was typed.
        target: whose warehouse.
        log_json: one JSON object a line.
        ticking: makes what is called for a tick, and gives the seconds until the next; it is asked
            again after an error, so that the next tick begins afresh, as after a kill.
        patience: seconds until then.
    """
    with logged(as_json=log_json) as log, opened(target, command, log) as here:
        tick: Callable[[], float] | None = ticking(here, log)
        stop = told_to_stop()
        while not stop.is_set():
            try:
                tick = tick or ticking(here, log)
                pause = tick()
            except LostError:
                raise
            except Exception as error:
                _, event, text = said(error)
                log.error(event, text)
                tick, pause = None, patience
            stop.wait(pause)
        log.say("stopped", "stopped")


def told_to_stop() -> threading.Event:
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


def seconds(text: str, option: str = "--every") -> float:
    """The seconds of a pause like `5s`, `10m` or `1h`.

    Raises:
        typer.BadParameter: it is written otherwise.
    """
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        return float(text[:-1]) * units[text[-1]]
    except (ValueError, KeyError, IndexError):
        raise typer.BadParameter("write it as 5s, 10m or 1h", param_hint=option) from None
