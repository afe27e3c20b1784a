"""`millrace` in processes that begin at once: forked from one that has everything imported.

    python forked.py      then one JSON request a line; each is answered by a line, the exit code

A command imports for one to three seconds what hundreds of them import alike. A child is a process
as any other: its environment, folder and outputs are its own.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

OURS = ("MILLRACE_", "DBT_", "EDR_")


class Forks:
    """The server, started when it is first asked."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def run(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
    ) -> tuple[int, str, str]:
        """Run `millrace` with these words; its exit code, negative for a signal, and what it said.

        Raises:
            TimeoutError: it took longer than these seconds; it has been killed.
        """
        with tempfile.TemporaryDirectory(prefix="millrace-forked-") as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {
                "words": list(words),
                "cwd": str(cwd),
                "env": dict(env),
                "out": str(out),
                "err": str(err),
                "modules": str(Path(folder, "modules")),
                "seconds": timeout,
            }
            server = self._started()
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            line = server.stdout.readline()
            if not line:
                self._server = None
                raise RuntimeError(f"the server of forks died of {words}, or before")
            answer = json.loads(line)
            said = out.read_text(), err.read_text()
        if answer["late"]:
            raise TimeoutError(f"{words} took more than {timeout} s: {said}")
        return answer["code"], *said

    def _started(self) -> subprocess.Popen[str]:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__],
                env={name: v for name, v in os.environ.items() if not name.startswith(OURS)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            atexit.register(self._server.kill)
        return self._server


def main() -> None:
    """Serve until the input ends."""
    del sys.path[0]  # this file's folder: no command has it there
    import ops.cli

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(request)
            _end(ops.cli.main)
        answer = _ended(pid, request["seconds"])
        with contextlib.suppress(FileNotFoundError):
            learn(Path(request["modules"]), request["env"].get("MILLRACE_HOME", ""))
        print(json.dumps(answer), flush=True)


def _become(request: dict[str, Any]) -> None:
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = [str(Path(sys.executable).with_name("millrace")), *request["words"]]
    atexit.register(lambda: Path(request["modules"]).write_text("\n".join(sys.modules)))


def _end(command: Callable[[], None]) -> NoReturn:
    """Carry the command out and end as Python does, but for libraries in C.

    At their end some of them wait for threads, which a fork has not.
    """
    code = 0
    try:
        command()
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(Exception):
            threading._shutdown()  # waits for threads, as Python does at its end
            atexit._run_exitfuncs()
            gc.collect()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _ended(pid: int, seconds: float) -> dict[str, Any]:
    """Wait for the child; after so long, kill it."""
    killer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
    killer.start()
    _, status = os.waitpid(pid, 0)
    late = not killer.is_alive()
    killer.cancel()
    killer.join()
    return {"code": os.waitstatus_to_exitcode(status), "late": late}


def learn(modules: Path, home: str) -> None:
    """Have what a command had to import or to compile, so that the next finds it there.

    Args:
        modules: a file with the names of all that it had imported.
        home: where it ran; empty where it had none.
    """
    for name in modules.read_text().split():
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    parse = Path(home, "target", "partial_parse.msgpack")
    if home and parse.is_file():
        _compile(parse)
    gc.freeze()  # or each child looks through all of it, and has it copied
    assert threading.active_count() == 1, "a fork is safe only with no other thread"


_compiled = False


def _compile(parse: Path) -> None:
    """dbt's classes compile how they are read and written when they first are."""
    global _compiled
    if _compiled:
        return
    import dbt.flags
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    dbt.flags.set_flags(argparse.Namespace(SEND_ANONYMOUS_USAGE_STATS=False))
    read = Manifest.from_msgpack(parse.read_bytes(), decoder=extended_mashumuro_decoder)
    read.writable_manifest().to_dict(omit_none=False)
    _compiled = True


if __name__ == "__main__":
    main()
