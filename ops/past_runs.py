"""The last runs with their steps, for those who look on: nothing is written, nobody disturbed."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from ops.journal import connect


@dataclass(frozen=True)
class StepRow:
    """One step of a run as the journal has it; seconds, where it has ended."""

    step: str
    status: str
    seconds: float | None
    detail: str


@dataclass(frozen=True)
class RunRow:
    """One run as the journal has it. A step or run that nobody ended was killed."""

    run_id: str
    command: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    exit_code: int | None
    steps: list[StepRow] = field(default_factory=list)

    @property
    def killed_in(self) -> str:
        """The step in which it was killed; nothing where it was not, or it was between two."""
        return next((each.step for each in self.steps if each.status == "killed"), "")


def last_runs(warehouse: Path, count: int) -> list[RunRow]:
    """The newest runs first, of which none is at work any more; none where there is no journal.

    The warehouse is only read: to open it otherwise would write to what a killed run left.
    """
    if not warehouse.exists():
        return []
    with connect(warehouse, read_only=True) as con:
        try:
            runs = con.execute(
                "select run_id, command, started_at, finished_at, "
                "replace(status, 'running', 'killed'), exit_code "
                "from millrace.runs order by started_at desc limit ?",
                [count],
            ).fetchall()
        except duckdb.CatalogException:
            return []
        steps = con.execute(
            "select run_id, step, replace(status, 'running', 'killed'), "
            "epoch(finished_at - started_at), coalesce(detail, '') from millrace.steps "
            "where list_contains(?, run_id) order by started_at",
            [[run[0] for run in runs]],
        ).fetchall()
    found = [RunRow(*run) for run in runs]
    for run_id, *step in steps:
        next(run for run in found if run.run_id == run_id).steps.append(StepRow(*step))
    return found
