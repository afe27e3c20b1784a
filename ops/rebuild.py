"""A table and all that comes from it, built anew from raw beside the old ones; see `swap`.

Raw is the log: every version of every row, by load. What is built from it anew, in copies of the
warehouse and the marts, takes the place of the old when all its tests have passed: all of it at
once. Whatever dies or fails before, the old is as it was.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from ingest.declaration import load_sources, nearest
from ingest.disk import sync_folder
from ingest.readers.stretch import StretchError, named
from ops import rewind, swap
from ops.build import DbtSteps, StepError
from ops.codes import BUILD_FAILED, FAILED, INTERRUPTED, OK, CallError, RebuildError
from ops.dbt import Dbt, fingerprint
from ops.history import HistoryError
from ops.journal import Journal, NodeResult, new_run_id, now
from ops.lock import watched
from ops.log import Log
from ops.publish import after_dbt, copy, mark, settle
from ops.settings import Settings, over


@dataclass
class _Rebuild:
    """A rebuild at work.

    Attributes:
        here: the settings of the files in use.
        beside: those of the copies.
        command: what was typed, for the journal.
        nodes: what came of dbt's nodes.
    """

    here: Settings
    beside: Settings
    log: Log
    steps: DbtSteps
    command: str
    nodes: list[NodeResult] = field(default_factory=list)

    def copies(self) -> None:
        """Copy the files in use."""
        swap.drop_drafts(self.here)
        others = swap.files(self.beside)
        with swap.held(self.here) as held:
            for name, (_, file) in held.items():
                others[name].parent.mkdir(mode=0o700)
                copy(file, others[name])
                shutil.copymode(swap.files(self.here)[name], others[name])

    def build(self, run_id: str, select: str) -> str:
        """Build and test the copies, and say in their journal that it went well; in words.

        Raises:
            StepError: a model or test failed.
        """
        journal, project = self.steps.journal, fingerprint(self.here)
        before, sources = journal.before(), load_sources(self.here.project, self.here.env)
        why = before.edited(project) or before.disturbed(mark(self.here.marts))
        if why:
            self.log.say("whole", f"  everything is rebuilt: {why[0]}")
        # what waits for a build is built too: the ledger's tests are of all tables
        pending = journal.pending((s.name, s.raw_schema) for s in sources)
        waiting = [f"source:{source}.{table}+" for source, table in sorted(pending)]
        # the trained tests come with the report
        left = ["--exclude", "tag:elementary-tests"]
        words = [*left, "--select", "path:models/ops", select, *waiting]
        outcome = self.steps.build(
            run_id, [] if why else words, anew=True, on_node=lambda node, total: None
        )
        self.nodes = outcome.nodes
        told = self.steps.judge(outcome)
        if why:
            self.steps.tidy()
        _settle(self.beside.marts)
        marks = {"project": project, "marts": mark(self.beside.marts)}
        if why:
            marks["anew"] = ""
        if why or not before.shallow:
            marks["deep"] = ""
        journal.built(run_id, pending, marks)
        return told

    def swap(self) -> None:
        """Put the copies in place of the files in use."""
        self.here.guard()
        with swap.held(self.here):
            for name, file in swap.files(self.here).items():
                _settle(swap.files(self.beside)[name])
                swap.files(self.beside)[name].replace(swap.draft(file))
                sync_folder(file.parent)
            swap.replace(self.here, self.command)


def rebuild(here: Settings, log: Log, word: str, command: str) -> int:
    """Rebuild a table and all that comes from it; the exit code.

    Args:
        here: the settings; the run lock is ours, and no swap is half done.
        log: its run id is the run's.
        word: a source's table as `source.table`, or a model.
        command: what was typed, for the journal.

    Raises:
        CallError: the word names nothing.
        RebuildError: there is nothing yet, or too little room; nothing was changed.
        HeldError: another program has the warehouse or the marts open.
    """
    if missing := [file for file in swap.files(here).values() if not file.exists()]:
        raise RebuildError(f"{missing[0]} is missing: nothing is built yet. Run: millrace run")
    steps = DbtSteps(here, log, Journal(here.warehouse, here.guard), Dbt(here))
    try:
        steps.prepare()
        select = _select(here, word, steps.dbt.models())
    except (StepError, ValueError) as error:
        log.error("rebuild", str(error))
        return BUILD_FAILED
    _room(swap.files(here).values(), log)
    _keep(here, log)
    warehouse, marts = swap.beside(here.warehouse), swap.beside(here.marts)
    with over(here, warehouse, marts, here.scratch / "rebuild") as beside:
        journal = Journal(beside.warehouse, beside.guard)
        steps = replace(steps, settings=beside, journal=journal, dbt=steps.dbt.over(beside))
        try:
            code = _journaled(_Rebuild(here, beside, log, steps, command), log.run_id, select)
        finally:
            if not swap.begun(here):
                swap.drop_drafts(here)
    if code == OK:
        log.run_id = new_run_id()
        code = swap.finish(here, log)
    return code


def _select(here: Settings, word: str, models: Collection[str]) -> str:
    """How dbt calls the table and all that comes from it.

    Raises:
        CallError: the word names no source table and no model.
    """
    if "." in word:
        try:
            named(load_sources(here.project, here.env), word)
        except StretchError as error:
            raise CallError(str(error)) from None
        return f"source:{word}+"
    if word not in models:
        raise CallError(
            f"there is no model {word!r}, and a source's table is written as source.table"
            f"{nearest(word, models)}"
        )
    return f"{word}+"


def _journaled(work: _Rebuild, run_id: str, select: str) -> int:
    """Do it as a run of one step; that it went well is written into the copies alone."""
    journal, begun, detail = Journal(work.here.warehouse, work.here.guard), now(), ""
    journal.start(run_id, work.command, work.here.target)
    journal.begin_step(run_id, "rebuild", begun)
    code = FAILED
    try:
        work.copies()
        with (
            work.log.alone(work.here.logs / "tools.log"),
            work.log.working("build anew, and test") as progress,
        ):
            work.steps.progress = watched(work.here.lock, "rebuild", progress)
            detail = work.build(run_id, select)
        beside = work.steps.journal
        beside.end_step(run_id, "rebuild", begun, "success", detail)
        beside.finish(run_id, "success", OK)
        work.swap()
    except StepError as error:
        detail, code = f"{error}", error.code
        work.log.error("rebuild", f"{detail}\n  nothing was changed; the rebuild is dropped")
    except (OSError, duckdb.IOException, duckdb.FatalException) as error:  # a full disk
        detail = str(error)
        if swap.begun(work.here):
            raise
        raise RebuildError(f"the copies cannot be written: {detail}. Nothing was changed") from None
    except BaseException as error:
        detail = str(error) or type(error).__name__
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
        raise
    else:
        seconds = (now() - begun).total_seconds()
        work.log.say("step", f"rebuild: {detail} ({seconds:.1f} s)", seconds=seconds)
        return OK
    finally:
        if code != OK and not swap.begun(work.here):
            journal.nodes(run_id, work.nodes)
            journal.end_step(run_id, "rebuild", begun, "failed", detail)
            journal.finish(run_id, "failed", code)
    return code


def _room(files: Collection[Path], log: Log) -> None:
    """Say how much room a rebuild needs.

    Raises:
        RebuildError: there is less than the copies alone take.
    """
    disks = {file.stat().st_dev: file.parent for file in files}
    for disk, folder in disks.items():
        size = sum(file.stat().st_size for file in files if file.stat().st_dev == disk)
        free = shutil.disk_usage(folder).free
        told = f"{size / 1e6:,.0f} MB in {folder}, and at most as much again while it builds"
        if free < size:
            raise RebuildError(
                f"a rebuild needs {told}; there are {free / 1e6:,.0f} MB. Nothing was changed"
            )
        log.say("room", f"  the copies take {told}; {free / 1e6:,.0f} MB are free", bytes=size)


def _keep(here: Settings, log: Log) -> None:
    """Keep a point to go back to, where points are kept."""
    if not here.keep_runs:
        return
    try:
        point = rewind.keep(here)
    except HistoryError as error:
        log.say("not_kept", f"nothing was kept to rewind to: {error}", style="yellow")
    else:
        log.say("left", f"  the way back: millrace rewind --to {point.name}", style="dim")


def _settle(database: Path) -> None:
    """Leave nothing in the log of a file that is to be renamed."""
    with after_dbt(lambda: duckdb.connect(str(database))) as con:
        settle(con, database)
