"""The steps that dbt does: freshness, build and trained tests, with Elementary's tables filled."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from ingest.types import quote
from ops import packages, quality
from ops.codes import BUILD_FAILED, FAILED, SOURCE_FAILED
from ops.dbt import Dbt, Outcome
from ops.differences import words
from ops.journal import Journal, NodeResult
from ops.lean import leaner, whole, without_hooks
from ops.log import Log
from ops.publish import after_dbt
from ops.settings import Settings

_BAD = ("error", "fail", "runtime error")


class StepError(Exception):
    """A step failed; `code` is the exit code it asks for."""

    def __init__(self, message: str, code: int) -> None:
        self.code = code
        super().__init__(message)


@dataclass
class DbtSteps:
    """What dbt does in a run; the parsed project is kept between the runs of one process.

    `brief`: results of nodes that were well are not written down.
    """

    settings: Settings
    log: Log
    journal: Journal
    dbt: Dbt
    brief: bool = False
    progress: Callable[[int, int], None] = lambda done, total: None

    def prepare(self) -> None:
        """See that the dbt packages are there; dbt cannot even read the project without them.

        Raises:
            StepError: they cannot be installed.
        """
        try:
            installed = packages.install(self.settings.project, cache=self.settings.cache)
        except packages.PackagesError as error:
            raise StepError(str(error), BUILD_FAILED) from None
        if installed.origin == "stand-ins":
            self.log.say(
                "stand_ins",
                "dbt packages: our stand-ins; Elementary's trained anomaly tests are off "
                "(`millrace deps` gets the real ones where there is a way to the hub)",
                style="yellow",
            )

    def freshness(self, run_id: str) -> str:
        """Ask how old each source's newest finished load is.

        Raises:
            StepError: one is older than its `error_after`, or dbt could not find out.
        """
        outcome = self._run(["source", "freshness"], trimmed=leaner)
        self.journal.nodes(run_id, outcome.nodes)
        tables = [n for n in outcome.nodes if n.resource_type == "source"]
        wrong = [f"{n.node_name}: {n.message}" for n in tables if n.status == "runtime error"]
        late = [n.node_name for n in tables if n.status == "error"]
        if outcome.error or wrong or not (outcome.success or late):
            told = outcome.error or "; ".join(wrong) or "dbt gave no answer"
            raise StepError(f"dbt source freshness: {told}", FAILED)
        if late:
            raise StepError(f"stale beyond error_after: {', '.join(late)}", SOURCE_FAILED)
        if stale := [n.node_name for n in tables if n.status == "warn"]:
            self.log.say("stale", f"  stale: {', '.join(stale)}", style="yellow")
            return f"{len(stale)} of {len(tables)} sources are stale"
        return f"{len(tables)} sources are fresh" if tables else "no source declares freshness"

    def selection(
        self,
        pending: dict[tuple[str, str], int],
        arguments: tuple[str, ...],
        *,
        whole: bool,
        deep: bool,
    ) -> list[str]:
        """The words by which dbt selects what the pending loads reach, or everything.

        Args:
            pending: source tables with loads that no good build has taken.
            arguments: further words for `dbt build`; with them, dbt builds what they say.
            whole: everything, unit tests too.
            deep: also the tests that read all of raw.
        """
        if whole or arguments:
            return [*arguments]
        # unit tests prove the code, which has not changed; trained tests come with the report
        left = ["tag:elementary-tests"] if deep else ["tag:elementary-tests", "tag:deep"]
        words = ["--exclude-resource-type", "unit_test", "--exclude", *left]
        words += [] if deep else ["--vars", '{"all_rows": false}']
        words += ["--select", "path:models/ops", *(["tag:deep"] if deep else [])]
        return [*words, *(f"source:{source}.{table}+" for source, table in sorted(pending))]

    def build(
        self,
        run_id: str,
        select: list[str] | None,
        *,
        anew: bool,
        on_node: Callable[[NodeResult, int], None],
        trimmed: Callable[[Any], Any] = whole,
    ) -> Outcome:
        """Build and test what is selected.

        Args:
            run_id: the run, for the journal.
            select: words for `dbt build`; None where nothing is left to build.
            anew: incremental models from their first row.
            on_node: is given each node as it finishes, and how many there are.
            trimmed: see `Dbt.run`.
        """
        self._elementary(run_id)
        if select is None:
            return Outcome(True)
        command = ["build", *select, *(["--full-refresh"] if anew else [])]
        outcome = self._run(command, on_node, trimmed=trimmed)
        if outcome.differences:
            outcome.nodes = self._explained(outcome)
        if self.brief and outcome.success and not outcome.count("warn"):
            return outcome
        self.journal.nodes(run_id, outcome.nodes)
        if outcome.nodes:
            self._quality()
        return outcome

    def _explained(self, outcome: Outcome) -> list[NodeResult]:
        """The nodes; for tests of the ledger not how many rows they gave, but what these say."""
        with self._with_marts() as con:
            told = {name: words(con, sql) for name, sql in outcome.differences.items()}
        return [
            replace(node, message=told.get(node.unique_id) or node.message)
            for node in outcome.nodes
        ]

    def tidy(self) -> None:
        """Drop from the marts what no model makes any more, or it would be published for ever."""
        kept = self.dbt.relations("marts")
        with self._with_marts() as con:
            there = con.execute(
                "select schema_name, table_name, 'table' from duckdb_tables() where database_name "
                "= 'marts' union all select schema_name, view_name, 'view' from duckdb_views() "
                "where database_name = 'marts' and not internal"
            ).fetchall()
            for schema, name, kind in there:
                if (schema, name) not in kept:
                    con.execute(f"drop {kind} marts.{quote(schema)}.{quote(name)}")
                    self.log.say(
                        "dropped", f"  {name} is gone from the project, and from the marts"
                    )

    def judge(self, outcome: Outcome) -> str:
        """What a build came to, in words.

        Raises:
            StepError: a model or test failed.
        """
        failed = [n for n in outcome.nodes if n.status in _BAD]
        for node in failed:
            self.log.error("node_failed", f"  {node.node_name}: {node.message}", node=vars(node))
        if failed or not outcome.success:
            log = self.settings.env["DBT_LOG_PATH"]
            raise StepError(
                outcome.error
                or f"{len(failed)} of {len(outcome.nodes)} models and tests failed; readers keep "
                f"the former snapshot. See {log}/dbt.log",
                BUILD_FAILED,
            )
        return _counts(outcome)

    def anomalies(self, run_id: str) -> None:
        """Elementary's trained tests, on what is published: they warn, and hold nothing up.

        Raises:
            StepError: there are no marts yet.
        """
        if not self.settings.marts.exists():
            raise StepError("there is nothing to report on yet. Run: millrace run", FAILED)
        self._elementary(run_id)
        if packages.origin(self.settings.project) == "stand-ins":
            return
        chosen = [f"test_name:{name}" for name in quality.ANOMALY_TESTS]
        given = json.dumps(quality.KEEP_ANOMALIES | self._clock())
        outcome = self._run(["test", "--select", *chosen, "--vars", given])
        self.journal.nodes(run_id, outcome.nodes)
        if outcome.nodes:
            self._quality()
        broken = [f"{n.node_name}: {n.message}" for n in outcome.nodes if n.status == "error"]
        if outcome.error or broken:
            told = outcome.error or "; ".join(broken)
            raise StepError(f"Elementary's anomaly tests could not run: {told}", FAILED)

    def _run(
        self,
        command: list[str],
        on_node: Callable[[NodeResult, int], None] = lambda node, total: None,
        *,
        trimmed: Callable[[Any], Any] = whole,
    ) -> Outcome:
        """Run dbt, telling what goes wrong as it does."""

        def heard(node: NodeResult, done: int, total: int) -> None:
            on_node(node, total)
            self.progress(done, total)
            if node.status in (*_BAD, "warn"):
                self.log.say("node", f"  {node.status}: {node.node_name}", style="yellow")

        self.journal.let_go()
        return self.dbt.run(command, heard, trimmed=trimmed)

    def _elementary(self, run_id: str) -> None:
        """Make Elementary's tables the first time; they hold the history of its report.

        All of them: a kill in the middle is not known by the tables that are there.
        """
        made_by = packages.mark(self.settings.project)
        before = self.journal.before()
        self.journal.let_go()
        with duckdb.connect(str(self.settings.warehouse)) as con:
            ready = quality.ready(con)
        if not ready or before.elementary != made_by:
            command = ["run", "--select", "package:elementary"]
            outcome = self.dbt.run(command, trimmed=without_hooks)
            if not outcome.success:
                raise StepError(f"Elementary's tables: {outcome.error}", BUILD_FAILED)
            self.journal.mark(run_id, "elementary", made_by)

    def _clock(self) -> dict[str, str]:
        """The variable that sets Elementary's clock back, where the data's own is years behind."""
        watched = self.dbt.watched(quality.ANOMALY_TESTS)
        with self._with_marts() as con:
            end = quality.end_of_data(con, watched, self.settings.project)
        if end is None:
            return {}
        self.log.say("anomalies", f"  anomaly tests look back from {end}, where the data ends")
        return {"custom_run_started_at": end}

    def _quality(self) -> None:
        """Elementary's tables, from what dbt has just written."""
        with self._with_marts() as con:
            quality.fill(con, self.settings)

    @contextmanager
    def _with_marts(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse, with the marts attached as dbt has them."""
        self.journal.let_go()  # what is attached here must not stay attached
        con = after_dbt(self._attached)
        try:
            yield con
        finally:
            con.close()

    def _attached(self) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect(str(self.settings.warehouse))
        marts = str(self.settings.marts).replace("'", "''")
        try:
            self.settings.guard()
            con.execute(f"attach '{marts}' as marts")
        except BaseException:
            con.close()
            raise
        return con


def _counts(outcome: Outcome) -> str:
    models = outcome.count("success", kind="model") + outcome.count("success", kind="snapshot")
    tests = outcome.count("pass", kind="test") + outcome.count("success", kind="test")
    warned = outcome.count("warn")
    units = outcome.count("pass", kind="unit_test") + outcome.count("success", kind="unit_test")
    return f"{models} models built, {tests + units} tests passed" + (
        f", {warned} warned" if warned else ""
    )
