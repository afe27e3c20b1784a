"""Disturbs the commands of a scenario, types them again until they end well, and checks the rest.

A scenario is a way of steps, each a change of the outside world and a command. It is walked once
undisturbed, which tells the points that each command passes and how often. Then each step is begun
again and again, from a copy of how things stood before its command.
"""

import random
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.crash.client import Client, Ended
from tests.crash.coverage import TIMED
from tests.crash.scenario import Scenario

IN_A_ROW = 5
"""Disturbances at moments; how many at points is the scenario's to say."""
KILLED = -9
HELD = 5


class WrongError(AssertionError):
    """The promise was broken; says by what."""


@dataclass(frozen=True)
class Case:
    """A disturbance: what is done at the nth pass of a point, or after some seconds."""

    point: str = ""
    nth: int = 1
    action: str = "kill"
    seconds: float | None = None
    goes_on: bool = False
    """The command itself must end well all the same."""

    def sooner(self) -> "Case":
        """The same where the command did not live to see it: an earlier moment, the first pass."""
        if self.seconds is None:
            return replace(self, nth=1)
        return replace(self, seconds=self.seconds * 0.7)

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.action} after {self.seconds:.3f} s"
        return f"{self.action} at pass {self.nth} of {self.point}"


@dataclass
class Walked:
    """A step as it goes undisturbed: point to passes, and its seconds."""

    counts: dict[str, int]
    seconds: float


@dataclass
class Tally:
    """What came of the cases of one kind."""

    case: str
    seed: int
    times: int = 0
    fired: int = 0
    rows: int = 0
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    red: str = ""
    """What was found wrong, as it had to be: a safety was off."""


