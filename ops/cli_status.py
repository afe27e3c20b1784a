"""`millrace status`: what ran, what is running, and what a rerun would do and why."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ops import settings as settings_module
from ops.cli_run import Target
from ops.lock import HeldError, holder
from ops.lock_file import Entry
from ops.log import Log
from ops.past_runs import RunRow, last_runs
from ops.settings import Settings
from ops.steps import STEPS

RUNS = 5


def status(
    target: Target = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """What ran last, what is running, and what the next run would do.

    \b
    Examples:
      millrace status
      millrace status --json
    """
    here, log = settings_module.load(target), Log()
    try:
        held = holder(here.warehouse)
        runs = [] if held else last_runs(here.warehouse, RUNS)
        waiting, due = _next(here, log) if runs else ({}, {})
    except HeldError:
        held = holder(here.warehouse)
        if not held:
            raise  # no run of ours has the warehouse open
    if held:
        if as_json:
            typer.echo(json.dumps({"running": asdict(held)}))
        else:
            _running(log, held)
        return
    if as_json:
        found = {"running": None, "runs": [_plain(run) for run in runs], "next": due}
        typer.echo(json.dumps(found, default=str))
        return
    log.say("status", "no run is going on")
    for run in runs:
        _run(log, run)
    for reason in due.get("build", []):
        log.say("waiting", f"  {reason}")
    if not waiting:
        log.say("waiting", "every finished load is built")
    for step in STEPS:
        if step.name != "build" and step.name in due:
            log.say("due", f"  {step.name}: {'; '.join(due[step.name])}")
    words = ", ".join(step.name for step in STEPS if step.name in ("load", *due))
    log.say("next", f"`millrace run` would do: {words}")


def _next(here: Settings, log: Log) -> tuple[dict[tuple[str, str], int], dict[str, list[str]]]:
    """The loads that wait, and the steps that the next run would take if the sources are silent."""
    from ops.dbt import fingerprint
    from ops.run import Runner

    runner = Runner(here, log, read_only=True)
    return runner.waiting(), runner.due(fingerprint(here), thorough=True)


def _running(log: Log, held: Entry) -> None:
    log.say("status", held.told)
    if held.step:
        nodes = f", node {held.done} of {held.total}" if held.total else ""
        log.say("status", f"  {held.step}{nodes}; last heartbeat at {held.at}")


def _run(log: Log, run: RunRow) -> None:
    where = f" in {run.killed_in}" if run.killed_in else ""
    ended = f"exit code {run.exit_code}" if run.exit_code is not None else ""
    took = f"{(run.finished_at - run.started_at).total_seconds():.0f} s" if run.finished_at else "-"
    log.say("run", f"  {run.run_id}  {run.command:<10} {run.status + where:<16} {took:>6} {ended}")
    for step in run.steps:
        seconds = "" if step.seconds is None else f" ({step.seconds:.1f} s)"
        told = step.detail.splitlines()[0][:120] if step.detail else step.status
        log.say("step", f"    {step.step}: {told}{seconds}", style="dim")


def _plain(run: RunRow) -> dict[str, Any]:
    return {**asdict(run), "killed_in": run.killed_in}
