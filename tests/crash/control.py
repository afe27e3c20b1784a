"""What happens at a point, in the process that passes it."""

import errno
import json
import mmap
import os
import resource
import shutil
import signal
import sys
import threading
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ACTIONS = ("kill", "io", "full", "scratch", "stop")
"""SIGKILL; an I/O error once; a disk full from here on; the scratch folder deleted; SIGSTOP."""

_CHANGES = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("shutil.copyfile", "shutil.copytree", "shutil.rmtree", "shutil.move"),
}
"""Python's audit events of what lasts; writing to an open file is not one, opening it is."""

_DATABASE = (".execute", "executemany", "begin(", "commit(", "checkpoint", "duckdb.connect")


class Control:
    """Counts the passes of each point, and acts at one of them.

    A report in shared memory outlives a kill: how many points were passed, and whether the action
    took place.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._point, self._nth, self._action, self._scratch = "", 0, "", Path()
        self._report: mmap.mmap | None = None
        self._lock = threading.Lock()
        self._within = threading.local()
        self._overlooked: set[str] = set()

    def begin(self, report: Path, plan: dict[str, Any] | None, scratch: Path) -> None:
        """Count from here on, and act at the planned pass."""
        with report.open("w+b") as file:
            file.write(bytes(16))
            file.flush()
            self._report = mmap.mmap(file.fileno(), 16)
        self._scratch = scratch
        if not plan:
            sys.addaudithook(self._heard)
        else:
            self._point, self._nth, self._action = plan["point"], plan["nth"], plan["action"]

    def end(self, counts: Path) -> None:
        """Write down how often each point was passed, first passes first, and what has none."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        told = {"counts": self.counts, "overlooked": sorted(self._overlooked)}
        draft = counts.with_suffix(".draft")
        draft.write_text(json.dumps(told))
        draft.replace(counts)  # a kill at a moment may fall here too

    def before(self, name: str) -> None:
        """Just before the call of that name."""
        self.at(f"{name} (before)")
        vars(self._within).setdefault("names", []).append(name)

    def after(self, name: str, before: None, value: Any) -> Any:
        """Just after it; gives what it gave."""
        names = vars(self._within)["names"]
        while names and names.pop() != name:  # those that it was within ended by an error
            pass
        self.at(f"{name} (after)")
        return value

    def ending(self, name: str, held: AbstractContextManager[Any]) -> "_Ending":
        """What a `with` holds, with the points of its end."""
        return _Ending(self, name, held)

    def _heard(self, event: str, given: tuple[Any, ...]) -> None:
        """Whether Python writes for code of ours that no point stands around."""
        if not _lasts(event, given) or vars(self._within).get("names"):
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and "__crash__" not in frame.f_globals:
            frame = frame.f_back
        if frame is not None:
            where = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
            self._overlooked.add(f"{where}: {event} {given[0]}")

    def at(self, point: str) -> None:
        """Pass a point."""
        if self._report is None:
            return
        with self._lock:
            self.counts[point] += 1
            self._report[:8] = self.counts.total().to_bytes(8, "little")
            due = point == self._point and self.counts[point] == self._nth
            if due:
                self._report[8] = 1
        if due:
            self._act(point)

    def _act(self, point: str) -> None:
        if self._action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._action == "scratch":
            shutil.rmtree(self._scratch, ignore_errors=True)
        elif self._action == "full":
            # not a byte more goes into any file of this process, whoever writes it
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        elif self._action == "io":
            raise _error(point)


@dataclass(frozen=True)
class _Ending:
    control: Control
    name: str
    held: AbstractContextManager[Any]

    def __enter__(self) -> Any:
        return self.held.__enter__()

    def __exit__(self, *error: Any) -> bool | None:
        self.control.before(self.name)
        return bool(self.control.after(self.name, None, self.held.__exit__(*error)))


def _lasts(event: str, given: tuple[Any, ...]) -> bool:
    if event == "open":
        path, mode, flags = given
        if isinstance(path, int):  # open already
            return False
        if mode is None:
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            writes = set(mode) & set("wxa+")
        return bool(writes) and "__pycache__" not in str(path) and str(path) != os.devnull
    return event in _CHANGES and "__pycache__" not in str(given[0])


def _error(point: str) -> Exception:
    import duckdb

    if any(word in point for word in _DATABASE):
        return duckdb.IOException("IO Error: Could not write to the file: Input/output error")
    return OSError(errno.EIO, os.strerror(errno.EIO))


def read_report(path: Path) -> tuple[int, bool]:
    """(points passed, whether the action took place) of a process that has ended."""
    said = path.read_bytes()
    return int.from_bytes(said[:8], "little"), bool(said[8])
