"""One run at a time: a lock that the system itself drops when its holder dies."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

# Who only looks whether the lock is held holds it for a moment.
_GLANCE = 0.2


class HeldError(Exception):
    """Another run holds the lock; the message says who and since when."""


@contextmanager
def run_lock(scratch: Path, command: str) -> Iterator[None]:
    """Hold the lock of this target for as long as the block runs.

    Args:
        scratch: the target's working folder.
        command: what is called, for those who find the lock held.

    Raises:
        HeldError: another process holds it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    owner = scratch / "run.json"
    lock = FileLock(scratch / "run.lock")
    try:
        lock.acquire(timeout=_GLANCE, poll_interval=_GLANCE / 10)
    except Timeout:
        raise HeldError(f"{_who(owner)}. Wait for it, or end it") from None
    try:
        draft = owner.with_suffix(".draft")
        since = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {
            "command": command, "pid": os.getpid(), "host": socket.gethostname(), "since": since
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
            f"`millrace {entry['command']}` is at work: process {entry['pid']} on "
            f"{entry['host']}, since {entry['since']}"
        )
    except (OSError, ValueError, KeyError):
        return "another run is at work; it began this very moment"