class Disturber:
    """Walks a scenario and disturbs it.

    Args:
        scenario: not yet begun.
        client: carries the commands out.
        seed: throws the dice.
        switches: safeties that every command does without.
    """

    def __init__(
        self, scenario: Scenario, client: Client, seed: int, switches: tuple[str, ...] = ()
    ) -> None:
        self.scenario, self.client, self.seed = scenario, client, seed
        self.dice = random.Random(f"{seed} {scenario.name}")
        self.switches = (*scenario.switches, *switches)
        self.walked: list[Walked] = []
        self.points: Counter[str] = Counter()
        """Point to the disturbances that took place there."""

    @property
    def known(self) -> set[str]:
        """Every point that some command has passed."""
        return {point for step in self.walked for point in step.counts}

    def walk(self) -> None:
        """All steps undisturbed, each checked; what they leave is kept for `disturb`."""
        for step, name in enumerate(self.scenario.steps):
            self.scenario.change(step, self.client)
            self.scenario.keep(step)
            begun = time.monotonic()
            ended = self._run(step)
            took = time.monotonic() - begun
            if ended.code:
                raise WrongError(f"{self.scenario.name}, {name}: undisturbed, it ended with "
                                 f"{ended.code}\n{self._said()}")  # fmt: skip
            if ended.overlooked:
                raise WrongError(f"no point stands around {', '.join(ended.overlooked)}")
            self.scenario.check(step)
            self.walked.append(Walked(dict(ended.counts), took))

    def cases(
        self, step: int, action: str = "kill", side: str = "", *, later: bool = False
    ) -> list[Case]:
        """A case for each point of the step, at one of its passes.

        Args:
            step: which.
            action: what is done there.
            side: `(before)` or `(after)` where only those are meant.
            later: one at the first pass and one at a later one.
        """
        found = []
        for point, count in self.walked[step].counts.items():
            if point.endswith(side):
                timed = point.startswith(TIMED)
                first = self.dice.randint(1, min(count, 2)) if not (later or timed) else 1
                found.append(Case(point, first, action))
                if later and count > 1 and not timed:
                    found.append(Case(point, self.dice.randint(2, count), action))
        self.dice.shuffle(found)
        return found

    def moments(self, step: int, count: int) -> list[Case]:
        """Kills at random moments, up to the end of the undisturbed command."""
        took = self.walked[step].seconds
        return [Case(seconds=self.dice.uniform(0.03, 0.97) * took) for _ in range(count)]

    def disturb(
        self, step: int, cases: Iterable[Case], tally: Tally, recoveries: int | None = None
    ) -> None:
        """Try all cases, some in a row and then the command to its good end.

        A case that did not fire because the command had come to its end is tried again as the
        first of a row, where it must. Points that only a recovery passes, of the scenario's own,
        get a case each, once in the scenario.

        Args:
            step: which.
            cases: what to do.
            tally: what comes of it goes in there.
            recoveries: so many of the points that only a recovery passes; all, if not given.
        """
        left = list(cases)
        met: set[str] = set()
        while left:
            most = IN_A_ROW if left[0].seconds is not None else self.scenario.in_a_row
            row, left = left[:most], left[most:]
            fired, counts = self._checked(step, row, tally)
            if row[0] not in fired and row[0].seconds is None:
                # a heart that beats once a second need not beat in a run of a second
                if not row[0].point.startswith(TIMED):
                    tally.wrong.append(f"{row[0]}: it did not fire")
                fired = [*fired, row[0]]
            left = [case.sooner() for case in row if case not in fired] + left
            # what dbt builds in a recovery it builds elsewhere too
            new = [
                point
                for point in counts
                if not (point in self.known or point in met or self.points[point])
                and point.startswith(self.scenario.own)
                and not point.startswith("dbt: ")
            ]
            if recoveries is not None:
                new = self.dice.sample(new, min(len(new), max(0, recoveries - len(met))))
            # a kill at a moment falls elsewhere the next time, and so does its recovery
            if any(case.seconds is not None for case in fired):
                new = []
            met.update(new)
            if any(case.action == "kill" for case in fired):
                self._recoveries(step, fired, [Case(point) for point in new], tally)

    def _recoveries(self, step: int, fired: list[Case], left: list[Case], tally: Tally) -> None:
        """Kill recoveries at points that only they pass, in rows: each kill begins the next one.

        The last of those that fired brings most recoveries about. How far dlt's threads had come at
        it, another time decides: that each point is met, the whole matrix asks in the end.
        """
        tries = Counter[str]()
        while left:
            first, *more = left[: self.scenario.in_a_row]
            before = fired if tries[first.point] else fired[-1:]
            done, _ = self._checked(step, [*before, first, *more], tally)
            tries[first.point] += 1
            given_up = [first] if first not in done and tries[first.point] == 3 else []
            left = [case for case in left if case not in done + given_up]

    def _checked(
        self, step: int, row: list[Case], tally: Tally
    ) -> tuple[list[Case], Mapping[str, int]]:
        fired: list[Case] = []
        counts: dict[str, int] = {}
        try:
            self.scenario.restore(step)
            counts = self._row(step, row, tally, fired)
            tally.rows += self.scenario.check(step)
        except AssertionError as error:
            told = ", then ".join(map(str, fired)) or ", ".join(map(str, row))
            where = f"{self.scenario.name}, {self.scenario.steps[step]}"
            tally.wrong.append(f"{where}: {told}: {_said_by(error)}")
        tally.times += 1
        tally.fired += len(fired)
        self.points.update(case.point for case in fired if case.point)
        return fired, counts

    def _row(self, step: int, row: list[Case], tally: Tally, fired: list[Case]) -> dict[str, int]:
        for case in row:
            ended = self._run(step, case)
            if ended.stopped:
                fired.append(case)
                ended = self._woken(step, ended)
            elif ended.fired or (case.seconds is not None and ended.code == KILLED):
                fired.append(case)
                tally.before.append(ended.passed)
            elif ended.code not in self.scenario.well(step):
                raise WrongError(f"{case} did not fire, and it ended with {ended.code}\n"
                                 f"{self._said()}")  # fmt: skip
            if case in fired and case.action == "kill" and ended.code != KILLED:
                raise WrongError(f"{case} fired, and it ended with {ended.code}")
            if case.goes_on and ended.code:
                raise WrongError(f"{case}: it ended with {ended.code}\n{self._said()}")
            self.scenario.between(step)
            if not ended.code:
                break
        ended = self._run(step)
        if ended.code not in self.scenario.well(step):
            raise WrongError(f"the same command again ended with {ended.code}\n{self._said()}")
        tally.after.append(ended.passed)
        return ended.counts

    def _woken(self, step: int, ended: Ended) -> Ended:
        """It is stopped beyond its lease: the same command takes over. Woken, it writes nothing."""
        other = self._run(step)
        if other.code not in self.scenario.well(step):
            raise WrongError(f"beside a stopped run the other ended with {other.code}\n"
                             f"{self._said()}")  # fmt: skip
        left = _files(self.scenario.path)
        woken = self.client.resume(ended)
        if woken.code not in (KILLED, HELD):
            raise WrongError(f"stopped, taken over and woken, it ended with {woken.code}")
        if written := dict(left.items() ^ _files(self.scenario.path).items()):
            raise WrongError(f"stopped, taken over and woken, it wrote {', '.join(written)}")
        return woken

    def _run(self, step: int, case: Case | None = None) -> Ended:
        plan: dict[str, Any] | None = None
        if case and case.seconds is None:
            plan = {"point": case.point, "nth": case.nth, "action": case.action}
        scenario = self.scenario
        return self.client.run(
            scenario.command(step),
            scenario.env(),
            scenario.cwd(step),
            scenario.scratch(),
            plan=plan,
            seconds=case.seconds if case else None,
            switches=self.switches,
        )

    def _said(self) -> str:
        return "\n".join(list(self.client.said)[-15:])


def onwards(disturber: Disturber, step: int, cases: list[Case]) -> list[Case]:
    """The cases in rows as they were thrown, each row in the order in which the run passes them.

    Each then takes place: who has been killed at a point passes the later ones still. And a run
    goes on where it was killed, so a row costs little more than one run.
    """
    place = {point: nth for nth, point in enumerate(disturber.walked[step].counts)}
    most = disturber.scenario.in_a_row
    rows = [cases[begin : begin + most] for begin in range(0, len(cases), most)]
    return [case for row in rows for case in sorted(row, key=lambda case: place[case.point])]


def _files(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every file below, with what changes when it is written to."""
    found = {path: path.lstat() for path in folder.rglob("*") if not path.is_dir()}
    return {
        str(path.relative_to(folder)): (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        for path, stat in found.items()
    }


def _said_by(error: AssertionError) -> str:
    """The error's words, or the assertion itself where it has none."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return str(error) or f"{Path(last.filename).name}: {last.line}"
