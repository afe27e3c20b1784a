"""A rebuild takes the place of the old as a whole, or the old stays: killed, failed, or refused."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from test_matrix import SEED

from ops import rebuild
from ops.codes import CallError, RebuildError
from ops.log import Log
from ops.settings import Settings
from tests.crash.client import Client
from tests.crash.engine import Case, Disturber, Tally
from tests.crash.rebuilds import Rebuild

pytestmark = pytest.mark.xdist_group("crash")

BETWEEN = "ops.swap._swap: draft(file).replace(file) (after)"
"""One of the two files is of the rebuild."""


@pytest.fixture(scope="module")
def disturber(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturber]:
    """A run and a rebuild of what was spoilt, which came to what they had to."""
    folder = tmp_path_factory.mktemp("rebuild")
    with Client(folder / "client") as client:
        disturber = Disturber(Rebuild(folder), client, SEED)
        disturber.walk()
        yield disturber


def test_it_is_killed(disturber: Disturber) -> None:
    own = [case for case in disturber.cases(1) if case.point.startswith(Rebuild.own)]
    assert len(own) > 30
    tally = Tally("rebuild", SEED)
    disturber.disturb(1, own[:1], tally, recoveries=0)
    print(f"seed {SEED}: {dict(disturber.points)}")
    assert tally.wrong == []
    assert tally.fired == 1


def test_a_failing_test_leaves_all_as_it_was(disturber: Disturber) -> None:
    scenario = disturber.scenario
    assert isinstance(scenario, Rebuild)
    scenario.restore(1)
    home, staged = scenario.home, "select min(built_by), sum(amount) from staging.stg_shop__lines"
    before, seen = home.query(staged), home.snapshot.stat().st_ino
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("update raw_shop.lines set amount = 2000000 where line_id = 1")
    done = home.millrace("rebuild", "shop.lines")
    assert (done.code, "nothing was changed" in done.text) == (4, True), done.text
    assert "dbt_utils_expression_is_true_fct_lines_amount_1000000" in done.text
    assert (home.query(staged), home.snapshot.stat().st_ino) == (before, seen)
    assert not list(home.warehouse.parent.glob("*.re*"))
    runs = "select command, status, exit_code from millrace.runs order by started_at desc limit 1"
    assert home.query(runs) == [("rebuild shop.lines", "failed", 4)]


def test_what_waits_for_a_build_is_built_too(disturber: Disturber) -> None:
    """Or the ledger, which is of all tables, would call it lost."""
    scenario = disturber.scenario
    assert isinstance(scenario, Rebuild)
    scenario.restore(1)
    home, count = scenario.home, "select count(*), min(amount) from fct_lines"
    ((before, _),) = home.published(count)
    (scenario.path / "drop" / "more.csv").write_text("line_id,amount\n9000,1.00\n")
    assert home.millrace("load").code == 0
    done = home.millrace("rebuild", "fct_lines")
    assert done.code == 0, done.text
    ((after, least),) = home.published(count)
    assert (after, least >= 0) == (before + 1, True)
    again = home.millrace("run", "--quick")
    assert (again.code, "build: " in again.text) == (0, False), again.text


def test_without_the_note_a_kill_leaves_the_files_of_two_builds(disturber: Disturber) -> None:
    disturber.switches = (*disturber.switches, "note")
    tally = Tally("note", SEED)
    disturber.disturb(1, [Case(BETWEEN)], tally)
    assert "of two builds" in "".join(tally.wrong)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("shop.line", "no table 'shop.line'; write it as source.table; did you mean 'shop.lines'"),
        ("fct_line", "no model 'fct_line', and .* source.table; did you mean 'fct_lines'"),
    ],
)
def test_a_word_that_names_nothing_is_refused(disturber: Disturber, word: str, said: str) -> None:
    scenario = disturber.scenario
    assert isinstance(scenario, Rebuild)
    here = Settings(scenario.cwd(0), scenario.path, "dev", Path(), Path(), scenario.env())
    with pytest.raises(CallError, match=said):
        rebuild._select(here, word, {"fct_lines", "fct_lines_1"})
    assert rebuild._select(here, f"{word}s", {"fct_lines"}).endswith(f"{word}s+")


def test_a_full_disk_is_told_before_anything_is_copied(
    disturber: Disturber, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = disturber.scenario
    assert isinstance(scenario, Rebuild)
    files = [scenario.home.warehouse, scenario.home.marts]
    size = sum(file.stat().st_size for file in files)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(size - 1))
    with pytest.raises(RebuildError, match="Nothing was changed"):
        rebuild._room(files, Log())
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(size))
    rebuild._room(files, Log())
