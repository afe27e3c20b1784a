"""SIGKILL at every point of a load, and at random moments; then the same command again.

The source has a cursor and goes in windows, and a drop of files beside it. After the second run raw
holds each row once, one finished entry per load, and the state that belongs to the data.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from killed_load import POINTS
from projects import Project, source, table

from ingest.destination import Destination

HERE = Path(__file__).parent
ROWS = 90
KILLED = -signal.SIGKILL
Kill = Callable[..., int]


def _shop(project: Project, folder: Path) -> None:
    """A database of 90 lines and 3 stores; two lines of it are bad."""
    path = folder / "shop.sqlite"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table lines (id, amount, updated_at)")
        con.execute("create table stores (id, amount, updated_at)")
        rows = [(i, 1 if i % 50 else -1, f"2017-01-{1 + i // 9:02} 00:00:00") for i in range(ROWS)]
        con.executemany("insert into lines values (?, ?, ?)", rows)
        con.execute("insert into stores values (1, 1, null), (2, 1, null), (3, -1, null)")
    columns = {
        "id": "bigint",
        "amount": {"data_type": "integer", "check": "amount >= 0"},
        "updated_at": "timestamp",
    }
    given = {"primary_key": ["id"], "cursor": "updated_at", "max_dead": 1, "window": 40}
    project.declare(
        source("shop", table("lines", columns, **given), table("stores", columns, **given),
               kind="sql", url=f"sqlite:///{path}")
    )  # fmt: skip


def _drop(project: Project, folder: Path) -> None:
    """A drop of 6 files, 15 lines each; one line is torn."""
    drop = folder / "drop"
    drop.mkdir()
    for number in range(6):
        lines = [f"{number * 15 + i},1" for i in range(15)]
        (drop / f"{number}.csv").write_text("\n".join(["id,amount", *lines]) + "\n")
    (drop / "5.csv").write_text("id,amount\n" + "75,1\n76\n" + "77,1\n" * 1)
    columns = {"id": "bigint", "amount": "integer"}
    project.declare(
        source("shop", table("lines", columns, files="*.csv", primary_key=["id"], window=30),
               kind="files", path=str(drop))
    )  # fmt: skip


@pytest.fixture(scope="module")
def kill() -> Iterator[Kill]:
    """Loads a project in a process that is killed; gives the exit code."""
    paths = [str(HERE), str(HERE.parent), str(HERE.parents[2])]
    with subprocess.Popen(
        [sys.executable, str(HERE / "killed_load.py")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        sent, got = server.stdin, server.stdout

        def load(project: Project, point: str = "none", count: float = 1) -> int:
            sent.write(f"{project.root}\t{point}\t{count}\n")
            sent.flush()
            return int(got.readline())

        yield load
        sent.close()


def _held(project: Project) -> dict[str, Any]:
    """What raw holds once all is loaded, load numbers aside; the books are checked on the way."""
    project.check_books("shop")
    tables = {row[0] for row in project.sql("select distinct table_name from raw_shop._loads")}
    held: dict[str, Any] = {name: project.raw(f"shop.{name}") for name in sorted(tables)}
    held |= {f"dead {name}": project.dead(f"shop.{name}") for name in sorted(tables)}
    held["files"] = project.sql("select path, hash from raw_shop._files order by all")
    # one entry of dlt's for each number, but for number 0 and its like, which only make tables
    loads = project.sql(
        "select count(distinct load_number), count(distinct _dlt_load_id) from raw_shop._loads"
    )
    assert loads[0][0] == loads[0][1]
    state = project.loader().dead_letters()._destination._state()
    numbers = project.sql("select max(load_number) from raw_shop._loads")
    assert state["load_number"] == numbers[0][0]
    held["cursors"] = {name: entry.get("cursor") for name, entry in state["tables"].items()}
    return held


def _expected(tmp_path: Path, make: Any) -> dict[str, Any]:
    quiet = Project(tmp_path / "quiet")
    (tmp_path / "other").mkdir()
    make(quiet, tmp_path / "other")
    assert not quiet.load().errors
    return _held(quiet)


def _cases(counts: tuple[int, ...]) -> list[tuple[str, int]]:
    """Every point once, at its first pass or a later one."""
    return [(point, counts[index % len(counts)]) for index, point in enumerate(POINTS)]


@pytest.mark.parametrize("make", [_shop, _drop])
def test_killed_at_every_point(project: Project, tmp_path: Path, kill: Kill, make: Any) -> None:
    """Killed again and again, at point after point: each start undoes and goes on."""
    expected = _expected(tmp_path, make)
    make(project, tmp_path)
    killed = 0
    for point, count in _cases((1,) if make is _drop else (2, 1, 3)):
        code = kill(project, point, count)
        killed += code == KILLED
        if code == 0:  # all is loaded: begin again
            assert _held(project) == expected, (point, count)
            project.warehouse.unlink()
    assert killed >= 7
    assert kill(project) == 0
    assert _held(project) == expected


def test_killed_at_random_moments(project: Project, tmp_path: Path, kill: Kill) -> None:
    expected = _expected(tmp_path, _shop)
    _shop(project, tmp_path)
    dice = random.Random(5)
    for _ in range(5):
        assert kill(project, "seconds", 0.1 + dice.random() * 1.5) in (KILLED, 0)
    assert kill(project) == 0
    assert _held(project) == expected


def test_without_undo_rows_would_double(
    project: Project, tmp_path: Path, kill: Kill, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shop(project, tmp_path)
    assert kill(project, "complete", 2) == KILLED
    with monkeypatch.context() as patched:
        patched.setattr(Destination, "_undo", lambda self: None)
        assert not project.load().errors
        assert len(project.raw("shop.lines")) > ROWS - 2
    # the safety on again, on a copy of the same accident
    project.warehouse.unlink()
    assert kill(project, "complete", 2) == KILLED
    assert not project.load(afresh=True).errors
    assert len(project.raw("shop.lines")) == ROWS - 2
    project.check_books("shop")


def test_a_load_that_fails_in_the_process_is_undone(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _expected(tmp_path, _shop)
    _shop(project, tmp_path)
    whole = Destination.commit
    passes = iter(range(100))

    def fails(self: Destination, *args: Any) -> None:
        whole(self, *args)
        if next(passes) == 2:
            raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Destination, "commit", fails)
        result = project.load()
    assert "no space left" in str(result.errors[0])
    assert not project.load().errors
    assert _held(project) == expected


def test_a_warehouse_that_another_process_holds(project: Project, tmp_path: Path) -> None:
    _shop(project, tmp_path)
    project.warehouse.parent.mkdir(parents=True)
    hold = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print(1, flush=True); "
    for seconds in (60.0, 1.5):
        command = [sys.executable, "-c", f"{hold} time.sleep({seconds})", str(project.warehouse)]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert holder.stdout is not None
        holder.stdout.readline()
        result = project.load()
        if seconds > 5:
            assert "lock" in str(result.errors[0])
            assert not result.loads
        else:
            assert not result.errors  # it waited
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert len(project.raw("shop.lines")) == ROWS - 2
