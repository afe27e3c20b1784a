"""What becomes of a run that finds the lock held: it is told by whom, or takes it over."""

import time
from collections.abc import Callable
from pathlib import Path

from ops.lock_file import Entry, entry_at, taken

_LATE = 3.0  # a beat as old as this makes it worth watching; less, and a second start ends at once
_LOOK = 0.25
_GLANCE = 1.0  # a holder that has just begun has not yet written who it is
_PATIENCE = 8.0


class HeldError(Exception):
    """Another run holds the lock; the message says who and since when."""


def contended(path: Path, tell: Callable[[str], None], lease: float) -> int:
    """The lock from a holder that is gone by now, or is ended because it does not move.

    Raises:
        HeldError: the holder is at work, or cannot be seen from here.
    """
    ends = time.monotonic() + _GLANCE
    while (entry := _present(path)) is None and time.monotonic() < ends:
        if (descriptor := taken(path)) is not None:
            return descriptor
        time.sleep(_LOOK / 20)
    if entry is None:
        raise HeldError(
            f"a process holds {path} and does not say who it is. Find it (fuser {path}) and end it"
        )
    if not entry.process.visible:
        raise HeldError(
            f"{entry.told}; its last heartbeat was at {entry.at}. Wait for it, or end it there. "
            f"Where that machine is gone for good: rm {path}"
        )
    if not (entry.process.stopped or _overdue(path)):
        raise _at_work(path, entry)
    tell(f"{entry.told}, but it does not move; watching it for {lease:.0f} s")
    if not _still(path, entry, lease):
        raise _at_work(path, entry)
    return _fenced(path, entry, tell)


def _at_work(path: Path, entry: Entry) -> HeldError:
    """That it is held; by whoever holds it now, where that has changed."""
    return HeldError(f"{(entry_at(path) or entry).told}. Wait for it, or end it")


def _overdue(path: Path) -> bool:
    """Whether the last beat looks old. It decides only whether to watch: clocks may be wrong."""
    try:
        return not 0 <= time.time() - path.stat().st_mtime < _LATE
    except OSError:
        return True


def _still(path: Path, entry: Entry, lease: float) -> bool:
    """Whether for a whole lease the holder neither beat nor had any processor time.

    What is not watched is not counted: a machine that slept, or a contender that was itself
    stopped, has seen nothing of the holder meanwhile.
    """
    worked, watched, last = entry.process.worked, 0.0, time.monotonic()
    while watched < lease and entry.process.alive:
        time.sleep(_LOOK)
        now = time.monotonic()
        watched += min(now - last, 2 * _LOOK)
        last = now
        then = entry_at(path)
        if then is None or (then.token, then.beats) != (entry.token, entry.beats):
            return False
        if entry.process.worked != worked:
            return False
    return True


def _fenced(path: Path, entry: Entry, tell: Callable[[str], None]) -> int:
    gone = entry.process.kill(_PATIENCE)
    ends = time.monotonic() + _PATIENCE
    while gone and time.monotonic() < ends:
        if (descriptor := taken(path)) is not None:
            tell(f"process {entry.process.pid} was ended; this run takes over")
            return descriptor
        then = entry_at(path)
        if then and then.token != entry.token:  # another contender was quicker
            raise _at_work(path, then)
        time.sleep(_LOOK / 20)
    raise HeldError(
        f"{entry.told}; it does not move, and it could not be ended. "
        f"Do it: kill -9 {entry.process.pid}"
    )


def named(path: Path) -> Entry | None:
    """The holder, as soon as it has written who it is."""
    ends = time.monotonic() + _GLANCE
    while (entry := _present(path)) is None and time.monotonic() < ends:
        time.sleep(_LOOK / 20)
    return entry


def _present(path: Path) -> Entry | None:
    """The holder that is written down, unless it is known to have left."""
    entry = entry_at(path)
    left = entry is None or not entry.held or (entry.process.visible and not entry.process.alive)
    return None if left else entry
