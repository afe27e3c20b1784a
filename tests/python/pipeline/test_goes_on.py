"""A run that dies late in a build is gone on with: little is built twice, and nothing is missed.

It dies in the hardest way: stopped amid the build, ended by the next start that finds it so, and
woken up in vain. Its journal is the `.build` file beside the warehouse.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from homes import SETTLED_ON, Home, kill

from ops.lock import LEASE, run_lock
from ops.settings import Settings
from ops.vouching import vouch

pytestmark = pytest.mark.xdist_group("runs")

QUICK = ("run", "--quick-report")
AT = 0.9
"""The share of a whole build's nodes after which it is killed."""

TWICE = 0.15
"""The share of a whole build's seconds that may be built once more."""

BUILT = """millrace.node_results join (select run_id, finished_at as ended from millrace.steps
    where step = 'build') using (run_id)
    where resource_type in ('model', 'seed', 'snapshot', 'test', 'unit_test')
    and (ended is null or finished_at <= ended)"""
"""The nodes of builds, without the trained tests that come with the report."""


def build_log(home: Home) -> Path:
    return home.warehouse.with_name(f"{home.warehouse.name}.build")


def begun(home: Home, nodes: int, kept: bool = False) -> subprocess.Popen[str]:
    """A run in which so many nodes have finished; of a build that goes on with one, if `kept`."""
    process, log = home.begin(*QUICK), build_log(home)
    ends, said = time.monotonic() + 300, b""
    while said.count(b'{"node"') < nodes or kept != (b'"kept": ["' in said):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.005)
        said = log.read_bytes() if log.exists() else b""
    return process


def twice(home: Home) -> float:
    """Seconds of the nodes that the last run built again, of all that a whole build takes."""
    rows = home.query(
        f"""with ordered as (select run_id, row_number() over (order by started_at desc) as nth
            from millrace.runs),
        built as (select unique_id, nth, execution_seconds
            from ordered join (from {BUILT}) using (run_id)),
        before as (select * from built where nth = 2),
        last as (select * from built where nth = 1)
        select
            sum(last.execution_seconds) filter (where before.unique_id is not null),
            sum(coalesce(before.execution_seconds, last.execution_seconds))
        from before full outer join last using (unique_id)"""
    )
    return float(rows[0][0]) / float(rows[0][1])


def stamps(home: Home) -> list[tuple[int, int]]:
    return [
        (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(home.warehouse.parent.glob("*.duckdb*"))
        if not path.name.endswith(".lock")
    ]


@pytest.fixture(scope="module")
def late(kept: tuple[Home, Home], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose first run died at 90 % of its build. Take a copy."""
    settled = kept[1]
    ((total,),) = settled.query(f"select count(*) from {BUILT}")
    path = tmp_path_factory.mktemp("late") / "home"
    home = Home(path, settled.project).start(SETTLED_ON, thin=True)
    process = begun(home, int(AT * total))
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    settings = Settings(home.project, home.path, "dev", home.warehouse, home.marts, os.environ)
    since, lease = time.monotonic(), 3.0
    with run_lock(home.warehouse, "run", lease=lease) as lock:
        assert LEASE - lease + time.monotonic() - since < 30
        vouch(replace(settings, lock=lock))
        before = stamps(home)
        process.send_signal(signal.SIGCONT)
        assert process.wait(10) == -signal.SIGKILL
        assert stamps(home) == before, "what woke up wrote nothing"
    return home


def test_the_same_command_builds_the_rest(late: Home, home: Home, tmp_path: Path) -> None:
    there = late.copied(tmp_path / "home")
    told = there.millrace("status").text
    assert "killed in build" in told
    assert "nodes had finished: it is gone on with" in told
    done = there.millrace(*QUICK)
    assert done.code == 0, done.text
    assert twice(there) <= TWICE
    assert there.tables("marts") == there.tables("published") == home.tables("marts")
    assert there.tables("staging", "snapshots") == home.tables("staging", "snapshots")
    nodes = f"select unique_id from {BUILT} and status in ('success', 'pass') group by all"
    assert set(there.query(nodes)) == set(home.query(nodes)), "each was built and tested"
    assert there.query("select status, exit_code, killed_in from ops.ops_runs order by all") == [
        ("killed", None, "build"), ("success", 0, None)
    ]  # fmt: skip
    assert not build_log(there).exists()
    assert "nothing new" in there.millrace(*QUICK).text


def test_new_rows_after_a_second_kill(late: Home, home: Home, tmp_path: Path) -> None:
    """What comes from them is built again, though it was finished; all else is not."""
    killed = late.copied(tmp_path / "home")
    assert kill(begun(killed, 3, kept=True))
    for each in (killed, home):
        each.advance(1)
        done = each.millrace(*QUICK)
        assert done.code == 0, done.text
        if each is killed:
            assert "which was killed" in done.text
    assert killed.tables("marts") == home.tables("marts")
    assert killed.tables("staging", "snapshots") == home.tables("staging", "snapshots")
    built = """select count(*) from millrace.node_results
        where node_name = '{}' and resource_type = 'model'"""
    assert killed.query(built.format("fct_baskets")) == [(2,)]
    assert killed.query(built.format("dim_dates")) == [(1,)]


def test_what_another_program_wrote_makes_the_build_a_whole_one(
    late: Home, home: Home, tmp_path: Path
) -> None:
    """So would a journal that is not heeded: then the share built twice is far too large."""
    there = late.copied(tmp_path / "home")
    with duckdb.connect(str(there.marts)) as con:
        con.execute("delete from dim_dates")
    assert "so everything is built" in there.millrace("status").text
    done = there.millrace(*QUICK)
    assert done.code == 0, done.text
    assert "which was killed" not in done.text
    assert there.tables("marts") == home.tables("marts")
    assert twice(there) > 0.5 > TWICE
