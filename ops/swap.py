"""Warehouse and marts change together or not at all.

The files that come are written beside those in use, as drafts. Then a note says that they replace
them, and from there on it happens: whatever dies, the next command renames what is left to rename
and publishes. Before the note nothing has changed.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb

from ingest.disk import sync_folder
from ops.history import History, HistoryError, write_json
from ops.journal import new_run_id
from ops.lock import HeldError
from ops.log import Log
from ops.publish import after_dbt, log_of, mark, release, settle
from ops.settings import Settings

Held = Mapping[str, tuple[duckdb.DuckDBPyConnection, BinaryIO]]
"""The files in use by name, open for writing, which keeps every other writer out."""


def files(settings: Settings) -> dict[str, Path]:
    """The files in use, by name."""
    return {"warehouse": settings.warehouse, "marts": settings.marts}


def draft(file: Path) -> Path:
    """Where the file that replaces this one is written."""
    return file.with_name(f"{file.name}.rewind")


def beside(file: Path) -> Path:
    """Where a copy of this file is worked on; of the same name, which dbt knows the database by."""
    return file.with_name(f"{file.name}.rebuild") / file.name


def marks(settings: Settings) -> str:
    """What changes whenever anything is written to one of the files."""
    return "; ".join(mark(file) for file in files(settings).values())


def replace(settings: Settings, command: str, point: str = "") -> None:
    """Put the drafts in place of the files in use; `finish` is to follow.

    Args:
        settings: the settings; the run lock is ours.
        command: what does so, for the journal.
        point: the point that the drafts were kept as, if they are of one.
    """
    settings.history.parent.mkdir(parents=True, exist_ok=True)
    settings.history.mkdir(mode=0o700, exist_ok=True)
    settings.guard()
    write_json(_note(settings), {"command": command, "point": point})
    _swap(settings)


def begun(settings: Settings) -> bool:
    """Whether the drafts are to be in place, and `finish` is still to come."""
    return _note(settings).exists()


def complete(settings: Settings, log: Log) -> None:
    """Finish what was cut off behind the note, or tidy up after what was not to be.

    Args:
        settings: the settings; the run lock is ours.
        log: is told; its run id becomes that of the end.
    """
    if not begun(settings):
        drop_drafts(settings)
        return
    log.run_id = new_run_id()
    command = json.loads(_note(settings).read_text("utf-8"))["command"]
    log.say("swap", f"`millrace {command}` was cut off; it is finished first")
    with held(settings):
        _swap(settings)
    finish(settings, log)


def finish(settings: Settings, log: Log) -> int:
    """Publish what is in place now, as a run in the journal; its exit code.

    Marts that no good build vouches for, as a failed one left them, are not published.
    """
    from ops import report
    from ops.run import Runner

    told = json.loads(_note(settings).read_text("utf-8"))
    command = told["command"]
    done = Runner(settings, log).run(("publish",), command, thorough=False, run_id=log.run_id)
    report.start_page(settings)
    history = History(settings.history)
    for point in history.points():
        if point.name == told["point"]:
            history.note(point, marks(settings))
    drop_drafts(settings)
    _note(settings).unlink()
    sync_folder(settings.history)
    return done.code


def drop_drafts(settings: Settings) -> None:
    """Delete what is to replace nothing."""
    for file in files(settings).values():
        draft(file).unlink(missing_ok=True)
        if beside(file).parent.exists():
            shutil.rmtree(beside(file).parent)


@contextmanager
def held(settings: Settings) -> Iterator[Held]:
    """Both files, as far as they are there, with nothing left in their logs.

    Raises:
        HeldError: another program has one of them open.
        HistoryError: one of them cannot be opened.
    """
    release()
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(_still(file))
            for name, file in files(settings).items()
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
            settle(connection, database)
            yield connection, file
        finally:
            connection.close()


def _swap(settings: Settings) -> None:
    """Rename what has not been renamed yet. A log belongs to the file that goes."""
    for file in files(settings).values():
        if draft(file).exists():
            log_of(file).unlink(missing_ok=True)
            draft(file).replace(file)
            sync_folder(file.parent)


def _note(settings: Settings) -> Path:
    return settings.history / "rewind.json"
