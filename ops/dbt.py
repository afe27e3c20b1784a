"""dbt in this process: parsed once, its nodes told as they finish, its results as plain data."""

import hashlib
import json
import re
import signal
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from ops.artifacts import Artifacts
from ops.journal import NodeResult
from ops.lean import whole
from ops.publish import release
from ops.settings import Settings

_CODE = (
    *("models", "macros", "seeds", "snapshots", "analyses", "functions"),
    *("tests/generic", "tests/singular", "tests/fixtures"),
)
_FILES = (
    "dbt_project.yml",
    "packages.yml",
    "profiles.yml",
    "selectors.yml",
    "dbt_packages/.millrace.json",
)
# profiles.yml is not among them: it asks where things are, not what is made
_VARIABLE = re.compile(rb"""env_var\(\s*['"](\w+)""")
_BUILT = ("model", "seed", "snapshot", "test", "unit_test")
_QUIET = (
    *("--log-level", "none", "--log-level-file", "info", "--no-use-colors"),
    "--no-write-json",  # see `ops.artifacts`
)


@dataclass
class Outcome:
    """What a dbt command came to. `error` is dbt's own word where it could not even start.

    `differences` has the SQL of failed tests whose rows tell a difference, by unique id.
    """

    success: bool
    nodes: list[NodeResult] = field(default_factory=list)
    error: str = ""
    differences: dict[str, str] = field(default_factory=dict)

    def count(self, *statuses: str, kind: str = "") -> int:
        """How many nodes ended so."""
        return sum(
            n.status in statuses and (not kind or n.resource_type == kind) for n in self.nodes
        )


class Dbt:
    """Runs dbt commands for one target, keeping the parsed project between them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._manifest: Any = None
        self._fingerprint = ""
        self._artifacts = Artifacts(settings)

    def run(
        self,
        arguments: list[str],
        on_node: Callable[[NodeResult, int, int], None] = lambda node, done, total: None,
        *,
        trimmed: Callable[[Any], Any] = whole,
    ) -> Outcome:
        """Run one command, as `["build", "--select", …]`; nodes are told (node, done, of all).

        Args:
            arguments: the words.
            on_node: see above.
            trimmed: takes dbt's manifest, gives what of it the command needs; see `ops.lean`.
        """
        from dbt.cli.main import dbtRunner

        done = total = 0

        def heard(event: Any) -> None:
            nonlocal done, total
            if event.info.name == "ConcurrencyLine":
                # dbt has the warehouse open by now: who has taken the lock since cannot write
                self._settings.guard()
                total = event.data.node_count
            elif event.info.name == "NodeFinished":
                # dbt does not count unit tests and hooks among its nodes
                done += event.data.node_info.resource_type in _BUILT[:-1]
                on_node(_of_event(event.data), done, max(done, total))

        target = ["--target", self._settings.target]
        self._settings.guard()
        try:
            if wrong := self._parse():
                return Outcome(False, error=wrong)
            # Elementary keeps the names of its last tables there, which are gone by now
            self._manifest.flat_graph.pop("elementary", None)
            runner = dbtRunner(manifest=trimmed(self._manifest), callbacks=[heard])
            with interrupts():
                result = runner.invoke([*_QUIET, *arguments, *target])
            self._artifacts.write(arguments[0], result.result, self._manifest, self._fingerprint)
        finally:
            release()
        rows = getattr(result.result, "results", None) or []
        nodes = [_of_result(row) for row in rows if hasattr(row, "node")]
        tests = {
            row.node.unique_id: getattr(row.node, "compiled_code", None) or ""
            for row in rows
            if row.status == "fail"
        }
        error = str(result.exception) if result.exception else ""
        telling = {name: sql for name, sql in tests.items() if "difference" in sql}
        return Outcome(bool(result.success), nodes, error, telling)

    @property
    def manifest(self) -> Any:
        """The project as dbt has parsed it."""
        return self._manifest

    def listed(self, selection: list[str]) -> list[str] | None:
        """The nodes that `dbt build` would take by these words; None where dbt cannot say."""
        from dbt.cli.main import dbtRunner

        words = ["ls", "--output", "json", "--output-keys", "unique_id", *selection]
        try:
            if self._parse():
                return None
            with interrupts():
                told = dbtRunner(manifest=self._manifest).invoke(
                    [*_QUIET, *words, "--target", self._settings.target]
                )
        finally:
            release()
        if not told.success or not isinstance(told.result, list):
            return None
        found = [json.loads(line)["unique_id"] for line in told.result]
        return [node for node in found if node.split(".")[0] in _BUILT]

    def watched(self, tests: Container[str]) -> set[tuple[str, str]]:
        """The tables that tests of these names watch, and the column by which each has its time."""
        try:
            self._parse()
        finally:
            release()
        nodes = self._manifest.nodes if self._manifest else {}
        found = set()
        for node in nodes.values():
            if getattr(node, "test_metadata", None) and node.test_metadata.name in tests:
                column = node.test_metadata.kwargs.get("timestamp_column")
                model = nodes.get(node.attached_node)
                if column and model:  # a test of a source, or without a time, has no such end
                    found.add((model.relation_name, column))
        return found

    def models(self) -> set[str]:
        """The names of the project's own models.

        Raises:
            ValueError: dbt cannot read the project; its own word.
        """
        try:
            if wrong := self._parse():
                raise ValueError(wrong)
        finally:
            release()
        own = self._manifest.metadata.project_name
        nodes = self._manifest.nodes.values()
        return {n.name for n in nodes if n.resource_type == "model" and n.package_name == own}

    def over(self, settings: Settings) -> "Dbt":
        """The same project over other files, not to be parsed again."""
        other = Dbt(settings)
        other._manifest, other._fingerprint = self._manifest, self._fingerprint
        return other

    def has_all_sql(self) -> bool:
        """Whether manifest.json is of today's project, with the SQL of all its models."""
        return self._artifacts.has_all_sql(fingerprint(self._settings))

    def note_all_sql(self) -> None:
        """dbt itself has just written such a one."""
        self._artifacts.note("all", fingerprint(self._settings))

    def relations(self, database: str) -> set[tuple[str, str]]:
        """Schema and name of all that the parsed project keeps in a database."""
        nodes = self._manifest.nodes.values() if self._manifest else []
        return {(node.schema, node.alias) for node in nodes if node.database == database}

    def _parse(self) -> str:
        """Read the project where that is not done or the code changed; what is wrong, in words."""
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest

        mark = fingerprint(self._settings)
        if self._manifest is None or mark != self._fingerprint:
            with interrupts():
                parsed = dbtRunner().invoke([*_QUIET, "parse", "--target", self._settings.target])
            if not isinstance(parsed.result, Manifest):
                return str(parsed.exception or "dbt could not parse")
            self._manifest, self._fingerprint = parsed.result, mark
        return ""


