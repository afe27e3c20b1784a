"""All cases, as jobs that two processors can share, and what came of each."""

import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import store_scenarios
from tests.crash.client import ROOT, Client
from tests.crash.coverage import covered, excepted
from tests.crash.engine import Case, Disturber, Tally, onwards
from tests.crash.points import found, sides
from tests.crash.readers import PlainCopy, Publish
from tests.crash.runs import is_elementarys
from tests.crash.scenario import Scenario
from tests.crash.topics import Topics, broker_killed

MOMENTS = {"append": 50, "files": 40, "rest": 20, "letters": 20, "topics": 40,
           "landings": 15, "rebuild": 10}  # fmt: skip
"""Random moments in ingestion and in a rebuild; `SAMPLE_MOMENTS` and some more come in runs."""
SAMPLE_MOMENTS = 5
FULL = 6
"""Points of a rebuild from which on the disk is full."""
_WHOLE = 2
"""Steps of a scenario of ingestion that are disturbed at every point, whatever others passed."""
BROKERS = 10
"""Rounds in which the broker is killed one to three times, the reader in every second one."""
TROUBLED = ("append", "files")
"""The scenarios in which every write also meets the other troubles."""
TROUBLES = ("io", "full", "scratch")
SAID = {
    "kill": "SIGKILL at every point",
    "io": "an I/O error at every point",
    "full": "the disk full from every point on",
    "scratch": "the scratch folder lost at every point",
    "stop": "stopped beyond its lease, taken over and woken",
}


@dataclass
class Outcome:
    """What came of all jobs.

    Attributes:
        jobs: those that have ended.
        tallies: one for each line of the table.
        points: point to disturbances that took place there.
        passed: every point that was passed at all.
        faults: what went wrong outside a case.
    """

    seed: int
    jobs: list[str] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    points: Counter[str] = field(default_factory=Counter)
    passed: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def untouched(self) -> list[str]:
        """Points that must have been met and were not: those of the code, and those passed."""
        listed = sides([name for name in found() if covered(name) and not excepted(name)])
        passed = [p for p in self.passed if p.startswith(("dlt: ", "ingest.", "ops."))]
        models = [
            p for p in self.passed
            if p.startswith(("dbt: model", "dbt: snapshot")) and p.endswith("(after)")
            and not is_elementarys(p)
        ]  # fmt: skip
        wanted = dict.fromkeys([*listed, *sorted(passed), *sorted(models)])
        return [point for point in wanted if not self.points[point]]


Say = Callable[[str], None]


class Job:
    """One scenario's cases, in a folder and with a server of its own."""

    def __init__(self, name: str, folder: Path, outcome: Outcome, say: Say) -> None:
        self.name, self.folder, self.outcome, self.say = name, folder, outcome, say

    @contextmanager
    def walked(
        self, scenario: Scenario, *without: str, counted: bool = True
    ) -> Iterator[Disturber]:
        """The scenario, walked; what its points met goes into the outcome where it counts."""
        with Client(self.folder / "server") as client:
            disturber = Disturber(scenario, client, self.outcome.seed, without)
            disturber.walk()
            self.say(f"{scenario.name}: walked, {len(disturber.known)} points")
            try:
                yield disturber
            finally:
                if counted:
                    self.outcome.points += disturber.points
                    self.outcome.passed |= disturber.known

    def disturb(
        self,
        disturber: Disturber,
        step: int,
        cases: list[Case],
        what: str,
        recoveries: int | None = None,
    ) -> Tally:
        """Try the cases as one line of the table; for `recoveries` see `Disturber.disturb`."""
        scenario = disturber.scenario
        tally = Tally(f"{scenario.name}: {scenario.steps[step]}: {what}", disturber.seed)
        begun = time.monotonic()
        disturber.disturb(step, cases, tally, recoveries)
        self.told(tally, time.monotonic() - begun)
        return tally

    def told(self, tally: Tally, seconds: float) -> None:
        """Take what came of a line of the table."""
        self.outcome.tallies.append(tally)
        told = "; ".join(tally.wrong[:2]) or "well"
        self.say(f"{tally.case}: {tally.fired} in {tally.times} rows, {seconds:.0f} s: {told}")


