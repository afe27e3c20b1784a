"""Readers that land `shop.lines`: in this process, and as processes that may be killed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lines
from copies import PROJECT
from projects import Project
from real_topics import Topic

from ingest.readers.land import Lander, Round, Share


def declared(project: Project, topic: Topic, columns: Any = None, **ingest: Any) -> dict[str, Any]:
    """The declaration of `shop.lines`, whose messages land below the project."""
    own = {"landing": str(project.root / "landing"), **ingest}
    return lines.declared(topic, columns, **own)


def lander(project: Project, share: Share | None = None) -> Lander:
    declared = project.loader().source
    return Lander(declared, declared.tables[0], project.env, share or Share())


def landed(project: Project, share: Share | None = None) -> Round:
    """One round of a reader that has just begun."""
    done = lander(project, share).round()
    assert not done.problem, done.problem
    return done


def files(project: Project) -> list[Path]:
    """All that is in the landing, but the position."""
    found = (project.root / "landing").rglob("*")
    return sorted(path for path in found if path.is_file() and path.name != "position.json")


def ends(topic: Topic, project: Project) -> dict[int, int]:
    """The last stable offsets of the topic."""
    broker = lander(project)._broker
    every = [(topic.name, number) for number in range(topic.partitions)]
    return {number: at for (_, number), at in broker.end(every).items()}


class Readers:
    """Reader processes and loads that are killed at random moments and begun again."""

    def __init__(self, project: Project) -> None:
        (project.root / "dbt_project.yml").write_text("name: shop\n")
        self._project, self._logs = project, list[Path]()

    def land(self, *words: str) -> subprocess.Popen[bytes]:
        """`millrace land`; one that goes on has landed something when this returns."""
        command = [sys.executable, "-m", "ops.cli", "land", "shop.lines", *words]
        process = self._begin(command, self._project.root)
        ends = time.monotonic() + 60
        while "--every" in words and "messages in" not in self._logs[-1].read_text():
            assert process.poll() is None, self.said()
            assert time.monotonic() < ends, self.said()
            time.sleep(0.02)  # between two looks at its log, until the deadline above
        return process

    def load(self) -> subprocess.Popen[bytes]:
        """A load in a process of its own."""
        root = str(self._project.root)
        do = (
            "from pathlib import Path; from projects import Project; "
            f"print(*Project(Path({root!r})).loader().load('killed').errors)"
        )
        return self._begin([sys.executable, "-c", do], PROJECT)

    def _begin(self, command: list[str], folder: Path) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(map(str, (PROJECT, Path(__file__).parent)))
        self._logs.append(self._project.root / f"log-{len(self._logs)}")
        with self._logs[-1].open("ab") as log:
            return subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log,
                env={**os.environ, "PYTHONPATH": paths, "RUNTIME__DLTHUB_TELEMETRY": "false"},
            )  # fmt: skip

    def said(self) -> str:
        """What they have said, the end of it."""
        return "\n".join(log.read_text()[-500:] for log in self._logs)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """By SIGKILL; it must not have ended by itself."""
        assert process.poll() is None, self.said()
        process.kill()
        process.wait()
