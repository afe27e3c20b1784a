"""Back to a kept run, and forward again: warehouse and marts change together or not at all.

The two files of a point are written beside those in use. Then a note says that they replace them,
and from there on the rewind happens: whatever dies, the next command renames what is left to rename
and publishes. Before the note nothing has changed.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from ops import raw_books
from ops.codes import OK, CallError
from ops.history import History, HistoryError, Point, write_json
from ops.journal import new_run_id
from ops.lock import HeldError
from ops.log import Log
from ops.publish import after_dbt, log_of, mark, release, sync_folder
from ops.settings import Settings

LATEST = "latest"
"""The word for the newest point."""

Held = Mapping[str, tuple[duckdb.DuckDBPyConnection, BinaryIO]]
"""The files in use by name, open for writing, which keeps every other writer out."""


@dataclass(frozen=True)
class Rewound:
    """What a rewind came to: where it went, what is kept of where it left, the exit code."""

    point: Point
    left: Point | None
    code: int


def keep(settings: Settings, run_id: str = "") -> Point:
    """Keep the two files as they are now, and forget the points that are too many.

    Args:
        settings: the settings; the run lock is ours.
        run_id: the run that has just ended; the journal's last when not given.

    Raises:
        HeldError: another program has one of the files open.
        HistoryError: they cannot be kept.
    """
    with _held(settings) as held:
        return _keep(settings, held, run_id)


def rewind(settings: Settings, log: Log, to: str) -> Rewound:
    """Put the two files of a point in place of those in use, and publish its marts.

    What is in use is kept first. The rewind itself is a run in the journal, which went back too.

    Args:
        settings: the settings; the run lock is ours, and no half-done rewind is left.
        log: its run id is the run's.
        to: a point's name, or `latest`.

    Raises:
        CallError: there is no such point.
        HeldError: another program has one of the files open.
        HistoryError: the point is damaged, or the present cannot be kept; nothing has changed.
    """
    history = History(settings.history)
    point = _find(history, to)
    if in_use(settings) == point:
        return Rewound(point, None, OK)
    with _held(settings) as held:
        left = _keep(settings, held, also=point.name) if held else None
        try:
            for name, file in _files(settings).items():
                history.restore(point, name, _draft(file))
                if file.exists():
                    shutil.copymode(file, _draft(file))
                sync_folder(file.parent)
        except (OSError, HistoryError) as error:
            _drop_drafts(settings)
            raise HistoryError(
                f"{error}. Nothing was changed; `millrace rewind` lists the other points"
            ) from error
        write_json(_note(settings), {"point": point.name})
        _swap(settings)
    return Rewound(point, left, _finish(settings, log))


def complete(settings: Settings, log: Log) -> None:
    """Finish a rewind that was killed, or tidy up after one that had not begun.

    Args:
        settings: the settings; the run lock is ours.
        log: is told; its run id becomes that of the rewind's end.
    """
    if not _note(settings).exists():
        _drop_drafts(settings)
        return
    log.run_id = new_run_id()
    log.say("rewind", "a rewind was cut off; it is finished first")
    with _held(settings):
        _swap(settings)
    _finish(settings, log)


def _finish(settings: Settings, log: Log) -> int:
    """Publish what is in place now, as a run in the journal; its exit code.

    Marts that no good build vouches for, as a failed one left them, are not published.
    """
    from ops import report
    from ops.run import Runner

    name = json.loads(_note(settings).read_text("utf-8"))["point"]
    command = f"rewind --to {name}"
    done = Runner(settings, log).run(("publish",), command, thorough=False, run_id=log.run_id)
    report.start_page(settings)
    history = History(settings.history)
    history.note(_find(history, name), _marks(settings))
    _note(settings).unlink()
    sync_folder(settings.history)
    return done.code


def _find(history: History, to: str) -> Point:
    points = history.points()
    if points and to == LATEST:
        return points[-1]
    for point in points:
        if point.name == to:
            return point
    there = ", ".join(point.name for point in reversed(points))
    raise CallError(
        f"no point {to!r} is kept; there are {there}"
        if points
        else "no point is kept yet: a `millrace run` that publishes keeps one, and "
        "MILLRACE_KEEP_RUNS says how many there are at most"
    )


def _keep(settings: Settings, held: Held, run_id: str = "", also: str = "") -> Point:
    history = History(settings.history)
    if missing := _files(settings).keys() - held.keys():
        gone = _files(settings)[missing.pop()]
        raise HistoryError(
            f"{gone} is missing, so what is left of the two files cannot be kept. Run: millrace "
            "build, or move the other one away"
        )
    try:
        point = history.present(_marks(settings))
        if point is None:
            about = _about(held["warehouse"][0])
            files = {name: file for name, (_, file) in held.items()}
            point = history.keep(run_id or about["run_id"], about, files)
            history.note(point, _marks(settings))
        history.prune(max(settings.keep_runs, 1), {point.name, also})
    except (OSError, duckdb.Error) as error:
        raise HistoryError(f"the present could not be kept: {error}") from error
    return point


def _about(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What a point holds: the last run, its command, finished loads, rows in raw."""
    loads, rows = raw_books.totals(con)
    last: tuple[str, str] | None = None
    if con.execute(
        "select 1 from duckdb_tables() where schema_name = 'millrace' and table_name = 'runs'"
    ).fetchone():
        last = con.execute(
            "select run_id, command from millrace.runs order by started_at desc limit 1"
        ).fetchone()
    run_id, command = last or (new_run_id(), "")
    return {"run_id": run_id, "command": command, "loads": loads, "rows": rows}


def _swap(settings: Settings) -> None:
    """Rename what has not been renamed yet. A log belongs to the file that goes."""
    for file in _files(settings).values():
        if _draft(file).exists():
            log_of(file).unlink(missing_ok=True)
            _draft(file).replace(file)
            sync_folder(file.parent)


def _drop_drafts(settings: Settings) -> None:
    for file in _files(settings).values():
        _draft(file).unlink(missing_ok=True)


@contextmanager
def _held(settings: Settings) -> Iterator[Held]:
    """Both files, as far as they are there, with nothing left in their logs."""
    release()
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(_still(file))
            for name, file in _files(settings).items()
            if file.exists()
        }


@contextmanager
def _still(database: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, BinaryIO]]:
    """A DuckDB file that stays as it is. As in `publish`, our descriptor closes last."""
    with database.open("rb") as file:
        try:
            connection = after_dbt(lambda: duckdb.connect(database))
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise HistoryError(
                    f"{database} cannot be opened: {error}. Move it away to rewind without it"
                ) from None
            raise HeldError(f"another program has {database} open: {error}") from None
        try:
            connection.execute("checkpoint")
            yield connection, file
        finally:
            connection.close()


def in_use(settings: Settings) -> Point | None:
    """The point whose files are in use; None where something was written since."""
    return History(settings.history).present(_marks(settings))


def _files(settings: Settings) -> dict[str, Path]:
    return {"warehouse": settings.warehouse, "marts": settings.marts}


def _marks(settings: Settings) -> str:
    return "; ".join(mark(file) for file in _files(settings).values())


def _draft(file: Path) -> Path:
    return file.with_name(f"{file.name}.rewind")


def _note(settings: Settings) -> Path:
    return settings.history / "rewind.json"
