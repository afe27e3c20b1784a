"""Each safety switched off, in the scenario that it is there for: what the matrix finds wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.crash import store_scenarios, switches
from tests.crash.engine import Case, Tally
from tests.crash.readers import Publish
from tests.crash.scenario import Scenario

if TYPE_CHECKING:
    from tests.crash.matrix import Job

FINISHED = (
    "inner join {{ raw.incorporate(path={'identifier': '_dlt_loads'}) }} as closed\n"
    "        on book._dlt_load_id = closed.load_id\n"
    "    where closed.status = 0 and book.table_name"
)
MARKED = "dlt: mark the load as finished (before)"


def _tried(job: Job, scenario: Scenario, switch: str, step: int, case: Case, tally: Tally) -> str:
    """What goes wrong with the case when the safety is off."""
    with job.walked(scenario, switch, counted=False) as disturber:
        disturber.disturb(step, [case], tally)
    return "; ".join(tally.wrong) if tally.fired else ""


def undo(job: Job, tally: Tally) -> str:
    with store_scenarios.opened("append", job.folder / "worlds") as store:
        return _tried(job, store, "undo", 1, Case(MARKED), tally)


def package(job: Job, tally: Tally) -> str:
    with store_scenarios.opened("append", job.folder / "worlds") as store:
        return _tried(job, store, "package", 1, Case(switches.BETWEEN_PACKAGES), tally)


def offsets(job: Job, tally: Tally) -> str:
    with store_scenarios.opened("topics", job.folder / "worlds") as store:
        return _tried(job, store, "offsets", 1, Case(switches.BETWEEN_OFFSETS), tally)


def rename(job: Job, tally: Tally) -> str:
    scenario = Publish(job.folder / "worlds")
    return _tried(job, scenario, "rename", 1, Case(switches.HALF_PUBLISHED), tally)


def dedup(job: Job, tally: Tally) -> str:
    edits = {"macros/newest_versions.sql": ("where _rank = 1", "where _rank > 0")}
    return _edited(job, edits, tally)


def finished(job: Job, tally: Tally) -> str:
    edits = {
        "macros/finished_loads.sql": (
            FINISHED, FINISHED.replace("inner", "left").replace("closed.status = 0 and ", "")
        )
    }  # fmt: skip
    return _edited(job, edits, tally)


def fence(job: Job, tally: Tally) -> str:
    from tests.crash.shop import SHOP, Shop

    scenario = Shop(job.folder / "worlds", SHOP[:1])
    case = Case("ops.report._write: partial.replace(page) (before)", action="stop")
    return _tried(job, scenario, "fence", 0, case, tally)


def edge(job: Job, tally: Tally) -> str:
    """Rows are lost without any kill: the undisturbed walk finds it."""
    tally.times += 1
    try:
        with (
            store_scenarios.opened("edge", job.folder / "worlds") as store,
            job.walked(store, "edge", counted=False),
        ):
            return ""
    except AssertionError as error:
        return str(error)


def _edited(job: Job, edits: dict[str, tuple[str, str]], tally: Tally) -> str:
    """Some days of the small shop, and a build beside an unfinished load."""
    from tests.crash.shop import SHOP, Shop

    way = (SHOP[0], *(step for step in SHOP if step.name in ("load alone", BESIDE)))
    tally.times += 1
    try:
        with job.walked(Shop(job.folder / "worlds", way, edits), counted=False):
            return ""
    except AssertionError as error:
        return str(error)


BESIDE = "build beside an unfinished load"
SAFETIES: dict[str, Callable[[Job, Tally], str]] = {
    "undoing unfinished loads": undo,
    "dead letters in the load of their rows": package,
    "offsets in the load of their rows": offsets,
    "the atomic rename": rename,
    "the end of a stopped run": fence,
    "the edge of open transactions": edge,
    "the rank of versions": dedup,
    "the filter of finished loads": finished,
}
"""Safety to what finds its loss. One more is a switch (or an edit of the project) and a line."""
