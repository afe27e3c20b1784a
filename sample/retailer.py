"""The retailer: source systems that a clock moves forward together."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from os import environ
from pathlib import Path
from urllib.parse import quote

from sample import api, clock, dataset, drop, scans, versions
from sample.errors import BadStepError, BeforeTheDataError, NotStartedError, OtherSeedError
from sample.scanner import Scanner
from sample.tills import SqliteTills
from sample.tills_postgres import PostgresTills

VARIABLES = ("MILLRACE_POS_URL", "MILLRACE_PROMO_PATH", "MILLRACE_LOYALTY_URL")
"""What `services` tells of the three systems."""


class Retailer:
    """A retailer below `home`: till.sqlite, drop/ and clock.json.

    What it has delivered is a pure function of the seed and the clock's day, by whatever steps
    the clock got there. A delivery that was cut off is mended by the next one.

    Args:
        home: its folder; made by `start`.
        seed: throws the dice of what is late, wrong and corrected.
        pos_url: a postgresql:// URL where the tills are to be in PostgreSQL, not in SQLite.
        brokers: where a Kafka is to get the tills' scans as events, host:port; without it they
            are no events.
    """

    def __init__(
        self,
        home: Path,
        seed: int = 7,
        pos_url: str | None = None,
        brokers: str | None = None,
    ) -> None:
        self._home, self._seed = home.absolute(), seed
        self._pos_url, self._brokers = pos_url, brokers

    def clock(self) -> date | None:
        """The day up to whose end everything is delivered; None before `start`."""
        found = clock.read(self._home)
        return found.day if found else None

    def start(self, until: date) -> None:
        """Deliver everything up to the end of `until`, from scratch.

        Raises:
            BeforeTheDataError: `until` is before the first day, 2017-01-01.
            DataSetMissingError: the data set is not installed.
            TillsUnreachableError, TablesNotOursError: PostgreSQL cannot take the tills.
            ClientMissingError, ScannerUnreachableError, TopicNotOursError: Kafka cannot take the
                scans.
        """
        if until < dataset.FIRST_DAY:
            raise BeforeTheDataError(until, dataset.FIRST_DAY)
        self._deliver(until, afresh=True)

    def advance(self, days: int) -> None:
        """Deliver the next `days` days; the clock may pass the year's end.

        Raises:
            NotStartedError, BadStepError, OtherSeedError: there is no such day to go to.
            SampleError: as `start`.
        """
        if days < 1:
            raise BadStepError(days)
        found = clock.read(self._home)
        if found is None:
            raise NotStartedError(self._home)
        if found.seed != self._seed:
            raise OtherSeedError(self._home, found.seed, self._seed)
        self._deliver(found.day + timedelta(days=days), afresh=False)

    def _deliver(self, day: date, afresh: bool) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        con = dataset.connect(self._seed)
        try:
            versions.create(con)
            tills = (
                PostgresTills(con, self._pos_url, self._seed)
                if self._pos_url and self._pos_url.startswith(("postgresql:", "postgres:"))
                else SqliteTills(con, self._home / "till.sqlite", self._seed)
            )
            before = None if afresh else tills.delivered_until()
            if before is None or before > day:
                tills.start(day)
            elif before < day:
                tills.advance(before, day)
            if afresh:
                drop.clear(self._home / "drop")
            drop.deliver(con, self._home / "drop", day)
            if self._brokers:
                scans.create(con)
                Scanner(con, self._brokers, self._seed).deliver(day, afresh)
        finally:
            con.close()
        clock.write(self._home, clock.Clock(day, self._seed))


@contextmanager
def services(home: Path) -> Iterator[None]:
    """Serve the retailer below `home` while the context lasts.

    Sets MILLRACE_POS_URL, MILLRACE_PROMO_PATH and MILLRACE_LOYALTY_URL where they are unset,
    and takes them back at the end. Where there is no clock, does nothing.
    """
    home = home.absolute()
    with ExitStack() as stack:
        if clock.read(home) is not None:
            defaults = {
                "MILLRACE_POS_URL": f"sqlite:///{quote(str(home / 'till.sqlite'))}",
                "MILLRACE_PROMO_PATH": str(home / "drop"),
            }
            if "MILLRACE_LOYALTY_URL" not in environ:
                defaults["MILLRACE_LOYALTY_URL"] = stack.enter_context(api.serve(home))
            for name, value in defaults.items():
                if name not in environ:
                    environ[name] = value
                    stack.callback(environ.pop, name, None)
        yield
