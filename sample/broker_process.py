"""Processes, ports and files, as a broker needs them."""

import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

HOST = "127.0.0.1"
_LOOK = 0.05
_PORTS = range(15_000, 32_000)


def command(pid: int) -> str:
    """The command line of a process; empty for none, and for a dead one that is not reaped yet."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    look = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(look, capture_output=True, text=True).stdout


def free_ports() -> dict[str, str | int]:
    """Two ports that are free now, `port` and `controller_port`.

    They are none that the system gives to clients: one that tries to reach a broker which has just
    died could be given that very port, and the broker would come up at another.
    """
    ports = random.SystemRandom().sample(_PORTS, 50)
    one, other, *_ = (port for port in ports if free(port))
    return {"port": one, "controller_port": other}


def free(port: int) -> bool:
    """Whether a server can have the port; connections of a former one do not matter."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def wait(until: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is so, so many seconds at most; whether it is."""
    ends = time.monotonic() + seconds
    while not (done := until()) and time.monotonic() < ends:
        time.sleep(_LOOK)
    return done


def replace(path: Path, text: str) -> None:
    """Write a file in one step."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text)
    draft.replace(path)
