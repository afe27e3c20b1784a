"""One run at a time for each warehouse: a lock that ends with its holder.

The lock is the system's own (`flock`), on a file beside the warehouse's. Who dies loses it at once.
Who is stopped, or hangs, keeps it; so the holder beats: a thread counts up in the file. Where the
count has not moved for a whole lease, nor the holder had any processor time, the next run ends it
before it takes over, so that what wakes up later cannot write. No clocks are compared: a contender
watches for the lease by itself, and what it did not watch does not count.

As a second line each holder has a number, its token. Before each durable step it looks whether the
file is still the one that it locked and still has its token (`RunLock.check`); where not, it stops.
"""

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ops.lock_file import Entry, entry_at, place, read, same, taken, write
from ops.process import Process
from ops.takeover import HeldError as HeldError
from ops.takeover import contended, named

BEAT = 0.5
"""Seconds from one beat to the next."""

LEASE = 15.0
"""Seconds without a beat, all of them watched, after which a holder is ended."""


class LostError(HeldError):
    """The lock is no longer ours: nothing more may be written."""


class RunLock:
    """The lock, held.

    Attributes:
        token: the number of this holder; each has the next.
        former: the entry of the holder before, as it left it.
        former_seen: when that was last written, in the nanoseconds of the file's system.
    """

    def __init__(self, path: Path, descriptor: int, command: str) -> None:
        self._path, self._descriptor = path, descriptor
        self.former = read(descriptor)
        self.former_seen = os.fstat(descriptor).st_mtime_ns
        self.token = (self.former.token if self.former else 0) + 1
        self._entry = Entry.of(self.token, command, Process.own(), socket.gethostname(), _utc())
        self._progress: tuple[str, int, int] = ("", 0, 0)
        write(descriptor, self._entry)
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._beating.start()

    def check(self) -> None:
        """Look that the lock is still ours; it takes some microseconds.

        Raises:
            LostError: its file was deleted, replaced, or taken over.
        """
        if self._lost():
            entry = entry_at(self._path)
            taker = f"; {entry.told}" if entry and entry.token != self.token else ""
            raise LostError(
                f"the run lock {self._path} was taken away from this run{taker}. It has stopped "
                "and writes nothing more; the same command again goes on"
            )

    def note(self, step: str, done: int = 0, total: int = 0) -> None:
        """Have the next beat tell what is at work, for those who look on."""
        self._progress = (step, done, total)

    def release(self) -> None:
        """Give it back."""
        self._over.set()
        self._beating.join()
        with suppress(OSError):
            if not self._lost():
                write(self._descriptor, replace(self._entry, held=False, at=_utc()))
        os.close(self._descriptor)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            # on a full disk a beat may fail; that the holder works is seen by its processor time
            with suppress(OSError):
                if self._lost():
                    return
                step, done, total = self._progress
                self._entry = replace(
                    self._entry,
                    beats=self._entry.beats + 1,
                    at=_utc(),
                    step=step,
                    done=done,
                    total=total,
                )
                write(self._descriptor, self._entry)

    def _lost(self) -> bool:
        if not same(self._path, self._descriptor):
            return True
        entry = read(self._descriptor)
        return entry is None or entry.token != self.token


def watched(
    lock: RunLock | None, step: str, progress: Callable[[int, int], None]
) -> Callable[[int, int], None]:
    """A step's progress, of which those who look on are told too."""
    if not lock:
        return progress

    def seen(done: int, total: int) -> None:
        progress(done, total)
        lock.note(step, done, total)

    lock.note(step)
    return seen


@contextmanager
def run_lock(
    warehouse: Path,
    command: str,
    tell: Callable[[str], None] = lambda line: None,
    lease: float = LEASE,
) -> Iterator[RunLock]:
    """Hold the lock of this warehouse for as long as the block runs.

    Args:
        warehouse: its file, which need not be there yet.
        command: what is called, for those who find the lock held.
        tell: is told where a holder that does not move is watched and ended.
        lease: seconds for which it is watched before.

    Raises:
        HeldError: another process holds it.
    """
    path = place(warehouse)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = taken(path)
    if descriptor is None:
        descriptor = contended(path, tell, lease)
    lock = RunLock(path, descriptor, command)
    try:
        yield lock
    finally:
        lock.release()


def holder(warehouse: Path) -> Entry | None:
    """Who holds the lock now; None where nobody does. It waits for no one and stops no one."""
    path = place(warehouse)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return named(path) or Entry.unknown()
    finally:
        os.close(descriptor)
    return None


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