def stores(job: Job, name: str) -> None:
    """A scenario of ingestion: every point of every step, troubles, and random moments."""
    with (
        store_scenarios.opened(name, job.folder / "worlds") as store,
        job.walked(store) as disturber,
    ):
        met: set[str] = set()
        some = "" if store.own == ("",) else " of its own"
        for step in range(store.first, len(store.steps)):
            cases = disturber.cases(step, later=name == "append" and step == 1)
            own = [case for case in cases if case.point.startswith(store.own)]
            what = SAID["kill"] + some
            if step >= store.first + _WHOLE:
                known = [case for case in own if case.point in met]
                new = [case for case in own if case.point not in met]
                own = [*new, *disturber.dice.sample(known, len(known) // 3)]
                what = f"SIGKILL at every new point{some} and at a third of the others"
            met.update(case.point for case in own)
            job.disturb(disturber, step, onwards(disturber, step, own), what)
        for action in TROUBLES if name in TROUBLED else ():
            cases = disturber.cases(1, action, "(before)")
            what = SAID[action]
            if name == "files":  # the other meets what does not read
                cases = [case for case in cases if case.point.startswith("ingest.readers.")]
                what += " of a reader"
            job.disturb(disturber, 1, onwards(disturber, 1, cases), what)
        if name == "topics":
            assert isinstance(store, Topics)
            tally = Tally(f"{store.name}: the broker dies, and the reader with it", disturber.seed)
            begun = time.monotonic()
            broker_killed(disturber, 1, BROKERS, tally)
            job.told(tally, time.monotonic() - begun)
        if moments := disturber.moments(1, MOMENTS.get(name, 0)):
            job.disturb(disturber, 1, moments, f"SIGKILL at {len(moments)} random moments")


def publishing(job: Job, name: str) -> None:
    """Publishing alone: every point and every trouble."""
    for kind in (Publish, PlainCopy):
        with job.walked(kind(job.folder / kind.__name__)) as disturber:
            for step in range(len(kind.steps)):
                for action in ("kill", *TROUBLES):
                    job.disturb(disturber, step, disturber.cases(step, action), SAID[action])


def rebuilding(job: Job, name: str) -> None:
    """A rebuild: every point of its own and of the swap, full disks, and random moments."""
    from tests.crash.rebuilds import MADE, Rebuild

    with job.walked(Rebuild(job.folder / "world")) as disturber:
        for action in ("kill", "full"):
            cases = disturber.cases(1, action, "" if action == "kill" else "(before)")
            own = [case for case in cases if case.point.startswith(disturber.scenario.own)]
            what = SAID[action]
            if action == "full":
                some = [case for case in own if not case.point.startswith(MADE)]
                own, what = disturber.dice.sample(some, FULL), f"the disk full at {FULL} points"
            job.disturb(disturber, 1, own, what)
        moments = disturber.moments(1, MOMENTS[name])
        job.disturb(disturber, 1, moments, f"SIGKILL at {len(moments)} random moments")


def sample(job: Job, name: str) -> None:
    """Whole runs of the sample; see `runs`."""
    from tests.crash.retailer import WAY, Way
    from tests.crash.runs import of_the_sample

    with job.walked(Way(job.folder / "worlds", "sample", WAY)) as disturber:
        for step, cases, what in of_the_sample(disturber, SAMPLE_MOMENTS):
            job.disturb(disturber, step, cases, what, recoveries=0)  # the small shop has them


def shop(job: Job, name: str) -> None:
    """Whole runs of a small shop; see `runs`."""
    from tests.crash.runs import of_the_shop
    from tests.crash.shop import Shop

    with job.walked(Shop(job.folder / "worlds")) as disturber:
        for step, cases, what in of_the_shop(disturber):
            job.disturb(disturber, step, cases, what)


def without(job: Job, name: str) -> None:
    """A safety is switched off: the matrix must find it out."""
    from tests.crash.safeties import SAFETIES

    tally = Tally(f"without {name}", job.outcome.seed)
    wrong = SAFETIES[name](job, tally)
    if not wrong:
        job.outcome.faults.append(f"without {name} nothing was found wrong")
    tally.wrong, tally.red = [], wrong
    job.outcome.tallies.append(tally)
    job.say(f"{tally.case}: {wrong[:300]}")


def state(job: Job, name: str) -> None:
    """What other tests prove already: they are run, and counted."""
    for path, chosen, said in (
        ("ingest/test_ingest_state.py", "torn", "ingestion: a state row that is lost or torn"),
        ("ingest/test_ingest_state.py", "clock", "ingestion: the clock set back an hour"),
        ("crash/test_power_loss.py", "", "publish: fsync before the rename, and red without"),
    ):
        file = ROOT / "tests" / "python" / path
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
        done = subprocess.run([*command, "-k", chosen], cwd=ROOT, capture_output=True, text=True)
        passed = re.search(r"(\d+) passed", done.stdout)
        tally = Tally(said, job.outcome.seed, times=int(passed[1]) if passed else 0)
        if done.returncode:
            tally.wrong.append(done.stdout[-500:])
        job.outcome.tallies.append(tally)


KINDS: dict[str, Callable[[Job, str], None]] = {
    "sample": sample,
    "shop": shop,
    **dict.fromkeys(store_scenarios.STORES, stores),
    "publish": publishing,
    "rebuild": rebuilding,
    "state": state,
}


def names() -> list[str]:
    """All jobs, the longest first."""
    from tests.crash.safeties import SAFETIES

    return [*KINDS, *SAFETIES]


def run(
    chosen: list[str],
    folder: Path,
    seed: int,
    workers: int,
    say: Say,
    after: Callable[[Outcome], None],
) -> Outcome:
    """Do the chosen jobs, some at a time; `after` each is told what came of all so far."""
    outcome, left, lock = Outcome(seed), list(chosen), threading.Lock()
    begun = time.monotonic()

    def work() -> None:
        while True:
            with lock:
                if not left:
                    return
                name = left.pop(0)
            job = Job(name, folder / re.sub(r"\W+", "-", name), outcome, say)
            try:
                KINDS.get(name, without)(job, name)
            except Exception as error:
                outcome.faults.append(f"{name}: {type(error).__name__}: {error}")
                say(outcome.faults[-1])
            with lock:
                outcome.jobs.append(name)
                outcome.seconds = time.monotonic() - begun
                after(outcome)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome
