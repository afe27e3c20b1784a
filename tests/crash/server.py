"""Runs commands in processes that begin at once: forked from one that has everything imported.

    python -m tests.crash.server      then one JSON request a line; each is answered by one line

A request `run` forks a child that carries out a command; the answer is its exit code, negative for
a signal, or that it stopped. `resume` lets a stopped one go on.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from forked import learn

from tests.crash import commands, switches
from tests.crash.control import Control
from tests.crash.hook import install


def main() -> None:
    """Serve until the input ends."""
    control = Control()
    install(control)
    _warm_up(control)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "resume":
            pid = request["pid"]
            os.kill(pid, signal.SIGCONT)
        else:
            pid = os.fork()
            if not pid:
                _child(control, request)
        ended = _ended(pid, request.get("seconds"))
        if not ended.get("code", 1):
            home = request.get("env", {}).get("MILLRACE_HOME", "")
            learn(Path(request["modules"]), home)
        print(json.dumps(ended), flush=True)


def _warm_up(control: Control) -> None:
    import dbt.adapters.duckdb
    import dbt.cli.main  # noqa: F401

    import ops.cli
    import ops.cli_dead_letters
    import ops.run  # noqa: F401
    from tests.crash import libraries

    libraries.arm(control)


def _child(control: Control, request: dict[str, Any]) -> None:
    """Carry the command out and end; never returns."""
    code = 70
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name in request["switches"]:
            switches.off(name, control)
        control.begin(Path(request["report"]), request["plan"], Path(request["scratch"]))
        code = commands.carry_out(request["command"])
        control.end(Path(request["counts"]))
        Path(request["modules"]).write_text("\n".join(sys.modules))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _ended(pid: int, seconds: float | None) -> dict[str, int]:
    """Wait for the child; where `seconds` are given, kill it then."""
    end = time.monotonic() + seconds if seconds is not None else None
    while True:
        done, status = os.waitpid(pid, os.WUNTRACED | (os.WNOHANG if end else 0))
        if done:
            break
        if end and time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
            end = None
            continue
        time.sleep(0.002)
    if os.WIFSTOPPED(status):
        return {"stopped": pid}
    return {"code": os.waitstatus_to_exitcode(status)}


if __name__ == "__main__":
    main()
