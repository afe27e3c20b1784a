"""The harness's end of `server`: commands carried out, each with what came of it."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.control import read_report

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATHS = (ROOT, *(ROOT / "tests" / "python" / name for name in ("", "ingest", "pipeline", "models")))


@dataclass(frozen=True)
class Ended:
    """What came of a command.

    Attributes:
        code: its exit code, negative for a signal.
        passed: how many points it passed.
        fired: whether the planned action took place.
        counts: point to passes, in the order of first passes; empty where it was killed.
        overlooked: what Python wrote for code of ours with no point around it.
        stopped: the process, where it is only stopped.
    """

    code: int
    passed: int
    fired: bool
    counts: dict[str, int] = field(default_factory=dict)
    stopped: int = 0
    overlooked: tuple[str, ...] = ()


class Client:
    """A server of its own, and a folder for what its children report.

    Use as a context.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._report, self._counts = folder / "report", folder / "counts.json"
        self._modules = folder / "modules"
        self.said: deque[str] = deque(maxlen=200)

    def __enter__(self) -> "Client":
        paths = os.pathsep.join(map(str, PATHS))
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.server"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(20)

    def run(
        self,
        command: list[str],
        env: Mapping[str, str],
        cwd: Path,
        scratch: Path,
        *,
        plan: dict[str, Any] | None = None,
        seconds: float | None = None,
        switches: tuple[str, ...] = (),
    ) -> Ended:
        """Carry out a command.

        Args:
            command: see `commands`.
            env: all of its environment.
            cwd: where it is called.
            scratch: the folder that nothing may depend on.
            plan: point, nth pass, action.
            seconds: kill it after these, wherever it is.
            switches: safeties that it does without.
        """
        self._report.unlink(missing_ok=True)
        self._counts.unlink(missing_ok=True)
        return self._asked(
            do="run", command=command, env=dict(env), cwd=str(cwd), scratch=str(scratch), plan=plan,
            seconds=seconds, switches=switches, report=str(self._report), counts=str(self._counts),
            modules=str(self._modules),
        )  # fmt: skip

    def resume(self, ended: Ended) -> Ended:
        """Let a stopped command go on to its end."""
        return self._asked(do="resume", pid=ended.stopped, modules=str(self._modules))

    def _asked(self, **request: Any) -> Ended:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError("the server is gone:\n" + "\n".join(self.said))
        answer = json.loads(line)
        passed, fired = read_report(self._report) if self._report.exists() else (0, False)
        told = {"counts": {}, "overlooked": ()}
        if self._counts.exists():
            told = json.loads(self._counts.read_text())
        return Ended(
            answer.get("code", 0),
            passed,
            fired,
            told["counts"],
            answer.get("stopped", 0),
            tuple(told["overlooked"]),
        )

    def _listen(self) -> None:
        assert self._server.stderr is not None
        for line in self._server.stderr:
            self.said.append(line.rstrip())
