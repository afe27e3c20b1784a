"""Runs the steps in this process, one run at a time, and journals each.

A run that is killed anywhere is continued by the next one: an unfinished load is undone by its
number and read again, loads that no good build has taken are built, and readers keep the former
snapshot until a build has passed all its tests.
"""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import duckdb

from ingest.declaration import Source, load_sources, pick
from ingest.errors import DeclarationError, IngestError
from ingest.load import Loader, TableLoad
from ops import packages, publish, quality, quality_report, report
from ops.dbt import Dbt, Outcome, fingerprint
from ops.journal import Journal, NodeResult, now
from ops.log import Log
from ops.settings import Settings
from ops.steps import STEPS

OK, FAILED, SOURCE_FAILED, BUILD_FAILED, HELD, MISDECLARED = 0, 1, 3, 4, 5, 6


@dataclass
class Summary:
    """What a run came to: loads of tables, nodes of dbt, errors; `code` is its exit code."""

    run_id: str
    loads: list[TableLoad] = field(default_factory=list)
    nodes: list[NodeResult] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    published: publish.Published | None = None
    code: int = OK

    @property
    def idle(self) -> bool:
        """Nothing was new and nothing went wrong."""
        return not (self.loads or self.nodes or self.errors)


class Runner:
    """The steps, with what they share between the runs of one process."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log = settings, log
        self._dbt = Dbt(settings)
        self.journal = Journal(settings.warehouse)
        self._loaders: dict[str, Loader] = {}
        self._declared: tuple[str, tuple[Source, ...]] = ("", ())
        self._progress: Callable[[int, int], None] = lambda done, total: None

    def run(
        self,
        steps: Iterable[str],
        command: str,
        *,
        tables: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        full_report: bool = True,
    ) -> Summary:
        """Take the named steps in the pipeline's order.

        Args:
            steps: names of `STEPS`.
            command: what was typed, for the journal.
            tables: `source` or `source.table` words that keep `load` to these.
            arguments: further arguments of `dbt build`.
            full_report: also the docs and the Elementary report, which take some seconds.
        """
        chosen = set(steps)
        summary = Summary(f"{now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
        self._log.run_id = summary.run_id
        self.journal.start(summary.run_id, command, self._settings.target)
        status = "failed"
        try:
            self._steps(chosen, summary, tables, arguments, full_report)
            status = "success" if summary.code == OK else "failed"
        finally:
            if summary.idle and status == "success":
                self.journal.forget(summary.run_id)
            else:
                code = summary.code if status == "success" or summary.code else FAILED
                self.journal.finish(summary.run_id, status, code)
        if "report" in chosen and not summary.idle:
            report.start_page(self._settings)
        return summary

    def _steps(
        self,
        chosen: set[str],
        summary: Summary,
        tables: tuple[str, ...],
        arguments: tuple[str, ...],
        full_report: bool,
    ) -> None:
        mark = fingerprint(self._settings.project)
        bad: set[str] = set()
        for step in STEPS:
            if step.name not in chosen or bad & set(step.needs):
                continue
            if not step.idle and not self._something(summary, mark, chosen):
                continue
            begun = now()
            action: dict[str, Callable[[], str]] = {
                "load": lambda: self._load(summary, tables),
                "freshness": lambda: self._freshness(summary),
                "build": lambda: self._build(summary, mark, arguments),
                "publish": lambda: self._publish(summary),
                "report": lambda: self._report(summary, full_report),
            }
            with self._log.working(step.title) as self._progress:
                try:
                    detail, status = action[step.name](), "success"
                except StepError as error:
                    detail, status = str(error), "failed"
                    bad.add(step.name)
                    summary.errors.append(detail)
                    summary.code = summary.code or error.code
                    self._log.error(step.name, detail)
            if not summary.idle or step.name != "load":
                self.journal.step(summary.run_id, step.name, begun, status, detail)
                seconds = (now() - begun).total_seconds()
                self._log.say("step", f"{step.name}: {detail} ({seconds:.1f} s)", status=status)

    def _something(self, summary: Summary, mark: str, chosen: set[str]) -> bool:
        """There is something to do after the load: it was asked for alone, or there is news."""
        if "load" not in chosen or not summary.idle:
            return True
        return bool(self.waiting()) or self.journal.project() != mark

    def sources(self) -> tuple[Source, ...]:
        """The declared sources, read again only after an edit."""
        mark = fingerprint(self._settings.project)
        if self._declared[0] != mark:
            self._declared = (mark, load_sources(self._settings.project))
            self._loaders.clear()
        return self._declared[1]

    def _load(self, summary: Summary, words: tuple[str, ...]) -> str:
        try:
            sources = pick(self.sources(), words)
        except DeclarationError as error:
            raise StepError(str(error), MISDECLARED) from None
        problems: list[IngestError] = []
        for source in sources:
            loader = self._loader(source)
            result = loader.load(summary.run_id)
            summary.loads += result.loads
            problems += result.errors
        for problem in problems:
            self._log.error("source_failed", str(problem))
            summary.errors.append(str(problem))
        if problems:
            declared = any(isinstance(p, DeclarationError) for p in problems)
            summary.code = MISDECLARED if declared else SOURCE_FAILED
        read = sum(load.read for load in summary.loads)
        dead = sum(load.dead for load in summary.loads)
        return f"{read:,} rows read, {dead:,} of them dead letters" if summary.loads else "no news"

    def _loader(self, source: Source) -> Loader:
        known = self._loaders.get(source.name)
        if known is None or known.source != source:
            known = Loader(
                source,
                self._settings.warehouse,
                self._settings.scratch / "load" / source.name,
                self._settings.env,
                lambda line: self._log.say("load", f"  {line}"),
            )
            self._loaders[source.name] = known
        return known

    def waiting(self) -> dict[tuple[str, str], int]:
        """Source tables whose newest finished load no good build has taken."""
        return self.journal.pending((s.name, s.raw_schema) for s in self.sources())

    def _freshness(self, summary: Summary) -> str:
        outcome = self._dbt.run(["source", "freshness"])
        self.journal.nodes(summary.run_id, outcome.nodes)
        stale = [n.node_name for n in outcome.nodes if n.status in ("warn", "error")]
        if outcome.error:
            raise StepError(f"dbt source freshness: {outcome.error}", BUILD_FAILED)
        return f"stale: {', '.join(stale)}" if stale else f"{len(outcome.nodes)} sources are fresh"

    def _build(self, summary: Summary, mark: str, arguments: tuple[str, ...]) -> str:
        installed = packages.install(self._settings.project, cache=self._settings.cache)
        if installed.origin == "stand-ins":
            self._log.say(
                "stand_ins",
                "dbt packages: our stand-ins; Elementary's trained anomaly tests are off "
                "(`millrace deps` gets the real ones where there is a way to the hub)",
                style="yellow",
            )
        self._elementary()
        pending = self.waiting()
        whole = self.journal.project() != mark
        command = ["build", *arguments]
        if not whole and not arguments:
            # unit tests prove the code, which has not changed; trained tests come with the report
            command += ["--exclude-resource-type", "unit_test"]
            command += ["--exclude", "tag:elementary-tests", "--select", "path:models/ops"]
            command += [f"source:{source}.{table}+" for source, table in sorted(pending)]
        outcome = self._dbt.run(command, self._node)
        summary.nodes = outcome.nodes
        self.journal.nodes(summary.run_id, outcome.nodes)
        self._quality()
        failed = [n for n in outcome.nodes if n.status in ("error", "fail", "runtime error")]
        for node in failed:
            self._log.error("node_failed", f"  {node.node_name}: {node.message}", node=vars(node))
        if failed or not outcome.success:
            raise StepError(
                outcome.error
                or f"{len(failed)} of {len(outcome.nodes)} models and tests failed; readers keep "
                f"the former snapshot. See {self._settings.home / 'logs' / 'dbt.log'}",
                BUILD_FAILED,
            )
        if not arguments:
            self.journal.built(summary.run_id, pending, mark)
        return _counts(outcome)

    def _node(self, node: NodeResult, done: int, total: int) -> None:
        self._progress(done, total)
        if node.status in ("error", "fail", "warn", "runtime error"):
            self._log.say("node", f"  {node.status}: {node.node_name}", style="yellow")

    def _elementary(self) -> None:
        """Make Elementary's tables the first time; they hold the history of its report."""
        with duckdb.connect(str(self._settings.warehouse)) as con:
            ready = quality.ready(con)
        if not ready:
            outcome = self._dbt.run(["run", "--select", "package:elementary"])
            if not outcome.success:
                raise StepError(f"Elementary's tables: {outcome.error}", BUILD_FAILED)

    def _quality(self) -> None:
        """Elementary's tables, from what dbt has just written."""
        with duckdb.connect(str(self._settings.warehouse)) as con:
            con.execute(f"attach '{self._settings.marts}' as marts")
            quality.fill(con, self._settings)

    def _publish(self, summary: Summary) -> str:
        try:
            done = publish.publish(self._settings.marts, self._settings.published)
        except publish.PublishError as error:
            raise StepError(str(error), BUILD_FAILED) from None
        summary.published = done
        return f"{done.tables} tables, {done.bytes / 1e6:.0f} MB in {done.path}"

    def _anomalies(self, summary: Summary) -> None:
        """Elementary's trained tests, on what is published: they warn, and hold nothing up."""
        if packages.origin(self._settings.project) == "stand-ins":
            return
        keep = json.dumps(quality.KEEP_ANOMALIES)
        chosen = ["--select", *quality.ANOMALY_TESTS]
        outcome = self._dbt.run(["test", *chosen, "--vars", keep], self._node)
        self.journal.nodes(summary.run_id, outcome.nodes)
        if outcome.nodes:
            self._quality()

    def _report(self, summary: Summary, full: bool) -> str:
        pages = ["index.html"]
        try:
            if full:
                self._anomalies(summary)
                report.docs(self._settings, built=bool(summary.nodes))
                quality_report.report(self._settings, self._settings.site / "quality.html")
                pages += ["docs.html", "quality.html"]
            report.start_page(self._settings)
        except (report.ReportError, quality_report.QualityError) as error:
            raise StepError(str(error), FAILED) from None
        return f"{', '.join(pages)} in {self._settings.site}"


class StepError(Exception):
    """A step failed; `code` is the exit code it asks for."""

    def __init__(self, message: str, code: int) -> None:
        self.code = code
        super().__init__(message)


def _counts(outcome: Outcome) -> str:
    models = outcome.count("success", kind="model") + outcome.count("success", kind="snapshot")
    tests = outcome.count("pass", kind="test") + outcome.count("success", kind="test")
    warned = outcome.count("warn")
    units = outcome.count("pass", kind="unit_test") + outcome.count("success", kind="unit_test")
    return f"{models} models built, {tests + units} tests passed" + (
        f", {warned} warned" if warned else ""
    )
