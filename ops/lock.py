"""One run at a time: a lock that the system itself drops when its holder dies."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout


class HeldError(Exception):
    """Another run holds the lock; the message says who and since when."""


@contextmanager
def run_lock(scratch: Path, run_id: str) -> Iterator[None]:
    """Hold the lock of this target for as long as the block runs.

    Raises:
        HeldError: another process holds it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    owner = scratch / "run.json"
    lock = FileLock(scratch / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HeldError(_who(owner)) from None
    try:
        draft = owner.with_suffix(".draft")
        since = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {
            "run_id": run_id, "pid": os.getpid(), "host": socket.gethostname(), "since": since
        }  # fmt: skip
        draft.write_text(json.dumps(entry), encoding="utf-8")
        draft.replace(owner)
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def holder(scratch: Path) -> str | None:
    """Who holds the lock now, in words; None where nobody does."""
    if not (scratch / "run.lock").exists():
        return None
    lock = FileLock(scratch / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _who(scratch / "run.json")
    lock.release()
    return None


def _who(owner: Path) -> str:
    try:
        entry = json.loads(owner.read_text(encoding="utf-8"))
        return (
            f"run {entry['run_id']} holds the lock: process {entry['pid']} on {entry['host']}, "
            f"since {entry['since']}"
        )
    except (OSError, ValueError, KeyError):
        return "another run holds the lock; it began this very moment"
