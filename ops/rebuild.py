"""What derives from a table built anew from the log, beside what is in use, and put in its place.

The two files are copied into a folder beside, and there dbt makes the models from their first row
and asks every test. Only then what came of it is kept as a point, and the way to it is that of a
rewind: both files change together or not at all, and readers get the marts at once.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ops import rewind
from ops.codes import OK
from ops.history import History, HistoryError
from ops.journal import new_run_id
from ops.log import Log
from ops.run import Runner
from ops.settings import Settings


def rebuild(settings: Settings, log: Log, select: str, command: str) -> int:
    """Build the selected models anew and put them in place; the exit code.

    A kill at any moment leaves what was in use, or the new as a whole: the same command again
    begins anew, or has nothing to do but to be typed.

    Args:
        settings: the settings; the run lock is ours.
        log: its run id is the run's.
        select: as dbt's `--select` has it.
        command: what was typed, for the journal.

    Raises:
        HeldError: another program has one of the files open.
        HistoryError: there is no room for another copy, or the present cannot be kept; nothing has
            changed.
    """
    beside = settings.scratch / "rebuild"
    shutil.rmtree(beside, ignore_errors=True)
    _room(settings)
    left = rewind.keep(settings)
    beside.mkdir(parents=True)
    there = replace(
        settings,
        warehouse=beside / settings.warehouse.name,
        marts=beside / settings.marts.name,
    )
    history = History(settings.history)
    history.restore(left, "warehouse", there.warehouse)
    history.restore(left, "marts", there.marts)
    with _in_use(there):
        code = _built(there, log, select, command)
        if code == OK:
            point = rewind.keep(there, log.run_id)
    shutil.rmtree(beside)
    if code != OK:
        log.say("rebuild", "nothing was changed: what was in use still is", style="yellow")
        return code
    log.run_id = new_run_id()  # it is a run of its own in the journal
    done = rewind.rewind(settings, log, point.name)
    log.say("left", f"the way back: millrace rewind --to {left.name}", style="dim")
    return done.code


def _built(there: Settings, log: Log, select: str, command: str) -> int:
    """The selected models from their first row, and then all that there is, with every test."""
    anew = ("--full-refresh", "--select", select)
    for arguments in (anew, ()):
        runner = Runner(there, log)
        code = runner.run(("build",), command, arguments=arguments, run_id=new_run_id()).code
        if code != OK:
            return code
    return OK


def _room(settings: Settings) -> None:
    """Refuse where the disk cannot take what is needed at most: a copy, and a point of all anew.

    Raises:
        HistoryError: it cannot.
    """
    size = sum(
        file.stat().st_size for file in (settings.warehouse, settings.marts) if file.exists()
    )
    free = shutil.disk_usage(settings.home).free
    if free < 4 * size:
        raise HistoryError(
            f"a rebuild needs up to {4 * size / 1e6:,.0f} MB of disk, and {free / 1e6:,.0f} MB are "
            "free. Nothing was changed"
        )


@contextmanager
def _in_use(there: Settings) -> Iterator[None]:
    """dbt finds these files, as its profile has them by the environment."""
    own = {"MILLRACE_WAREHOUSE": str(there.warehouse), "MILLRACE_MARTS": str(there.marts)}
    before = {name: os.environ[name] for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        os.environ.update(before)