def fingerprint(settings: Settings) -> str:
    """Hashes of all the code that a build depends on: equal while nothing was edited.

    Two, with a blank between them: of the SQL that makes rows, and of all the rest. A variable of
    the environment that a file asks for counts as if its value stood there.
    """
    project, env = settings.project, settings.env
    makes, rest = hashlib.sha256(), hashlib.sha256()
    files = [path for folder in _CODE for path in (project / folder).rglob("*") if path.is_file()]
    for path in sorted([*files, *(project / name for name in _FILES)]):
        if path.is_file():
            inside = path.relative_to(project)
            rows = inside.parts[0] in ("models", "macros") and path.suffix == ".sql"
            digest = makes if rows else rest
            digest.update(str(inside).encode() + b"\0")
            text = path.read_bytes()
            digest.update(text + b"\0")
            for name in _VARIABLE.findall(text) if path.name != "profiles.yml" else ():
                digest.update(repr(env.get(name.decode())).encode() + b"\0")
    return f"{makes.hexdigest()} {rest.hexdigest()}"


@contextmanager
def interrupts() -> Iterator[None]:
    """dbt takes a Ctrl-C for its own and returns; who pressed it meant all of us.

    Raises:
        KeyboardInterrupt: at the end, when the handler that was there before raised one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, raised = signal.getsignal(signal.SIGINT), False

    def heard(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        if callable(before):
            try:
                before(number, frame)
            except KeyboardInterrupt:
                raised = True
                raise

    signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if raised:
        raise KeyboardInterrupt


def _of_event(data: Any) -> NodeResult:
    info = data.node_info
    return NodeResult(
        info.unique_id,
        info.resource_type,
        info.node_name,
        info.node_status,
        float(data.run_result.execution_time),
        int(data.run_result.num_failures or 0),
        "",
    )


def _of_result(row: Any) -> NodeResult:
    return NodeResult(
        row.node.unique_id,
        str(row.node.resource_type),
        row.node.name,
        str(row.status),
        float(row.execution_time),
        None if getattr(row, "failures", None) is None else int(row.failures),
        (row.message or "")[:1000],
    )
