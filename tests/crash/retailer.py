"""Scenarios of whole runs: the sample retailer with few promotions, against the sample's oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from copies import project_copy, thin_drop
from homes import Home
from test_sample_in_any_steps import MISSPELT, THIN, wrong

from sample import Retailer
from tests.crash.client import Client
from tests.crash.engine import WrongError
from tests.crash.home_runs import Runs, Step
from tests.crash.truth import SEED, Hashes, Truth, hashes

FIRST = date(2017, 1, 3)
ONE_BY_ONE = {"profiles.yml": ("threads: 4", "threads: 1")}
"""Models are built in one order, so a row of kills behind each of them costs one run."""

MENDED = {
    "models/staging/pos/_pos__sources.yml": (
        "accepted_values: [National, Private]",
        f"accepted_values: [National, Private, {MISSPELT}]",
    ),
    "models/marts/dim_products.yml": (
        "[National, Private, Unknown]",
        f"[National, Private, {MISSPELT}, Unknown]",
    ),
}


@dataclass(frozen=True)
class Stand:
    """How things must stand after a step.

    Attributes:
        days: those at whose end everything was loaded, and each load finished.
        mended_on: the day on which the misspelt brand's dead letters were replayed.
        closed: how many dead letters are closed: replayed, discarded.
        unfinished: rows of an unfinished load are in raw as well.
        ahead: a table that was backfilled on a day after those, and the day.
    """

    days: tuple[date, ...] = ()
    mended_on: date | None = None
    closed: tuple[int, int] = (0, 0)
    unfinished: bool = False
    ahead: tuple[str, date] | None = None


class Way(Runs):
    """A home of the sample; its truths are the oracle's, by the days on which it loaded.

    Args:
        folder: its own.
        way: the steps.
    """

    def __init__(self, folder: Path, name: str, way: tuple[Step, ...]) -> None:
        super().__init__(folder, name, way)
        self._stands: list[Stand] = []
        self._marts: list[Hashes] = []
        self._truths: dict[Stand, Truth] = {}
        self._projects = {
            mended: project_copy(folder / f"project-{mended}", edits, few_tests=True)
            for mended, edits in ((False, ONE_BY_ONE), (True, {**ONE_BY_ONE, **MENDED}))
        }
        self._thin = self.path / "sample_data" / "thin"

    @property
    def home(self) -> Home:
        """The home."""
        return Home(
            self.path, env={"MILLRACE_PROMO_PATH": str(self._thin), "MILLRACE_KEEP_RUNS": "1"}
        )

    def seen(self) -> Hashes:
        return hashes(self.home.snapshot)

    def change(self, step: int, client: Client) -> None:
        now = self.way[step]
        stand = self._stands[-1] if self._stands else Stand()
        if not step:
            self._pass(FIRST)
            stand = Stand((FIRST,))
        elif now.advance:
            day = self._pass(now.advance)
            if now.backfilled:
                stand = replace(stand, ahead=(now.backfilled, day))
            else:
                stand = replace(stand, days=(*stand.days, day))
        elif stand.ahead:
            stand = replace(stand, days=(*stand.days, stand.ahead[1]), ahead=None)
        if now.killed_load:
            self._pass(now.killed_load)
            self.load_killed(step, client)
        elif stand.unfinished:
            stand = replace(stand, days=(*stand.days, self._clock()))
        stand = replace(stand, unfinished=bool(now.killed_load))
        if now.words[:2] == ("dead-letters", "replay"):
            stand = replace(stand, mended_on=stand.days[-1])
            stand = replace(stand, closed=(self._truth(stand).misspelt, 0))
        if now.words[:2] == ("dead-letters", "discard"):
            dead = self._truth(stand).raw["pos.transactions"].dead
            stand = replace(stand, closed=(stand.closed[0], dead))
        if now.back_to:
            stand = self._stands[self.target(step)]
        self._stands.append(stand)

    def _pass(self, what: date | int) -> date:
        data = self.path / "sample_data"
        retailer = Retailer(data, SEED)
        if isinstance(what, date):
            retailer.start(what)
        else:
            retailer.advance(what)
        thin_drop(data / "drop", self._thin, f"where {THIN}")
        return self._clock()

    def _clock(self) -> date:
        now = Retailer(self.path / "sample_data", SEED).clock()
        assert now is not None
        return now

    def cwd(self, step: int) -> Path:
        return self._projects[any(step.mended for step in self.way[: step + 1])]

    def check(self, step: int) -> int:
        stand = self._stands[step]
        truth = self._truth(stand)
        later = {}
        if stand.ahead:
            table, day = stand.ahead
            later[table] = self._truth(replace(stand, days=(*stand.days, day))).timed[table]
        rows = 0 if stand.unfinished else truth.check_raw(self.home, stand.closed, later)
        marts = hashes(self.home.marts)
        if len(self._marts) == step:  # undisturbed; all others must come to the same
            if self.way[step].builds:
                odd = wrong(self.home, truth.con)  # type: ignore[arg-type]
                assert not odd, f"not the oracle's: {odd}"
            self._marts.append(marts)
        whose = self.target(step)
        if marts != self._marts[whose]:
            odd = wrong(self.home, truth.con)  # type: ignore[arg-type]
            names = [name for name, told in self._marts[whose].items() if marts.get(name) != told]
            raise WrongError(f"marts are not an undisturbed run's: {names}; the oracle: {odd}")
        self.check_readers(step)
        return rows + sum(count for count, _ in marts.values())

    def _truth(self, stand: Stand) -> Truth:
        key = replace(stand, closed=(0, 0), unfinished=False, ahead=None)
        if key not in self._truths:
            self._truths[key] = Truth(key.days, key.mended_on)
        return self._truths[key]


BACKFILL = (
    *("backfill", "pos.transactions", "--from", "2017-01-01", "--to", "2017-02-01"),
    *("--chunk", "2d"),
)
WAY = (
    Step("first run"),
    Step("run, a day later", advance=1),
    Step("thorough run, all pages", words=("run",)),
    Step("replay", words=("dead-letters", "replay", "pos.products"), mended=True, well=(0, 2)),
    Step("run after a replay", advance=1),
    Step(
        "discard",
        words=("dead-letters", "discard", "pos.transactions", "--reason", "an old till"),
        well=(0, 2),
    ),
    Step("load alone", words=("load",), advance=1),
    Step("build beside an unfinished load", words=("build",), killed_load=1),
    Step("run after that"),
    Step("backfill of a day", BACKFILL, advance=1, backfilled="pos.transactions"),
    Step("run after a backfill"),
    Step("rewind", words=("rewind",), back_to="thorough run, all pages"),
    Step("forward again", words=("rewind", "--to", "latest"), back_to="run after a backfill"),
)
"""What a home of the sample does; what means the same in any project is in `SHOP`."""
