"""A process of this machine, known for certain: a pid alone may be another's by now.

What is asked here, Linux answers in `/proc`. Elsewhere no process can be seen, and none is ended.
"""

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process.

    Attributes:
        pid: its number.
        started: when it began, in clock ticks since the machine did.
        space: the boot of the machine and the pid namespace in which that number means it; empty
            where the system does not tell.
    """

    pid: int
    started: int
    space: str

    @classmethod
    def own(cls) -> "Process":
        """This very process."""
        stat = _stat(os.getpid())
        return cls(os.getpid(), int(stat[19]) if stat else 0, _space())

    @property
    def visible(self) -> bool:
        """Whether it can be looked at from here at all."""
        return bool(self.space) and self.space == _space()

    @property
    def alive(self) -> bool:
        """Whether it is still there; a zombie that nobody has waited for is not."""
        return bool(self._now()) and self._now()[0] not in "ZX"

    @property
    def stopped(self) -> bool:
        """Whether someone has halted it, by SIGSTOP or a debugger."""
        return bool(self._now()) and self._now()[0] in "Tt"

    @property
    def worked(self) -> int:
        """The processor time that it has had, all its threads', in clock ticks."""
        stat = self._now()
        return int(stat[11]) + int(stat[12]) if stat else 0

    def kill(self, patience: float) -> bool:
        """End it by SIGKILL; whether it was gone after at most `patience` seconds.

        The kernel closes its files then, and with them goes every lock that it held.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        except (AttributeError, OSError):
            return False
        try:
            # the handle means whoever had the number when it was opened: that it was this one is
            # certain when it still has it now
            if not self._now():
                return True
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return bool(select.select([handle], [], [], patience)[0])
        except OSError:  # another user's
            return False
        finally:
            os.close(handle)

    def _now(self) -> list[str]:
        """What `/proc` says of it from its state on; nothing where the number is another's."""
        stat = _stat(self.pid) if self.visible else []
        return stat if stat and int(stat[19]) == self.started else []


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 1 :].split()  # a command's name may hold blanks


def _space() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""
