"""Builds that go on: after a kill, only what the killed build had not finished is built.

A node is left out where the killed build finished it well, the project is the same, nobody else
wrote to the marts, and no source table that it comes from has a newer load. What tests the
pipeline's own journal is run every time. In all other cases the next build is a whole one.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ops.build import DbtSteps, StepError
from ops.build_log import BuildLog, Killed, Plan
from ops.codes import BUILD_FAILED
from ops.journal import Journal
from ops.lean import leaner, whole
from ops.publish import mark
from ops.settings import Settings
from ops.summary import Summary
from ops.vouching import left_alone, vouch_now

_BOOKS = ".over_sources"  # the macro that reads raw tables of which dbt does not know


@dataclass(frozen=True)
class Rest:
    """What is left of a killed build.

    Attributes:
        killed: that build.
        left: the nodes to build.
        kept: the nodes that need not be built again.
    """

    killed: Killed
    left: list[str]
    kept: set[str] = field(default_factory=set)


class Builds:
    """Builds what is due, going on where a killed build was."""

    def __init__(self, settings: Settings, journal: Journal, steps: DbtSteps) -> None:
        self._settings, self._journal, self._steps = settings, journal, steps
        self._log = BuildLog(settings.warehouse, settings.guard)
        self._settled: dict[tuple[str, frozenset[tuple[str, str]]], list[str]] = {}

    def tell(self) -> None:
        """Bring what a killed build came to into the journal."""
        killed = self._log.read()
        if killed is not None and not killed.told:
            results = [(result, datetime.fromisoformat(at)) for result, at in killed.results]
            self._journal.nodes_of_killed(killed.plan.run_id, results)
            self._log.tell()

    def killed(self, project: str) -> Killed | None:
        """The killed build that the next one may go on with.

        Args:
            project: the fingerprint of today's project.
        """
        killed = self._log.read()
        if killed is None or killed.plan.partial or killed.plan.project != project:
            return None
        if not self._journal.has_built(killed.plan.run_id):
            return None  # of a warehouse that is gone
        return killed if left_alone(self._settings, killed) else None

    def build(
        self,
        summary: Summary,
        project: str,
        pending: dict[tuple[str, str], int],
        arguments: tuple[str, ...],
        deep: bool,
    ) -> str:
        """Build and test what is due; what it came to, in words.

        Args:
            summary: of the run; the nodes go into it.
            project: the fingerprint of the project.
            pending: source tables with loads that no good build has taken.
            arguments: further words for `dbt build`; with them, dbt builds what they say.
            deep: also the tests that read all of raw.

        Raises:
            StepError: a model or test failed.
        """
        killed = None if arguments else self.killed(project)
        plan = self._plan(summary.run_id, project, pending, killed)
        plan = replace(plan, deep=plan.deep or deep, partial=bool(arguments))
        select = self._steps.selection(pending, arguments, whole=plan.whole, deep=plan.deep)
        rest = None if killed is None else self._rest(killed, plan, select)
        if rest:
            plan = replace(plan, kept=tuple(sorted(rest.kept)))
            select = exactly(self._steps.dbt.manifest, rest.left)
        quick = not (arguments or plan.whole or plan.deep or rest)
        same = (project, frozenset(pending))
        settled = self._settled.get(same) if quick else None
        if settled and self._steps.brief:
            select = settled
        if plan.anew:  # also if this build does not end well, and the edit is taken back
            self._journal.mark(summary.run_id, "anew", "owed")
        self._log.begin(plan)
        try:
            outcome = self._steps.build(
                summary.run_id,
                None if rest and not rest.left else select,
                anew=plan.whole and plan.anew and not arguments,
                on_node=self._log.node,
                trimmed=whole if arguments else leaner,
            )
        except BaseException:
            vouch_now(self._settings)  # this process is alive: nobody else was at the marts
            raise
        summary.nodes = outcome.nodes
        try:
            told = self._steps.judge(outcome)
            if rest:
                told += _all_there(rest, summary)
        except StepError:
            self._log.drop()
            self._settled.clear()
            raise
        if quick and same not in self._settled:
            self._settled[same] = briefly(
                self._steps.dbt.manifest, [node.unique_id for node in outcome.nodes]
            )
        if not arguments:
            if plan.whole:
                self._steps.tidy()
            marks = {"project": project, "marts": mark(self._settings.marts), "anew": ""}
            if plan.whole or plan.deep:
                marks["deep"] = ""
            self._journal.built(summary.run_id, pending, marks)
        self._log.drop()
        return told

    def _plan(
        self,
        run_id: str,
        project: str,
        pending: dict[tuple[str, str], int],
        killed: Killed | None,
    ) -> Plan:
        """What to build: what the killed build was for, or what the journal asks for."""
        lock = self._settings.lock
        token = lock.token if lock else 0
        loads = {f"{source}.{table}": number for (source, table), number in pending.items()}
        if killed:
            was = killed.plan
            return Plan(run_id, token, project, loads, was.whole, was.anew, was.deep)
        before = self._journal.before()
        whole = before.edited(project) or before.disturbed(mark(self._settings.marts))
        # other SQL makes other rows, of old loads too; and marts may have outlived their warehouse
        anew = before.anew_owed or (before.project or "").split()[:1] != project.split()[:1]
        return Plan(run_id, token, project, loads, bool(whole), anew, False)

    def _rest(self, killed: Killed, plan: Plan, select: list[str]) -> Rest | None:
        chosen = self._steps.dbt.listed(select)
        if chosen is None:
            return None  # what is wrong with the project, the build itself will say
        moved = {
            table for table, number in plan.pending.items()
            if killed.plan.pending.get(table) != number
        } | (killed.plan.pending.keys() - plan.pending.keys())  # fmt: skip
        stale = downstream(self._steps.dbt.manifest, moved)
        kept = killed.done - stale
        return Rest(killed, [node for node in chosen if node not in kept], kept)


def exactly(manifest: Any, nodes: list[str]) -> list[str]:
    """The words by which dbt selects these nodes, tests too, and no others."""
    known = {**manifest.nodes, **manifest.unit_tests}
    names = (f"fqn:{'.'.join(known[node].fqn)}" for node in nodes)
    words = ["--indirect-selection", "empty", "--select", *names]
    if not manifest.unit_tests.keys() & set(nodes):
        # the name of a model is that of the folder of its unit tests
        words = ["--exclude-resource-type", "unit_test", *words]
    return words


def briefly(manifest: Any, nodes: list[str]) -> list[str]:
    """The words by which a quick build selects these nodes when they were all built just before.

    Views are their code, and are there; what tests the pipeline's own journal need not be asked in
    every tick. All that guards rows is built and tested.
    """
    views, journal = set(), set()
    for key, node in manifest.nodes.items():
        if node.resource_type == "model" and node.config.materialized == "view":
            views.add(key)
            ours = (manifest.sources.get(above) for above in node.depends_on_nodes)
            if node.depends_on_nodes and all(s and "ingest" not in s.source_meta for s in ours):
                journal.add(key)
    left = [
        key
        for key in nodes
        if key not in views and not journal.issuperset(manifest.nodes[key].depends_on_nodes)
    ]
    return ["--vars", '{"all_rows": false}', *exactly(manifest, left)]


def downstream(manifest: Any, moved: set[str]) -> set[str]:
    """The nodes that would come out otherwise by now.

    They come from source tables with newer loads, or from tables that Millrace does not load, as
    those of its own journal. A view is its code; it is made anew only where a load is newer, which
    may have made the first table of a source.

    Args:
        manifest: dbt's.
        moved: source tables with newer loads, as `source.table`.
    """
    nodes = {**manifest.nodes, **manifest.unit_tests}
    found = {
        key for key, source in manifest.sources.items()
        if f"{source.source_name}.{source.name}" in moved or "ingest" not in source.source_meta
    }  # fmt: skip
    if moved:
        found |= {
            key for key, node in manifest.nodes.items()
            if any(macro.endswith(_BOOKS) for macro in node.depends_on_macros)
        }  # fmt: skip
    while more := {
        key
        for key, node in nodes.items()
        if key not in found and not found.isdisjoint(node.depends_on_nodes)
    }:
        found |= more
    views = {key for key, node in manifest.nodes.items() if node.config.materialized == "view"}
    return found if moved else found - views


def _all_there(rest: Rest, summary: Summary) -> str:
    """That what was left has been built, in words.

    Raises:
        StepError: dbt left some of it out.
    """
    missing = set(rest.left) - {node.unique_id for node in summary.nodes}
    if missing:
        raise StepError(
            f"dbt left out {', '.join(sorted(missing))}; nothing is published, and the next build "
            "is a whole one",
            BUILD_FAILED,
        )
    return (
        f"; {len(rest.kept)} models and tests had been finished by {rest.killed.plan.run_id}, "
        "which was killed"
    )
