"""Windows over event time: whatever comes late, again, corrected or deleted, in whatever steps.

After every build each window is what plain Python makes of the rows of raw, and the build wrote
those windows alone that are other than before. More seeds: MILLRACE_TEST_SEEDS=30 (the default
is 2).
"""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from copies import PROJECT
from dbt_here import Dbt, marked, seeds
from scan_worlds import LOADS, Raw, Truth, Windows, thrown

HERE = Path(__file__).parent / "scans_project"
OURS = ("macros", "tests/generic", "models/intermediate/scanner", "models/marts/scanner")
"""What the project has of Millrace's own."""
WIDTHS = {"fct_store_hours": 2, "fct_rolling_days": 1, "fct_household_visits": 2}
"""Mart to how many columns name a window."""
MARKED = marked("models/marts/scanner", WIDTHS)
SHOWN = re.compile(r"^```sql\n-- (models/[\w/.]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project of the scans, marked."""
    folder = copied(tmp_path_factory.mktemp("scans") / "project")
    with edited(folder, MARKED):
        yield folder


def copied(folder: Path) -> Path:
    """The project of the scans, with Millrace's windows, macros and generic tests."""
    shutil.copytree(HERE, folder)
    for part in OURS:
        shutil.copytree(PROJECT / part, folder / part)
    shutil.rmtree(folder / "models/marts/scanner/live")  # it is over the tills' database as well
    # its descriptions are told in a file that speaks of other models, too
    (folder / "models/intermediate/scanner/int_scans__versions.yml").unlink()
    return folder


@contextmanager
def edited(folder: Path, edits: Mapping[str, tuple[str, str]]) -> Iterator[None]:
    """A project with other words in some of its files."""
    before = {name: (folder / name).read_text() for name in edits}
    for name, (text, other) in edits.items():
        assert text in before[name], f"{name} no longer says {text!r}"
        (folder / name).write_text(before[name].replace(text, other))
    yield
    for name, text in before.items():
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def dbt(home: Path, project: Path) -> Dbt:
    return Dbt(home, project, fewest=7)


def windows(dbt: Dbt) -> dict[str, dict[str, Windows]]:
    """Mart to build to the windows that it wrote last."""
    found: dict[str, dict[str, Windows]] = {mart: {} for mart in WIDTHS}
    with duckdb.connect(str(dbt.marts)) as con:
        there = con.execute("select table_name from duckdb_tables()").fetchall()
        for mart, width in WIDTHS.items():
            for *row, build in con.execute(f"from {mart}").fetchall() if there else ():
                found[mart].setdefault(build, {})[tuple(row[:width])] = tuple(row[width:])
    return found


class Runs:
    """A world that is delivered in steps, with dbt after each.

    Attributes:
        done: what was met on the way.
    """

    def __init__(self, dbt: Dbt, seed: int) -> None:
        self._dbt, self._rows, self._dice = dbt, thrown(seed), random.Random(seed)
        dbt.marts.unlink(missing_ok=True)
        self._raw, self._number = Raw(dbt.warehouse, self._rows), 0
        self._before: dict[str, Windows] = {mart: {} for mart in WIDTHS}
        self.done = Counter[str]()

    def live(self) -> None:
        """All loads in random steps, at times amid an unfinished load; a build without news."""
        while self._number < LOADS:
            for _ in range(min(self._dice.choice([1, 1, 2, 4]), LOADS - self._number)):
                self._number += 1
                self._raw.deliver(self._number)
            if self._number < LOADS and self._dice.random() < 0.3:
                self._raw.deliver(self._number + 1, finished=False)
            self._build()
        self._build()

    def _build(self) -> None:
        """Run dbt, and look at every window."""
        earlier = windows(self._dbt)
        self._dbt.run()
        truth = Truth([row for row in self._rows if row.load <= self._number])
        after = dict(zip(WIDTHS, (truth.hours(), truth.days(), truth.visits()), strict=True))
        for mart, builds in windows(self._dbt).items():
            stand = {key: row for written in builds.values() for key, row in written.items()}
            assert stand == after[mart], f"{mart} is wrong"
            assert sum(map(len, builds.values())) == len(stand), f"{mart} has a window twice"
            written = {
                key for build in builds.keys() - earlier[mart].keys() for key in builds[build]
            }
            due = {key for key, row in stand.items() if self._before[mart].get(key) != row}
            assert written == due, f"{mart} wrote other windows than those that changed"
            self._count(mart, stand, len(due))
        assert self._books() == (truth.watermarks, truth.late), "the books are wrong"
        self.done["late"], self._before = len(truth.late), after

    def _count(self, mart: str, stand: Windows, due: int) -> None:
        before = self._before[mart]
        self.done["written"] += due
        self.done["left alone"] += len(stand) - due
        self.done[f"gone from {mart}"] += len(before.keys() - stand.keys())
        self.done["settled, then corrected"] += sum(
            before[key][-1] and before[key] != stand[key] for key in before.keys() & stand.keys()
        )

    def _books(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        with duckdb.connect(str(self._dbt.marts)) as con:
            watermarks = con.execute("from scan_watermarks").fetchall()
            late = con.execute("from late_scans").fetchall()
        told = {((basket, product), at): tuple(row) for basket, product, at, *row in late}
        assert len(told) == len(late)
        return {load: tuple(row) for load, *row in watermarks}, told


@pytest.mark.parametrize("seed", seeds(2))
def test_windows_are_a_full_recompute_and_only_what_changed_is_written(dbt: Dbt, seed: int) -> None:
    runs = Runs(dbt, seed)
    runs.live()
    for mart in ("fct_store_hours", "fct_household_visits"):
        assert runs.done[f"gone from {mart}"] > 10
    assert runs.done["late"] > 20
    assert runs.done["settled, then corrected"] > 50
    assert runs.done["left alone"] > runs.done["written"]


BROKEN = {
    "where an event was before it was corrected is not looked at": (
        "macros/window_parts.sql", "from {{ versions }}", "from {{ events }}",
        "fct_store_hours is wrong",
    ),
    "what is new is told by the event time": (
        "macros/window_parts.sql",
        "where _load_number > (select coalesce(max(_load_number), 0) from {{ built }})",
        "where {{ at }} > (select max(window_start) from {{ built }})",
        "fct_store_hours is wrong",
    ),
    "a session that begins after a late event is not joined to it": (
        "macros/session_windows.sql", "and one.window_start < other.{{ at }} + {{ gap }}",
        "and one.window_start <= other.{{ at }}",
        "fct_household_visits is wrong",
    ),
    "what the watermark passes is not written": (
        "macros/window_parts.sql", "where not is_settled and", "where false and",
        "fct_store_hours is wrong",
    ),
    "an event that is told again comes late": (
        "macros/late_events.sql", "earlier._load_number < late._load_number", "false",
        "fct_store_hours is wrong",
    ),
    "all that is looked at is written": (
        "macros/window_parts.sql", "late_count, _load_number, is_settled\n    from {{ built }}",
        "late_count, _load_number, is_settled\n    from {{ built }} where false",
        "wrote other windows than those that changed",
    ),
}  # fmt: skip
"""Fault to a file, its words, others, and what is seen."""


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_seen(home: Path, project: Path, fault: str) -> None:
    path, right, wrong, seen = BROKEN[fault]
    with edited(project, {path: (right, wrong)}), pytest.raises(AssertionError, match=seen):
        Runs(Dbt(home, project, fewest=7), seed=0).live()


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("size='1 day'", "size='1 fortnight'", "'1 fortnight' is no duration"),
        ("slide='6 hours'", "slide='7 hours'", "is a multiple of its slide"),
    ],
)
def test_what_is_no_window_is_refused(
    home: Path, project: Path, right: str, wrong: str, said: str
) -> None:
    with (
        edited(project, {"models/marts/scanner/fct_rolling_days.sql": (right, wrong)}),
        pytest.raises(AssertionError, match=said),
    ):
        Dbt(home, project)


def test_the_page_shows_models_that_run() -> None:
    shown = SHOWN.findall((PROJECT / "docs/streaming.md").read_text())
    assert len(shown) == 4
    for path, text in shown:
        assert (PROJECT / path).read_text() == text, path


def test_each_macro_in_both_modes(dbt: Dbt) -> None:
    assert dbt.test("unit_test") == 10


def test_as_they_are_written_they_keep_their_contracts_and_equal_a_full_refresh(
    home: Path, tmp_path: Path
) -> None:
    dbt = Dbt(home, copied(tmp_path / "project"), fewest=7)
    dbt.marts.unlink(missing_ok=True)
    raw = Raw(dbt.warehouse, thrown(1))
    for number in range(1, LOADS + 1):
        raw.deliver(number)
        if number in (9, LOADS):
            dbt.run()
    incremental = dbt.tables()
    dbt.run("--full-refresh")
    assert dbt.tables() == incremental
    assert len(incremental) == 6
