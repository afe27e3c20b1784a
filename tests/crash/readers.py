"""The scenario of publishing alone: small marts, and readers who must never see a mix."""

import os
from collections.abc import Mapping
from pathlib import Path

import duckdb

from tests.crash.client import Client
from tests.crash.engine import WrongError
from tests.crash.scenario import Scenario

ROWS = 20_000


def tear_log(database: Path) -> None:
    """Leave the log of a file as a kill does that falls into the writing of a commit."""
    with duckdb.connect(str(database)) as con:
        con.execute("pragma disable_checkpoint_on_shutdown")
        con.execute("create table never as select range as i from range(1000)")
    log = database.with_name(f"{database.name}.wal")
    log.write_bytes(log.read_bytes()[:-5])


class Publish(Scenario):
    """Two marts that agree on one version, published again and again."""

    name = "publish"
    steps = ("first snapshot", "the next, beside what a killed one and a careless reader left")

    def change(self, step: int, client: Client) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(self.path / "marts.duckdb")) as con:
            for name in ("a", "b"):
                con.execute(
                    f"create or replace table {name} as select {step} as version, range as id, "
                    f"md5(range::varchar) as words from range({ROWS})"
                )
        if step:
            tear_log(self.path / "marts.duckdb")
            (self._published / ".marts.duckdb.partial-1").write_bytes(b"half")
            (self._published / "marts.duckdb.wal").write_bytes(b"")

    @property
    def _published(self) -> Path:
        return self.path / "published"

    def command(self, step: int) -> list[str]:
        return ["publish", str(self.path / "marts.duckdb"), str(self._published)]

    def env(self) -> Mapping[str, str]:
        return os.environ

    def scratch(self) -> Path:
        return self.path / "scratch"

    def _seen(self) -> int | None:
        """The version that a reader finds."""
        file = self._published / "marts.duckdb"
        if not file.exists():
            return None
        one = "select count(*), count(distinct id), min(version), max(version) from {}"
        try:
            with duckdb.connect(str(file), read_only=True) as con:
                both = [con.execute(one.format(name)).fetchall()[0] for name in ("a", "b")]
        except duckdb.Error as error:
            raise WrongError(f"the snapshot cannot be read: {error}") from None
        version = both[0][2]
        assert both == [(ROWS, ROWS, version, version)] * 2, f"a mix: {both}"
        return int(version)

    def between(self, step: int) -> None:
        allowed = (step, step - 1 if step else None)
        seen = self._seen()
        assert seen in allowed, f"readers see version {seen}, not one of {allowed}"

    def check(self, step: int) -> int:
        seen = self._seen()
        assert seen == step, f"readers see version {seen}, not {step}"
        names = sorted(path.name for path in self._published.iterdir())
        assert names == ["marts.duckdb"], f"left beside the snapshot: {names}"
        return 2 * ROWS


class PlainCopy(Publish):
    """The same on a disk where the kernel cannot copy by itself."""

    name = "publish, copied by hand"
    switches = ("kernel_copy",)
