"""Processes, ports and files, as a broker needs them."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

HOST = "127.0.0.1"
_LOOK = 0.05


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
    """Two ports that are free now, `port` and `controller_port`."""
    with socket.socket() as one, socket.socket() as other:
        one.bind((HOST, 0))
        other.bind((HOST, 0))
        return {"port": one.getsockname()[1], "controller_port": other.getsockname()[1]}


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
