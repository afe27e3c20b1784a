"""The run lock's file: taking it, and what it says of who holds it."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.process import Process

_SIZE = 2048  # one write, and less than a page: who reads sees the old entry or the new


@dataclass(frozen=True)
class Entry:
    """One holder.

    Attributes:
        token: its number; each holder has the next.
        held: whether it still holds the lock; False once it has given it back.
        command: what was called.
        process: which process it is.
        host: the machine, for people.
        since: when it began, UTC, for people.
        at: when it last beat, UTC, for people.
        beats: counts up for as long as it lives.
        step: what is at work; `done` of `total` of it.
    """

    token: int
    held: bool
    command: str
    process: Process
    host: str
    since: str
    at: str
    beats: int = 0
    step: str = ""
    done: int = 0
    total: int = 0

    @classmethod
    def of(cls, token: int, command: str, process: Process, host: str, since: str) -> "Entry":
        """The entry of a holder that begins now."""
        return cls(token, True, command[:200], process, host, since, since)

    @classmethod
    def unknown(cls) -> "Entry":
        """Somebody, who does not say who it is."""
        return cls(0, True, "", Process(0, 0, ""), "", "", "")

    @property
    def told(self) -> str:
        """In words."""
        if not self.process.pid:
            return "another run is at work, and does not say who it is"
        return (
            f"`millrace {self.command}` is at work: process {self.process.pid} on {self.host}, "
            f"since {self.since}"
        )


def write(descriptor: int, entry: Entry) -> None:
    """Replace what the file says."""
    text = json.dumps(asdict(entry)).encode("ascii")
    os.pwrite(descriptor, text.ljust(_SIZE - 1) + b"\n", 0)


def read(descriptor: int) -> Entry | None:
    """What the file says; None where it is no entry."""
    try:
        found: dict[str, Any] = json.loads(os.pread(descriptor, _SIZE, 0))
        return Entry(**{**found, "process": Process(**found["process"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def place(warehouse: Path) -> Path:
    """The lock's file: whatever name leads to the warehouse, it is one."""
    whole = warehouse.resolve()
    return whole.with_name(f"{whole.name}.lock")


def entry_at(path: Path) -> Entry | None:
    """What is written in the lock's file, if it is there and whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return read(descriptor)
    finally:
        os.close(descriptor)


def taken(path: Path) -> int | None:
    """The lock's file, locked by us; None where another has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if same(path, descriptor):
            return descriptor
        os.close(descriptor)  # deleted between the two: another may have made it anew


def same(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        there = path.stat()
    except OSError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
