"""What a child can do without: a safety, to show that the matrix then turns red; or a comfort."""

import os
import shutil
from pathlib import Path
from typing import Any

from tests.crash.control import Control

HALF_PUBLISHED = "without: half of the snapshot is written"
BETWEEN_OFFSETS = "without: the rows are in, their offsets are not"
BETWEEN_PACKAGES = "without: the rows are in, their dead letters are not"

LEASE = 1.5  # seconds


def off(name: str, control: Control) -> None:
    """Take this away in this process."""
    {
        "undo": _undo,
        "rename": _rename,
        "package": _package,
        "offsets": _offsets,
        "kernel_copy": _kernel_copy,
        "lease": _lease,
        "patience": _patience,
        "fence": _fence,
        "edge": _edge,
        "note": _note,
    }[name](control)


def _undo(control: Control) -> None:
    """Rows of loads that did not finish stay."""
    from ingest.destination import Destination

    Destination._undo = lambda self: None  # type: ignore[method-assign]


def _rename(control: Control) -> None:
    """The snapshot is written where readers read, as a plain copy would."""
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name != "marts.duckdb":
            return rename(self, target)
        with self.open("rb") as source, Path(target).open("wb") as out:
            out.write(source.read(self.stat().st_size // 2))
            out.flush()
            control.at(HALF_PUBLISHED)
            shutil.copyfileobj(source, out)
        self.unlink()
        return Path(target)

    Path.replace = replace  # type: ignore[method-assign, assignment]


def _package(control: Control) -> None:
    """Dead letters come in a load package of their own, after that of their rows."""
    from ingest.destination import Destination

    whole = Destination.commit

    def commit(self: Destination, number: int, parts: Any, states: Any) -> None:
        given = list(parts)
        dead = [part for part in given if part.table == "_dead_letters" and number]
        whole(self, number, [part for part in given if part not in dead], states)
        if dead:
            control.at(BETWEEN_PACKAGES)
            whole(self, number, dead, {})

    Destination.commit = commit  # type: ignore[method-assign]


def _offsets(control: Control) -> None:
    """Where the reading stands is committed by itself, after its rows, as consumer groups do it."""
    from ingest.destination import Destination

    whole = Destination.commit

    def commit(self: Destination, number: int, parts: Any, states: Any) -> None:
        given = list(parts)
        if number == self.finished:  # no load: tables are made, or a state alone is kept
            return whole(self, number, given, states)
        whole(self, number, given, {})
        control.at(BETWEEN_OFFSETS)
        return self.keep(states)

    Destination.commit = commit  # type: ignore[method-assign]


def _kernel_copy(control: Control) -> None:
    """No safety: on many disks the kernel cannot copy a file."""

    def refuse(*_: object) -> int:
        raise OSError("not on this file system")

    os.copy_file_range = refuse  # type: ignore[assignment]


def _lease(control: Control) -> None:
    """No safety: who waits for a lease to run out waits for long."""
    from ops import takeover

    still = takeover._still
    takeover._still = lambda path, entry, lease: still(path, entry, LEASE)


def _patience(control: Control) -> None:
    """No safety: a first read waits for open transactions for long."""
    from ingest.readers import edge

    edge._PATIENCE = 0.0


def _edge(control: Control) -> None:
    """No transaction is seen to be open."""
    from ingest.readers.edge import Open, Transactions

    Transactions.open_now = lambda self, patient=False: Open({})  # type: ignore[method-assign]


def _fence(control: Control) -> None:
    """A lease that has run out is just declared over, and nobody looks whether theirs is."""
    from ops import takeover
    from ops.lock import RunLock

    def declared_over(path: Path, entry: Any, tell: Any) -> int:
        path.unlink()
        descriptor = takeover.taken(path)
        assert descriptor is not None
        return descriptor

    takeover._fenced = declared_over
    RunLock.check = lambda self: None  # type: ignore[method-assign]


def _note(control: Control) -> None:
    """Nothing says that a swap of two files has begun."""
    from ops import swap

    swap.write_json = lambda path, content: None
