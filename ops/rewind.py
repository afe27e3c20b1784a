"""Back to a kept run, and forward again: see `swap` for how the files change."""

import shutil
from dataclasses import dataclass
from typing import Any

import duckdb

from ingest.disk import sync_folder
from ops import raw_books, swap
from ops.codes import OK, CallError
from ops.history import History, HistoryError, Point
from ops.journal import new_run_id
from ops.log import Log
from ops.settings import Settings

LATEST = "latest"
"""The word for the newest point."""


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
    with swap.held(settings) as held:
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
    with swap.held(settings) as held:
        left = _keep(settings, held, also=point.name) if held else None
        try:
            for name, file in swap.files(settings).items():
                history.restore(point, name, swap.draft(file))
                if file.exists():
                    shutil.copymode(file, swap.draft(file))
                sync_folder(file.parent)
        except (OSError, HistoryError) as error:
            swap.drop_drafts(settings)
            raise HistoryError(
                f"{error}. Nothing was changed; `millrace rewind` lists the other points"
            ) from error
        swap.replace(settings, f"rewind --to {point.name}", point.name)
    return Rewound(point, left, swap.finish(settings, log))


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


def _keep(settings: Settings, held: swap.Held, run_id: str = "", also: str = "") -> Point:
    history = History(settings.history)
    if missing := swap.files(settings).keys() - held.keys():
        gone = swap.files(settings)[missing.pop()]
        raise HistoryError(
            f"{gone} is missing, so what is left of the two files cannot be kept. Run: millrace "
            "build, or move the other one away"
        )
    try:
        point = history.present(swap.marks(settings))
        if point is None:
            about = _about(held["warehouse"][0])
            files = {name: file for name, (_, file) in held.items()}
            point = history.keep(run_id or about["run_id"], about, files)
            history.note(point, swap.marks(settings))
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


def in_use(settings: Settings) -> Point | None:
    """The point whose files are in use; None where something was written since."""
    return History(settings.history).present(swap.marks(settings))
