"""A rewind happens whole or not at all, wherever it is killed; what is damaged changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import killed_rewind
import pytest
from killed_rewind import FIRST, SECOND, go, run, settings, versions

from ops import rewind
from ops.codes import BUILD_FAILED, OK, CallError
from ops.history import History, HistoryError
from ops.journal import Journal, now
from ops.lock import HeldError
from ops.past_runs import last_runs
from ops.settings import Settings

# 29 effects. The two files are of two points before three of them, one of which is the 14th.
STEP = 1 if os.environ.get("MILLRACE_TEST_SEEDS") else 7


def killed(home: Path, *words: str) -> list[dict[str, Any]]:
    """What `killed_rewind.py` told of each kill."""
    done = subprocess.run(
        [sys.executable, killed_rewind.__file__, str(home), *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_at(state: dict[str, Any], version: int) -> bool:
    return [state[key] for key in ("published", "warehouse", "marts", "drafts", "note")] == [
        *[version] * 3, 0, False,
    ]  # fmt: skip


def is_mixed(state: dict[str, Any]) -> bool:
    return bool(state["warehouse"] != state["marts"])


def test_a_kill_before_any_effect_and_the_same_command_again(tmp_path: Path) -> None:
    told = killed(tmp_path / "home", str(STEP))
    *kills, last = told
    assert len(kills) >= 27 // STEP
    assert any("forward" in each for each in kills)
    assert not last["killed"]
    for each in kills:
        assert each["killed"]
        then = each["then"]
        assert {then["published"], then["warehouse"], then["marts"]} <= {1, 2}, each
        assert then["note"] or not is_mixed(then), each
        # a kill before the note has changed nothing; after it, any command finishes the rewind
        assert each["other_code"] == 0
        assert is_at(each["other"], 1 if then["note"] or then["warehouse"] == 1 else 2), each
        assert (each["again_code"], is_at(each["again"], 1)) == (0, True), each
        if "forward" in each:
            assert (each["forward_code"], is_at(each["forward"], 2)) == (0, True), each
            assert each["forward"]["points"] == 2, each
    seen = [(each["then"]["note"], is_mixed(each["then"])) for each in kills]
    assert set(seen) == {(False, False), (True, False), (True, True)}


def test_without_the_note_a_kill_leaves_warehouse_and_marts_of_two_runs(tmp_path: Path) -> None:
    told = killed(tmp_path / "home", "4", "unsafe")
    assert is_mixed(told[-1]["other"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home after two runs. Not to be changed: take `here`."""
    home = settings(tmp_path_factory.mktemp("rewind") / "home")
    run(home, 1, FIRST)
    run(home, 2, SECOND)
    return home


@pytest.fixture
def here(made: Settings, tmp_path: Path) -> Settings:
    """A home after two runs, to be used as the test likes."""
    shutil.copytree(made.home, tmp_path / "home")
    return settings(tmp_path / "home")


def test_back_and_forth_is_told_in_the_journal_and_keeps_no_more_points(here: Settings) -> None:
    for to, version in ((FIRST, 1), ("latest", 2), (FIRST, 1), (SECOND, 2)):
        assert go(here, to).code == OK
        assert set(versions(here).values()) == {version}
        last = last_runs(here.warehouse, 9)
        assert [row.status for row in last] == ["success"] * (1 + version)
        assert f"rewind --to {FIRST if version == 1 else SECOND}" in {row.command for row in last}
    assert len(History(here.history).points()) == 2
    assert not list(here.warehouse.parent.glob("*.wal"))


def test_what_came_since_is_kept_before_it_goes(here: Settings) -> None:
    with duckdb.connect(here.warehouse) as con:
        con.execute("create table since as select 7 as v")
    done = go(here)
    assert done.left is not None
    assert done.left.name == f"{SECOND}.2", "the run's own point stays what it was"
    with duckdb.connect(here.warehouse, read_only=True) as con:
        assert con.execute("from duckdb_tables() where table_name = 'since'").fetchall() == []
    assert go(here, "latest").point == done.left
    with duckdb.connect(here.warehouse, read_only=True) as con:
        assert con.execute("from since").fetchall() == [(7,)]


