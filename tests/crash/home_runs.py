"""What scenarios of whole runs share: a home that takes steps, and readers who look on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from homes import Home

from ops.history import History
from tests.crash.client import Client
from tests.crash.engine import WrongError
from tests.crash.scenario import Scenario

RUN = ("run", "--quick-report")


@dataclass(frozen=True)
class Step:
    """A step of a home's way.

    Attributes:
        name: what the table calls it.
        words: the command, without `millrace`.
        advance: days that pass before it.
        mended: from here on the misspelt brand is taken.
        stray: a table that no model makes lies in the marts, half a snapshot beside the readers'.
        killed_load: days that pass besides, whose load is killed before it is marked as finished.
        backfilled: a table that it reads to its end, and no other.
        untested: the project has lost its mart's test.
        back_to: a step; it ends where that one did, whose point it rewinds to.
        well: the exit codes of the command where it is typed again.
    """

    name: str
    words: tuple[str, ...] = RUN
    advance: int = 0
    mended: bool = False
    stray: bool = False
    killed_load: int = 0
    backfilled: str = ""
    untested: bool = False
    back_to: str = ""
    well: tuple[int, ...] = (0,)

    @property
    def builds(self) -> bool:
        """Whether the marts are the oracle's when it has ended."""
        return self.words[0] in ("run", "build")


class Runs(Scenario):
    """Override `home`, `seen`, `change`, `cwd` and `check`.

    Args:
        folder: its own; the home stays at one place in it, so dbt need not parse anew.
        way: the steps.
    """

    switches = ("lease",)
    in_a_row = 20  # a run goes on where it was killed, so a row costs one run and its starts

    def __init__(self, folder: Path, name: str, way: tuple[Step, ...]) -> None:
        super().__init__(folder)
        self.name, self.way = name, way
        self.steps = tuple(step.name for step in way)
        self._published: list[Any] = []
        self._points: list[str] = []

    @property
    def home(self) -> Home:
        """The home."""
        raise NotImplementedError

    def seen(self) -> Any:
        """What readers find in the snapshot, for comparison.

        Raises:
            duckdb.Error: they cannot read it.
        """
        raise NotImplementedError

    def command(self, step: int) -> list[str]:
        words = list(self.way[step].words)
        if words == ["rewind"]:
            words += ["--to", self._points[self.target(step)]]
        return ["millrace", *words]

    def target(self, step: int) -> int:
        """The step whose stand this one ends at."""
        return self.steps.index(self.way[step].back_to) if self.way[step].back_to else step

    def env(self) -> Mapping[str, str]:
        return self.home.environment()

    def well(self, step: int) -> tuple[int, ...]:
        return self.way[step].well

    def scratch(self) -> Path:
        return self.path / ".millrace" / "dev"

    def load_killed(self, step: int, client: Client) -> None:
        """A load that is killed before it is marked as finished."""
        plan = {"point": "dlt: mark the load as finished (before)", "nth": 1, "action": "kill"}
        load = ["millrace", "load"]
        assert client.run(load, self.env(), self.cwd(step), self.scratch(), plan=plan).fired

    def between(self, step: int) -> None:
        """Readers see a whole snapshot, that of before or the new one, or none where none was."""
        if not self.home.snapshot.exists():
            assert not step, "the readers' snapshot is gone"
            return
        allowed = self._published[max(0, step - 1) : step + 1]
        try:
            seen = self.seen()
        except duckdb.Error as error:
            raise WrongError(f"the readers' snapshot cannot be read: {error}") from None
        assert seen in allowed, "readers see neither the former snapshot nor the new one"

    def check_readers(self, step: int) -> Any:
        """Readers see what they did when the way was walked; that, where it is walked now."""
        seen = self.seen()
        if len(self._published) == step:  # undisturbed; all others must come to the same
            self._published.append(seen)
            points = History(self.path / "history" / "dev").points()
            self._points.append(points[-1].name if points else "")
        target = self._published[self.target(step)]
        assert seen == target, "what is published is not an undisturbed run's"
        left = [path.name for path in self.home.snapshot.parent.glob(".marts*")]
        assert not left or not self.way[step].builds, f"a partial copy is left: {left}"
        return seen
