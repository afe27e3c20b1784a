"""Windows over event time: whatever comes late, again, corrected or deleted, in whatever steps.

After every build each window is what plain Python makes of the rows of raw, and the build wrote those
windows alone that are other than before. More seeds: MILLRACE_TEST_SEEDS=30 (the default is 2).
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest
from copies import PROJECT
from dbt_here import Dbt, seeds
from scan_worlds import LOADS, Raw, Truth, Windows, thrown

HERE = Path(__file__).parent / "scans_project"
WIDTHS = {"fct_store_hours": 2, "fct_rolling_days": 1, "fct_household_visits": 2}
"""Mart to how many columns name a window."""
MARKED = {
    "dbt_project.yml": ("+contract: {enforced: true}", "+contract: {enforced: false}"),
    **{
        f"models/marts/{mart}.sql": (
            f"select * from {mart}\n",
            f"select *, '{{{{ invocation_id }}}}' as _written_by from {mart}\n",
        )
        for mart in WIDTHS
    },
}
"""Edits by which each window says which build wrote it."""


def scans_project(folder: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """The project of the scans with Millrace's macros and generic tests, and other words in it."""
    shutil.copytree(HERE, folder)
    shutil.copytree(PROJECT / "macros", folder / "macros")
    shutil.copytree(PROJECT / "tests/generic", folder / "tests/generic")
    for name, (text, other) in edits.items():
        before = (folder / name).read_text()
        assert text in before, f"{name} no longer says {text!r}"
        (folder / name).write_text(before.replace(text, other))
    return folder


@pytest.fixture(scope="module")
def dbt(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    project = scans_project(tmp_path_factory.mktemp("scans") / "project", MARKED)
    return Dbt(home, project, fewest=7)


def built(dbt: Dbt) -> dict[str, dict[str, Windows]]:
    """Mart to build to the windows that it wrote last."""
    found: dict[str, dict[str, Windows]] = {}
    with duckdb.connect(str(dbt.marts)) as con:
        for mart, width in WIDTHS.items():
            found[mart] = {}
            for *row, build in con.execute(f"from {mart}").fetchall():
                found[mart].setdefault(build, {})[tuple(row[:width])] = tuple(row[width:])
    return found


class Runs:
    """A world that is delivered in steps, and dbt after each.

    Attributes:
        done: what was met on the way.
    """

    def __init__(self, dbt: Dbt, seed: int) -> None:
        self._dbt, self._rows, self._dice = dbt, thrown(seed), random.Random(seed)
        dbt.marts.unlink(missing_ok=True)
        self._raw = Raw(dbt.warehouse, self._rows)
        self._number = 0
        self._before: dict[str, Windows] = {mart: {} for mart in WIDTHS}
        self.done = Counter[str]()

    def live(self) -> None:
        """All loads, in random steps, at times amid an unfinished load."""
        while self._number < LOADS:
            for _ in range(self._dice.choice([1, 1, 2, 4])):
                if self._number < LOADS:
                    self._number += 1
                    self._raw.deliver(self._number)
            if self._number < LOADS and self._dice.random() < 0.3:
                self._raw.deliver(self._number + 1, finished=False)
            self.build()

    def build(self) -> None:
        """Run dbt, and look at every window."""
        earlier = {mart: builds.keys() for mart, builds in built(self._dbt).items()} \
            if self._dbt.marts.exists() else {}  # fmt: skip
        self._dbt.run()
        truth = Truth([row for row in self._rows if row.load <= self._number])
        after = {
            "fct_store_hours": truth.hours(),
            "fct_rolling_days": truth.days(),
            "fct_household_visits": truth.visits(),
        }
        for mart, builds in built(self._dbt).items():
            stand = {key: row for windows in builds.values() for key, row in windows.items()}
            assert stand == after[mart], mart
            assert sum(map(len, builds.values())) == len(stand), f"{mart} has a window twice"
            written = {
                key for build, windows in builds.items() for key in windows
                if build not in earlier.get(mart, ())
            }  # fmt: skip
            due = {key for key, row in after[mart].items() if self._before[mart].get(key) != row}
            assert written == due, f"{mart} was not written where it had to be"
            self._count(mart, after[mart], due)
        self._before = after

    def _count(self, mart: str, after: Windows, due: set[tuple[object, ...]]) -> None:
        self.done["written"] += len(due)
        self.done["left alone"] += len(after) - len(due)
        self.done[f"gone from {mart}"] += len(self._before[mart].keys() - after.keys())
        self.done["settled changed"] += sum(
            self._before[mart][key][-1] and self._before[mart][key][:-1] != after[key][:-1]
            for key in due & self._before[mart].keys()
        )


@pytest.mark.parametrize("seed", seeds(2))
def test_windows_are_a_full_recompute_and_only_touched_ones_are_written(
    dbt: Dbt, seed: int
) -> None:
    runs = Runs(dbt, seed)
    runs.live()
    print(runs.done)
