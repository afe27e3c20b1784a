"""A run that is killed late in a build is gone on with: little twice, nothing missed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from homes import SETTLED_ON, Home, kill

pytestmark = pytest.mark.xdist_group("runs")

QUICK = ("run", "--quick-report")
AT = 0.9
"""The share of a whole build after which it is killed."""

TWICE = 0.15
"""The share of a whole build that may be built once more."""


def build_log(home: Home) -> Path:
    return home.warehouse.with_name(f"{home.warehouse.name}.build")


def killed_late(home: Home, nodes: int) -> None:
    """Run, and kill when so many nodes of dbt have finished."""
    process = home.begin(*QUICK)
    log, ends = build_log(home), time.monotonic() + 120
    while not log.exists() or log.read_bytes().count(b'{"node"') < nodes:
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.005)
    assert kill(process)


def twice(home: Home) -> float:
    """Seconds of the nodes that the last run built again, of all that a whole build takes."""
    rows = home.query(
        """with ordered as (select run_id, row_number() over (order by started_at desc) as nth
            from millrace.runs),
        built as (select unique_id, nth, execution_seconds
            from millrace.node_results join ordered using (run_id)
            where resource_type in ('model', 'seed', 'snapshot', 'test', 'unit_test')),
        first as (select * from built where nth = 2),
        last as (select * from built where nth = 1)
        select sum(coalesce(last.execution_seconds, 0)) filter (where first.unique_id is not null),
            sum(coalesce(first.execution_seconds, last.execution_seconds))
        from first full outer join last using (unique_id)"""
    )
    return float(rows[0][0]) / float(rows[0][1])


@dataclass(frozen=True)
class Late:
    """A home whose first run was killed late in its build, and how many nodes that has."""

    home: Home
    nodes: int


@pytest.fixture(scope="module")
def late(settled: Home, tmp_path_factory: pytest.TempPathFactory) -> Late:
    (nodes,) = settled.query(
        "select count(*) from millrace.node_results where resource_type <> 'source'"
    )[0]
    home = Home(tmp_path_factory.mktemp("late") / "home").start(SETTLED_ON, thin=True)
    killed_late(home, int(AT * nodes))
    return Late(home, nodes)


def test_a(late: Late, settled: Home) -> None:
    home = late.home
    t=time.monotonic()
    done = home.millrace(*QUICK)
    print(done.text, time.monotonic()-t)
    assert done.code == 0, done.text
    assert "had been finished by" in done.text
    print(twice(home), late.nodes)
    assert home.tables("marts") == settled.tables("marts")
    assert twice(home) <= TWICE
