"""Runs the steps in this process, one run at a time, and journals each.

A run that is killed anywhere is continued by the next one: an unfinished load is undone by its
number and read again, loads that no good build has taken are built, and readers keep the former
snapshot until a build has passed all its tests.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta

from ingest.declaration import Accept
from ingest.errors import redact
from ops import publish, quality_report, report, rewind
from ops.build import DbtSteps, StepError
from ops.codes import BUILD_FAILED, FAILED, INTERRUPTED, OK
from ops.dbt import Dbt, fingerprint
from ops.due import Facts, due
from ops.history import HistoryError
from ops.journal import Journal, new_run_id, now
from ops.load_step import LoadStep
from ops.lock import HeldError, watched
from ops.log import Log
from ops.resume import Builds
from ops.settings import Settings
from ops.steps import STEPS
from ops.summary import Summary


class Runner:
    """The steps, with what they share between the runs of one process."""

    def __init__(
        self, settings: Settings, log: Log, *, read_only: bool = False, once: bool = False
    ) -> None:
        self._settings, self._log = settings, log
        self.journal = Journal(settings.warehouse, settings.guard, read_only=read_only)
        self._dbt = DbtSteps(settings, log, self.journal, Dbt(settings))
        self.builds = Builds(settings, self.journal, self._dbt)
        self._stray = settings.logs / "tools.log"
        self.loads = LoadStep(settings, log, once)

    def run(
        self,
        steps: Iterable[str],
        command: str,
        *,
        tables: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        thorough: bool | None = True,
        accept: Accept = "",
        run_id: str = "",
        brief: bool = False,
    ) -> Summary:
        """Take the named steps in the pipeline's order.

        Args:
            steps: names of `STEPS`.
            command: what was typed, for the journal.
            tables: `source` or `source.table` words that keep `load` to these.
            arguments: further arguments of `dbt build`.
            thorough: also freshness, the deep tests, the docs and the Elementary report, which
                take some seconds; None for once in a day.
            accept: what of `tables` a person has said is right.
            run_id: the run's id; a new one when not given.
            brief: a quick build leaves out what the one before it in this process has settled.
        """
        self._dbt.brief = brief
        chosen = set(steps)
        summary = Summary(run_id or new_run_id())
        self._log.run_id = summary.run_id
        with self.journal.keeping():
            self.journal.start(summary.run_id, command, self._settings.target)
            self.builds.tell()
            if thorough is None:
                thorough = self._a_day_has_passed()
                if thorough:  # whatever comes of it: a loop must not try all day long
                    self.journal.mark(summary.run_id, "thorough")
                else:
                    chosen.discard("freshness")
            status, interrupted = "failed", False
            try:
                self._steps(chosen, summary, tables, arguments, thorough, accept)
                status = "success" if summary.code == OK else "failed"
            except KeyboardInterrupt:
                interrupted = True
                raise
            finally:
                if summary.idle and status == "success":
                    self.journal.forget(summary.run_id)
                else:
                    unforeseen = INTERRUPTED if interrupted else FAILED
                    code = summary.code if status == "success" or summary.code else unforeseen
                    self.journal.finish(summary.run_id, status, code)
        if "report" in chosen and not summary.idle:
            report.start_page(self._settings)
        if thorough and summary.published and self._settings.keep_runs:
            self._keep(summary.run_id)
        return summary

    def _keep(self, run_id: str) -> None:
        """Keep a point to rewind to; without one, the run has done its work all the same."""
        begun = now()
        try:
            point = rewind.keep(self._settings, run_id)
        except (HeldError, HistoryError) as error:
            self._log.say("not_kept", f"nothing was kept to rewind to: {error}", style="yellow")
            return
        seconds = (now() - begun).total_seconds()
        text = f"kept: {point.bytes / 1e6:,.0f} MB to rewind to ({seconds:.1f} s)"
        self._log.say("kept", text, point=point.name, bytes=point.bytes, seconds=seconds)

    def _steps(
        self,
        chosen: set[str],
        summary: Summary,
        tables: tuple[str, ...],
        arguments: tuple[str, ...],
        thorough: bool,
        accept: Accept,
    ) -> None:
        mark = fingerprint(self._settings)
        bad: set[str] = set()
        wanted, prepared = chosen, False
        for step in STEPS:
            if step.name not in wanted or bad & set(step.needs):
                continue
            begun = now()
            if not step.idle:
                summary.steps.append(step.name)
            self.journal.begin_step(summary.run_id, step.name, begun)
            action: dict[str, Callable[[], str]] = {
                "load": lambda: self.loads.load(summary, tables, accept),
                "freshness": lambda: self._dbt.freshness(summary.run_id),
                "build": lambda: self.builds.build(
                    summary, mark, self.waiting(), arguments, thorough
                ),
                "publish": lambda: self._publish(summary),
                "report": lambda: self._report(summary.run_id, thorough),
            }
            with self._log.alone(self._stray), self._log.working(step.title) as progress:
                self._dbt.progress = self.loads.progress = watched(
                    self._settings.lock, step.name, progress
                )
                try:
                    if step.uses_dbt and not prepared:
                        self._dbt.prepare()
                        prepared = True
                    detail, status = action[step.name](), "success"
                except StepError as error:
                    detail, status = str(error), "failed"
                    bad.add(step.name)
                    summary.fail(detail, error.code)
                    self._log.error(step.name, detail)
                except BaseException as error:
                    detail = redact(str(error)) or type(error).__name__
                    self.journal.end_step(summary.run_id, step.name, begun, "failed", detail)
                    raise
            self.journal.end_step(summary.run_id, step.name, begun, status, detail)
            seconds = summary.seconds[step.name] = (now() - begun).total_seconds()
            if not summary.idle or not step.idle:
                told = detail if status == "success" else "failed"
                self._log.say(
                    "step",
                    f"{step.name}: {told} ({seconds:.1f} s)",
                    step=step.name,
                    status=status,
                    seconds=seconds,
                )
            if step.name == "load":
                wanted = (
                    set()
                    if bad
                    else chosen & self.due(mark, thorough=thorough, news=not summary.idle).keys()
                )

    def due(self, mark: str, *, thorough: bool, news: bool = False) -> dict[str, list[str]]:
        """The steps for which there is anything to do after a load, and why.

        Args:
            mark: the fingerprint of the project.
            thorough: also what quick runs leave out.
            news: the load brought something, or went wrong.
        """
        before = self.journal.before()
        if before.project is None and self.loads.sources() and not self.ever_loaded():
            return {}  # marts of nothing would only hide that no source could be read
        killed = self.builds.killed(mark)
        return due(
            Facts(
                before,
                mark,
                self.waiting(),
                marked=self._marts_mark(),
                marts=self._settings.marts.exists(),
                snapshot=(self._settings.published / publish.SNAPSHOT).exists(),
                goes_on=killed.told_of if killed else "",
                thorough=thorough,
                news=news,
            )
        )

    def waiting(self) -> dict[tuple[str, str], int]:
        """Source tables whose newest finished load no good build has taken."""
        return self.journal.pending((s.name, s.raw_schema) for s in self.loads.sources())

    def ever_loaded(self) -> bool:
        """Whether any source has a finished load."""
        return self.journal.ever_loaded(source.raw_schema for source in self.loads.sources())

    def _a_day_has_passed(self) -> bool:
        last = self.journal.before().thorough_at
        return last is None or now() - last > timedelta(days=1)

    def _marts_mark(self) -> str:
        return publish.mark(self._settings.marts)

    def _publish(self, summary: Summary) -> str:
        before, why = self.journal.before(), ""
        if before.spoiled:
            why = "the last build did not pass all its tests"
        elif self._settings.marts.exists() and before.marts != self._marts_mark():
            why = "something wrote to the marts since the last build of Millrace passed its tests"
        if why:
            raise StepError(
                f"{why}, so readers keep the former snapshot. "
                "When it is right: millrace build && millrace publish",
                BUILD_FAILED,
            )
        try:
            done = publish.publish(
                self._settings.marts, self._settings.published, self._settings.guard
            )
        except publish.PublishError as error:
            raise StepError(str(error), BUILD_FAILED) from None
        self.journal.mark(summary.run_id, "marts", self._marts_mark())
        summary.published = done
        return f"{done.tables} tables, {done.bytes / 1e6:.0f} MB in {done.path}"

    def _report(self, run_id: str, full: bool) -> str:
        pages = ["index.html"]
        self.journal.let_go()
        try:
            if full:
                self._dbt.anomalies(run_id)
                self._dbt.progress(1, 3)
                there = self._dbt.dbt.has_all_sql()
                report.docs(self._settings, built=there)
                if not there:
                    self._dbt.dbt.note_all_sql()
                self._dbt.progress(2, 3)
                quality_report.report(self._settings, self._settings.site / "quality.html")
                pages += ["docs.html", "quality.html"]
                self.journal.mark(run_id, "pages")
                self.journal.let_go()
            report.start_page(self._settings)
        except (report.ReportError, quality_report.QualityError) as error:
            raise StepError(str(error), FAILED) from None
        return f"{', '.join(pages)} in {self._settings.site}"
