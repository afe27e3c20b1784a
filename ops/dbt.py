"""dbt in this process: parsed once, its nodes told as they finish, its results as plain data."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.journal import NodeResult
from ops.publish import release
from ops.settings import Settings

_CODE = (
    *("models", "macros", "seeds", "snapshots", "analyses"),
    *("tests/generic", "tests/singular", "tests/fixtures"),
)
_FILES = (
    "dbt_project.yml",
    "packages.yml",
    "profiles.yml",
    "selectors.yml",
    "dbt_packages/.millrace.json",
)


@dataclass
class Outcome:
    """What a dbt command came to. `error` is dbt's own word where it could not even start."""

    success: bool
    nodes: list[NodeResult] = field(default_factory=list)
    error: str = ""

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
        self._compiled = False  # manifest.json is that of a build of this manifest

    def run(
        self,
        arguments: list[str],
        on_node: Callable[[NodeResult, int, int], None] = lambda node, done, total: None,
    ) -> Outcome:
        """Run one command, as `["build", "--select", …]`; nodes are told (node, done, of all)."""
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest

        done = total = 0

        def heard(event: Any) -> None:
            nonlocal done, total
            if event.info.name == "ConcurrencyLine":
                total = event.data.node_count
            elif event.info.name == "NodeFinished":
                done += 1
                on_node(_of_event(event.data), done, max(done, total))

        quiet = ["--log-level", "none", "--log-level-file", "info", "--no-use-colors"]
        target = ["--target", self._settings.target]
        mark = fingerprint(self._settings.project)
        try:
            if self._manifest is None or mark != self._fingerprint:
                parsed = dbtRunner().invoke([*quiet, "parse", *target])
                if not isinstance(parsed.result, Manifest):
                    return Outcome(False, error=str(parsed.exception or "dbt could not parse"))
                self._manifest, self._fingerprint = parsed.result, mark
                self._compiled = False
            runner = dbtRunner(manifest=self._manifest, callbacks=[heard])
            # dbt writes the manifest with the results of each build, which takes 0.5 s; it changes
            # with the project only
            build = arguments[0] == "build"
            spared = ["--no-write-json"] if build and self._compiled else []
            result = runner.invoke([*quiet, *spared, *arguments, *target])
            write = getattr(result.result, "write", None)
            if spared and write is not None:
                write(str(self._settings.artifacts / "run_results.json"))
            self._compiled |= build and result.result is not None
        finally:
            release()
        rows = getattr(result.result, "results", None) or []
        nodes = [_of_result(row) for row in rows if hasattr(row, "node")]
        error = str(result.exception) if result.exception else ""
        return Outcome(bool(result.success), nodes, error)


def fingerprint(project: Path) -> str:
    """A hash of all the code that a build depends on: equal while nothing was edited."""
    digest = hashlib.sha256()
    files = [path for folder in _CODE for path in (project / folder).rglob("*") if path.is_file()]
    for path in sorted([*files, *(project / name for name in _FILES)]):
        if path.is_file():
            digest.update(str(path.relative_to(project)).encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


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
