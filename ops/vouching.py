"""Whether anybody but Millrace wrote to the marts: what is published was tested as it stands."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

from ops.build_log import BuildLog, Killed
from ops.lock import BEAT
from ops.lock_file import entry_at, place
from ops.publish import after_dbt, log_of, mark, settle
from ops.settings import Settings

_SLACK = int(2 * BEAT * 1e9)  # a killed build wrote until it died, and beat last some time before


def vouch(settings: Settings) -> None:
    """Say of a killed build whether the marts are as it left them; the first start after it knows.

    It could not say so itself. But its lock was the last to be held, and beat until it died, as did
    the file of its nodes: where neither the marts nor the warehouse were written to later than
    that, nobody else was there. The times are all of one file system. Anything doubtful is left
    unsaid, and then the next build is a whole one.
    """
    killed, lock = BuildLog(settings.warehouse).read(), settings.lock
    if killed is None or killed.vouched is not None or lock is None or lock.former is None:
        return
    if _last(settings, killed, lock.former.token, lock.former_seen):
        vouch_now(settings)


def left_alone(settings: Settings, killed: Killed) -> bool:
    """Whether nobody has written to the marts since a build was killed."""
    if killed.vouched is not None or settings.lock is not None:
        return killed.vouched == mark(settings.marts)
    path = place(settings.warehouse)  # who only looks on says what the next start will find
    entry = entry_at(path)
    return entry is not None and _last(settings, killed, entry.token, path.stat().st_mtime_ns)


def _last(settings: Settings, killed: Killed, token: int, seen: int) -> bool:
    """Whether the killed build was the last to write: its lock had this token, seen then (ns)."""
    seen = max(seen, BuildLog(settings.warehouse).touched)
    return token == killed.plan.token and all(
        max(stat.st_mtime_ns, stat.st_ctime_ns) <= seen + _SLACK
        for database in (settings.warehouse, settings.marts)
        for stat in (path.stat() for path in _files(database))
    )


def vouch_now(settings: Settings) -> None:
    """Say that the marts are as a build of Millrace left them, which did not end well.

    What is still in their log is brought in before, or the next to open them would do it.
    """
    settings.guard()
    if settings.marts.exists():
        with suppress(duckdb.Error):
            with after_dbt(lambda: duckdb.connect(str(settings.marts))) as con:
                settle(con, settings.marts)
            BuildLog(settings.warehouse).vouch(mark(settings.marts))


def _files(database: Path) -> Iterator[Path]:
    for path in (database, log_of(database)):
        if path.exists():
            yield path
