"""dbt's artifacts on the disk: the results of each command, and the manifest when it has news.

dbt writes manifest and graph at every command, 0.4 s of processor for the manifest alone. But it
changes with the project only: so the one that is there stays, where a note beside it says that it
is of this project. And where it has the SQL of all models, the docs need not compile them, 3 s.
"""

from typing import Any

from ops.settings import Settings

_WHOSE = ("", "test", "build", "all")
"""Whose SQL a manifest has: of no node that we know of, of a test's or a build's, of all models."""


class Artifacts:
    """The files in dbt's target folder.

    Args:
        settings: say where it is.
    """

    def __init__(self, settings: Settings) -> None:
        self._manifest = settings.artifacts / "manifest.json"
        self._note = settings.artifacts / "manifest.note"
        self._database = settings.warehouse.stem

    def has_all_sql(self, project: str) -> bool:
        """Whether the manifest is of this project and has the SQL of all its models.

        Args:
            project: its fingerprint.
        """
        return self._has(project) == "all"

    def write(self, command: str, result: Any, manifest: Any, project: str) -> None:
        """Write what a command of dbt came to; after a build or a test, there is a manifest too.

        Args:
            command: its first word.
            result: dbt's; what has no form to be written in is not.
            manifest: dbt's, with the SQL that ran.
            project: its fingerprint.
        """
        from dbt.parser.manifest import write_manifest

        if not hasattr(result, "write"):
            return
        if command in ("build", "test"):
            own = manifest.metadata.project_name
            models = [
                node
                for node in manifest.nodes.values()
                if node.resource_type == "model" and node.package_name == own
            ]
            sql = "all" if all(model.compiled_code for model in models) else command
            if _WHOSE.index(sql) > _WHOSE.index(self._has(project)):
                write_manifest(manifest, str(self._manifest.parent))
                self.note(sql, project)
        name = "sources.json" if command == "source" else "run_results.json"
        result.write(str(self._manifest.with_name(name)))

    def note(self, sql: str, project: str) -> None:
        """Note down of what the manifest is that has just been written.

        Args:
            sql: whose SQL it has; see `_WHOSE`.
            project: its fingerprint.
        """
        self._note.write_text(f"{sql} {self._of(project)}")

    def _has(self, project: str) -> str:
        """Whose SQL the manifest has; see `_WHOSE`."""
        if not (self._note.exists() and self._manifest.exists()):
            return ""
        sql, _, of = self._note.read_text().partition(" ")
        return sql if of == self._of(project) else ""

    def _of(self, project: str) -> str:
        """What a manifest is of: it is no longer that when somebody else has written it."""
        from dbt.version import __version__

        return f"{self._manifest.stat().st_mtime_ns} {__version__} {self._database} {project}"