def test_marts_of_a_failed_build_are_put_back_but_not_published(here: Settings) -> None:
    with duckdb.connect(here.marts) as con:
        con.execute("update version set v = 3")
    journal = Journal(here.warehouse)
    journal.start("20170104T000000-000004", "run", "dev")
    journal.end_step("20170104T000000-000004", "build", now(), "failed", "a test")
    journal.finish("20170104T000000-000004", "failed", BUILD_FAILED)
    assert go(here).code == OK
    assert go(here, "latest").code == BUILD_FAILED
    with duckdb.connect(here.marts, read_only=True) as con:
        assert con.execute("select distinct v from version").fetchall() == [(3,)]
    with duckdb.connect(here.published / "marts.duckdb", read_only=True) as con:
        assert con.execute("select distinct v from version").fetchall() == [(1,)]


def test_a_damaged_point_changes_nothing(here: Settings) -> None:
    history = History(here.history)
    first, second = history.points()
    piece = here.history / "pieces" / max(first.pieces() - second.pieces())
    whole = piece.read_bytes()
    before = {file: file.read_bytes() for file in (here.warehouse, here.marts)}
    for harmed in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-1], None):
        piece.unlink()
        if harmed is not None:
            piece.write_bytes(harmed)
        with pytest.raises(HistoryError, match=rf"piece of {FIRST}.*Nothing was changed"):
            go(here)
        if harmed is None:
            piece.write_bytes(whole)
    assert {file: file.read_bytes() for file in before} == before
    assert go(here).code == OK
    assert go(here, SECOND).code == OK
    assert set(versions(here).values()) == {2}
    assert sorted(path.name for path in here.warehouse.parent.iterdir()) == ["m.duckdb", "w.duckdb"]


def test_an_unknown_run_is_named_with_those_there_are(here: Settings, tmp_path: Path) -> None:
    with pytest.raises(CallError, match=f"'nonsense' is kept; there are {SECOND}, {FIRST}"):
        go(here, "nonsense")
    with pytest.raises(CallError, match="no point is kept yet"):
        go(settings(tmp_path / "fresh"), "latest")


def test_a_warehouse_that_another_program_has_open_is_not_swapped(here: Settings) -> None:
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(here.marts)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(HeldError, match=r"m\.duckdb open"):
            go(here)
        holder.communicate("\n")
    assert set(versions(here).values()) == {2}


def test_lost_files_come_back(here: Settings) -> None:
    here.marts.unlink()
    with pytest.raises(HistoryError, match="is missing"):
        go(here)
    here.warehouse.unlink()
    done = go(here)
    assert (done.left, done.code) == (None, OK)
    assert set(versions(here).values()) == {1}


def test_as_many_points_stay_as_the_setting_says(here: Settings) -> None:
    few = replace(here, env={**here.env, "MILLRACE_KEEP_RUNS": "2"})
    run(few, 3, "20170105T000000-000005")
    assert [point.name for point in History(here.history).points()] == [
        SECOND,
        "20170105T000000-000005",
    ]
    run(few, 4, "20170106T000000-000006")
    named = set[str]().union(*(point.pieces() for point in History(here.history).points()))
    assert {path.name for path in (here.history / "pieces").iterdir()} == named
    assert go(few, "20170105T000000-000005").code == OK
    assert set(versions(here).values()) == {3}


def test_the_point_that_one_goes_to_is_not_forgotten_on_the_way(here: Settings) -> None:
    few = replace(here, env={**here.env, "MILLRACE_KEEP_RUNS": "1"})
    with duckdb.connect(here.warehouse) as con:
        con.execute("create table since as select 7 as v")
    assert go(few).code == OK
    assert set(versions(here).values()) == {1}
    in_use = rewind.in_use(few)
    assert in_use is not None
    assert in_use.name == FIRST
